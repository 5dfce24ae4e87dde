"""Files in and out: plain or compressed streams, provenance, writes that are whole or not there.

bgzip is gzip in many members. A bgzip file that was cut between two members is still valid gzip,
so its end-of-file marker is checked as well: losing half a genome would go unnoticed otherwise.
"""

import errno
import fcntl
import gzip
import hashlib
import io
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from glm_composer.conversion.assembly import SourceFile
from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# SAM specification, section 4.1.2: the empty block that ends every bgzip file.
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """Open a plain, gzip, bgzip or Zstandard file for reading bytes.

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
            if head.startswith(_ZSTD_MAGIC):
                from glm_composer.conversion.zstandard_stream import open_zstandard

                yield open_zstandard(path, raw)
                return
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
            with gzip.GzipFile(fileobj=raw) as gzipped:
                yield cast(BinaryIO, gzipped)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path in the yaml") from None
    except EOFError:
        raise UserError(
            f"{path}: truncated: the compressed stream ends early; fetch or write it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip stream ({error}); fetch it again") from None
    except (IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def is_compressed(path: Path) -> bool:
    """Return whether a file is gzip, bgzip or Zstandard, by its first bytes."""
    with path.open("rb") as raw:
        return raw.read(4).startswith((_GZIP_MAGIC, _ZSTD_MAGIC))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based line number, line without its end) of a plain or compressed text file.

    Lines end with `\\n`, `\\r\\n` or `\\r`, mixed; a byte order mark is left out.

    Raises:
        UserError: as `open_stream`, or a line is not UTF-8.
    """
    with open_stream(path) as stream:
        # Other bytes than UTF-8 pass as surrogates, so that their line can be named.
        text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline=None)
        for number, line in enumerate(text, start=1):
            if not line.isascii():
                try:
                    line.encode()
                except UnicodeEncodeError:
                    raise UserError(
                        f"{path}, line {number}: not UTF-8 text; is this the right file?"
                    ) from None
            yield number, line.removesuffix("\n").removeprefix("\ufeff" if number == 1 else "")


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


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explain_write_errors(target: str | Path) -> Iterator[None]:
    """Turn an OSError met while writing into a UserError that names `target`."""
    try:
        yield
    except OSError as error:
        again = "and run it again: it goes on from its finished parts"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"free space {again}"
        elif error.errno == errno.EFBIG:
            hint = f"raise the limit of file sizes (ulimit -f) {again}"
        else:
            hint = "check 'out' and its permissions"
        raise UserError(
            f"{target}: cannot be written: {error.strerror or error}; {hint}"
        ) from None


@contextmanager
def locked(path: Path, *, shared: bool, taken: str) -> Iterator[None]:
    """Hold a lock on a file, which ends with this process, however it ends.

    Args:
        path: of the file, made where it is not there.
        shared: let others hold it as well, if they share it too.
        taken: what to say where somebody else holds it.

    Raises:
        UserError: somebody else holds it.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(taken) from None
        except OSError as error:
            # Some network file systems have no locks; two runs at once are then the user's care.
            _LOG.warning("%s: cannot be locked (%s)", path, error.strerror)
        yield
