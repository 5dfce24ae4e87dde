"""Files in and out: plain or gzip streams, provenance, and writes that are complete or not there.

bgzip is gzip in many members. A bgzip file that was cut between two members is still valid gzip,
so its end-of-file marker is checked as well: losing half a genome would go unnoticed otherwise.
"""

import errno
import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from glm_composer.conversion.assembly import SourceFile
from glm_composer.errors import UserError

_GZIP_MAGIC = b"\x1f\x8b"
# SAM specification, section 4.1.2: the empty block that ends every bgzip file.
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Open a plain, gzip or bgzip file for reading bytes.

    Raises:
        UserError: the file is missing, unreadable or empty, or its compressed stream is cut or
            damaged (whenever that shows, also while the caller reads).
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(18)
            if not head:
                raise UserError(f"{path}: the file is empty; fetch or write it again")
            raw.seek(0)
            if not head.startswith(_GZIP_MAGIC):
                yield raw
                return
            if head[3] & 4 and head[12:14] == b"BC":
                raw.seek(-min(len(_BGZIP_END), path.stat().st_size), os.SEEK_END)
                if raw.read() != _BGZIP_END:
                    raise UserError(
                        f"{path}: truncated: the bgzip end-of-file block is missing; "
                        "fetch or write it again"
                    )
                raw.seek(0)
            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast(BinaryIO, stream)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except EOFError:
        raise UserError(
            f"{path}: truncated: the gzip stream ends early; fetch or write it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip stream ({error}); fetch it again") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based line number, line without its end) of a plain or gzip text file.

    Lines end with `\\n` or `\\r\\n`.

    Raises:
        UserError: as `open_stream`, or a line is not UTF-8.
    """
    with open_stream(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield number, line.rstrip(b"\r\n").decode()
            except UnicodeDecodeError:
                raise UserError(
                    f"{path}, line {number}: not UTF-8 text; is this the right file?"
                ) from None


def describe(
    path: Path,
    *,
    package: str | None = None,
    version: str | None = None,
    licence: str | None = None,
) -> SourceFile:
    """Return the provenance of a file, hashing it once through."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return SourceFile(path.name, digest, path.stat().st_size, package, version, licence)


def write_durably(path: Path, *parts: bytes | memoryview) -> None:
    """Write a new file and wait until it is on the disk."""
    with path.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until a directory's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Turn an OSError met while writing into a UserError that names `target`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            hint = "nothing was kept; free space, or choose another 'out'"
        else:
            hint = "nothing was kept; check 'out' and its permissions"
        raise UserError(
            f"{target}: cannot be written: {error.strerror or error}; {hint}"
        ) from None


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """Give a sibling scratch directory that becomes `target` at the end, or vanishes on any error.

    Raises:
        UserError: `target` exists and is not an empty directory.
    """
    refuse_occupied(target)
    # Renaming onto a symbolic link would replace the link, so the directory behind it is meant.
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        # mkdtemp makes a private directory; a dataset is as readable as its parent.
        scratch.chmod(target.parent.stat().st_mode & 0o777)
        sync_directory(scratch)
        scratch.rename(target)
        sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def refuse_occupied(target: Path) -> None:
    """Raise a UserError where `target` is anything but absent or an empty directory."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists():
        held = "already holds a dataset" if (target / "manifest.json").exists() else "is not empty"
        raise UserError(f"{target}: {held}; delete it, or choose another 'out'")
