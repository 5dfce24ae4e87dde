"""A genome's FASTA from wherever it is: a path, or an address with its SHA-256.

What is fetched, and what has to be made first (bgzip of plain gzip, which has no random access),
lies in the cache: `$GLM_CACHE`, default ~/.cache/glm_composer, under `genomes/SHA256/`. A file
that has its name there is whole and was checked; a transfer that was cut goes on from what it has.
"""

import gzip
import hashlib
import logging
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import pysam
from filelock import FileLock

from glm_composer.cache_directory import cache_directory
from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 4
_FIRST_WAIT_S = 0.5
_TIMEOUT_S = 30.0
_PIECE = 1 << 20


def local_genome(source: str | Path, *, sha256: str | None = None) -> Path:
    """Return a FASTA on this machine that `Genome` can open.

    Args:
        source: path of a FASTA (plain, bgzip or gzip), or its http:// or https:// address.
        sha256: of that file as it is; an address needs one. A path is hashed each time.

    Returns:
        The path itself, or the one in the cache.

    Raises:
        UserError: no such file; an address without a checksum; it cannot be fetched; another
            SHA-256, damaged gzip; the cache cannot be written.
    """
    text = str(source)
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UserError(f"{text}: sha256 must be 64 hexadecimal digits, not '{sha256}'")
    if not re.match("https?://", text):
        return _from_path(Path(source), sha256)
    if sha256 is None:
        raise UserError(f"{text}: an address needs the file's sha256, to know what was fetched")
    name = unquote(PurePosixPath(urlsplit(text).path).name) or "genome.fa"
    directory = cache_directory() / "genomes" / sha256.lower()
    return _cached(directory / name, lambda target: _fetch(text, sha256.lower(), target))


def _from_path(path: Path, sha256: str | None) -> Path:
    try:
        with path.open("rb") as file:
            head = file.read(18)
            if sha256 is not None:
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
                _compare(str(path), found, sha256.lower())
        if not _is_plain_gzip(head):
            return path
        state = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    # Another state of the file is another key.
    key = f"{path.resolve()}\n{state.st_size}\n{state.st_mtime_ns}"
    directory = cache_directory() / "genomes" / hashlib.sha256(key.encode()).hexdigest()
    return _cached(directory / path.name, lambda target: _recompress(path, target))


def _cached(target: Path, make: Callable[[Path], None]) -> Path:
    """Return `target`, made with `make(part)` where it is not there, by one process only."""
    if target.exists():
        return target
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                make(part)
                with part.open("rb") as file:
                    head = file.read(18)
                    os.fsync(file.fileno())
                if _is_plain_gzip(head):
                    packed = part.with_name(f"{part.name}.bgzip")
                    _recompress(part, packed)
                    part.unlink()
                    part = packed
                part.replace(target)
    except OSError as error:
        raise UserError(
            f"{error.filename or target}: {error.strerror or error}; point GLM_CACHE to a "
            "directory that can be written and has space"
        ) from None
    return target


def _is_plain_gzip(head: bytes) -> bool:
    return head[:2] == b"\x1f\x8b" and not (head[3] & 4 and head[12:14] == b"BC")


def _recompress(path: Path, target: Path) -> None:
    """Write a gzip file as bgzip."""
    _LOG.info("%s: recompressing it as bgzip, for random access", path)
    try:
        with gzip.open(path) as plain, pysam.BGZFile(str(target), "wb", None) as packed:
            while piece := plain.read(_PIECE):
                packed.write(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        target.unlink(missing_ok=True)
        raise UserError(f"{path}: damaged gzip file: {error}; fetch it again") from None


def _compare(name: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{name}: SHA-256 is {found}, not {expected}; it is another release, or damaged"
        )


def _fetch(address: str, sha256: str, target: Path) -> None:
    """Fetch a file into `target`, going on from what is there, and check it."""
    from requests import RequestException

    for attempt in range(1, _ATTEMPTS + 1):
        resumed = target.exists() and target.stat().st_size > 0
        try:
            _transfer(address, target)
        except RequestException as error:
            reason = " ".join(str(error).split())[:300]
            status = getattr(error.response, "status_code", 0)
            if attempt == _ATTEMPTS or 400 <= status < 500:
                raise UserError(
                    f"{address}: cannot be fetched ({reason}); check the address and the network"
                ) from None
            wait = _FIRST_WAIT_S * 2 ** (attempt - 1)
            _LOG.warning("%s: %s; again in %.1f s", address, reason, wait)
            time.sleep(wait)
            continue
        with target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == sha256:
            return
        target.unlink()
        if not resumed:
            _compare(address, found, sha256)
        # What was there may have been of another file: once more from the beginning.
    raise UserError(f"{address}: cannot be fetched whole in {_ATTEMPTS} attempts")


def _transfer(address: str, target: Path) -> None:
    """Append what is missing of a file to `target`.

    Raises:
        RequestException: also where fewer bytes come than were promised.
    """
    import requests
    from urllib3.exceptions import HTTPError

    have = target.stat().st_size if target.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # all of it is there; the checksum tells
        answer.raise_for_status()
        appended = answer.status_code == requests.codes.partial_content
        with target.open("ab" if appended else "wb") as file:
            # Raw bytes: .gz files are often sent as if gzip were the transfer's encoding.
            answer.raw.decode_content = False
            try:
                shutil.copyfileobj(answer.raw, file, _PIECE)
            except HTTPError as error:
                raise requests.ConnectionError(f"the transfer broke off: {error}") from None
