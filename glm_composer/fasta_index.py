"""The index of a FASTA (.fai, and .gzi for bgzip), found or built: what random access needs.

samtools builds it; this module adds what samtools leaves out: it refuses what has no random
access, rebuilds an index older than its FASTA, writes aside and renames (ranks that start together
cannot read half an index), and notices contigs that samtools drops.
"""

import errno
import gzip
import hashlib
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import pysam

from glm_composer.cache_directory import cache_directory
from glm_composer.errors import UserError

_CHUNK = 1 << 24  # bytes
# The empty block that ends every complete bgzip file (SAM specification, section 4.1.2).
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def find_or_build(path: Path) -> tuple[Path, Path | None]:
    """Return the .fai of a FASTA and, for bgzip, its .gzi; build what is absent or out of date.

    They are looked for, and written, beside the FASTA; where that is not writable, in the user's
    cache directory (GLM_CACHE, else ~/.cache/glm_composer).

    Raises:
        UserError: no such file; gzip instead of bgzip; truncated; not a FASTA that can be indexed;
            repeated or empty contigs; nowhere to write.
    """
    is_bgzip = _is_bgzip(path)
    places = (Path(f"{path}.fai"), _cache_directory(path) / "genome.fai")
    for index in places:
        if _is_current(index, path, is_bgzip):
            return index, _blocks(index, is_bgzip)
    problem: OSError | None = None
    for index in places:
        try:
            index.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".faidx-", dir=index.parent) as scratch:
                built = Path(scratch, "index.fai")
                _build(path, is_bgzip, built)
                _publish(built, index, is_bgzip)
            return index, _blocks(index, is_bgzip)
        except OSError as error:
            problem = error
    raise UserError(
        f"{path}: cannot write its index: {problem}; set GLM_CACHE to a writable directory"
    )


def _is_bgzip(path: Path) -> bool:
    """Return whether a FASTA is bgzip; refuse what is missing, empty, plain gzip or truncated."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        head = file.read(18)
        if not head:
            raise UserError(f"{path}: empty file; expected a FASTA")
        if head[:2] != b"\x1f\x8b":
            return False
        if not (head[3] & 4 and head[12:14] == b"BC"):
            raise UserError(
                f"{path}: plain gzip has no random access; recompress it with "
                "'gunzip FILE' and 'bgzip FILE'"
            )
        file.seek(-min(len(_BGZIP_END), path.stat().st_size), os.SEEK_END)
        if file.read() != _BGZIP_END:
            raise UserError(f"{path}: truncated bgzip file (no end marker); fetch it again")
    return True


def _blocks(index: Path, is_bgzip: bool) -> Path | None:
    return index.with_suffix(".gzi") if is_bgzip else None


def _is_current(index: Path, path: Path, is_bgzip: bool) -> bool:
    changed = path.stat().st_mtime_ns
    files = [file for file in (index, _blocks(index, is_bgzip)) if file]
    try:
        return all(file.stat().st_mtime_ns >= changed for file in files)
    except OSError:  # absent, or not even a possible name
        return False


def _cache_directory(path: Path) -> Path:
    """Return a directory of its own for this state of this file."""
    state = path.stat()
    key = f"{path.resolve()}\n{state.st_size}\n{state.st_mtime_ns}"
    return cache_directory() / "faidx" / hashlib.sha256(key.encode()).hexdigest()[:16]


def _build(path: Path, is_bgzip: bool, index: Path) -> None:
    """Write `index`, for bgzip also its .gzi, and check that every contig is in it."""
    # htslib prints its own lines to stderr otherwise.
    verbosity = pysam.set_verbosity(0)
    try:
        pysam.faidx(
            "--fai-idx", str(index), "--gzi-idx", str(index.with_suffix(".gzi")), str(path)
        )
    except pysam.SamtoolsError:
        if shutil.disk_usage(index.parent).free < 1 << 20:
            raise OSError(errno.ENOSPC, "no space left on device") from None
        raise UserError(
            f"{path}: not a FASTA that can be indexed; it must begin with '>' and the lines of a "
            "contig must be of equal length, the last one excepted"
        ) from None
    finally:
        pysam.set_verbosity(verbosity)
    # samtools drops a repeated name and an empty contig with a warning at most.
    indexed = index.read_bytes().count(b"\n")
    headers = _count_headers(path, is_bgzip)
    if headers != indexed:
        raise UserError(
            f"{path}: {headers} headers but {indexed} distinct contigs with bases; remove the "
            "repeated names and the empty contigs"
        )


def _count_headers(path: Path, is_bgzip: bool) -> int:
    count, last = 0, b"\n"
    try:
        with cast(BinaryIO, gzip.open(path)) if is_bgzip else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                count += (last + chunk).count(b"\n>")
                last = chunk[-1:]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged bgzip file: {error}; fetch it again") from None
    return count


def _publish(built: Path, index: Path, is_bgzip: bool) -> None:
    # The .gzi first: a .fai that is in place vouches for it.
    for suffix in (".gzi", ".fai") if is_bgzip else (".fai",):
        with built.with_suffix(suffix).open("rb") as file:
            os.fsync(file.fileno())
        built.with_suffix(suffix).replace(index.with_suffix(suffix))
