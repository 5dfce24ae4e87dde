"""The windows of one split by sample id, read in whole batches from mapped shards.

Shards that lie uncompressed on this machine are mapped where they are: no thread, no lock, no
copy. Compressed or remote ones come through a cache (cache.py), which decompresses each once.
"""

import logging
import resource
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.cache import Cache, bring_file
from glm_composer.data.columns import sequence_length
from glm_composer.data.index import FILE_NAME, check_hashes, check_size, read_index
from glm_composer.data.prefetch import Prefetcher
from glm_composer.data.remote import Remote
from glm_composer.data.rows import Ids, map_shard, rows_of
from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)

# How long a file that is changed under a running job may go unnoticed. A look takes 2 us a shard.
_CHECK_S = 0.5
_ATTEMPTS = 20
_ASCII = 128
# Where there is no limit of open files.
_MOST_MAPS = 10_000

Stamp = tuple[int, int, int]


class Shards:
    """All windows of one split, by sample id.

    Args:
        path: the split's directory, which holds `index.json`; with `remote`, a cache directory
            that all ranks of a node may share.
        remote: the split's directory elsewhere (`s3://bucket/dataset/split`, `hf://`, `gs://`,
            another directory, ...).
        cache_limit: bytes that decompressed or fetched shards may take in `path`; then the least
            recently used make room. None for no limit.
        validate_hash: compare every shard with the hashes in the index when it is first read;
            "auto" does so where the index has hashes. What is fetched or decompressed is compared
            in any case, where it has.
        download_retry: attempts to fetch a file, with growing pauses.
        download_timeout: seconds without an answer after which an attempt has failed.

    Attributes:
        counts: int64 [shards], samples of each.
        fingerprint: hex digest of names, counts, sizes and hashes in the index.
        length: bases in every `sequence`; None where lengths vary.
        row: packed dtype of a row; None where lengths vary.

    Raises:
        UserError: the index or a shard is missing, of another size or not readable, there is
            nothing that `cache_limit` could limit, or nothing that `validate_hash` could compare.
    """

    def __init__(
        self,
        path: Path,
        *,
        remote: str | None = None,
        cache_limit: int | None = None,
        validate_hash: bool | Literal["auto"] = False,
        download_retry: int = 7,
        download_timeout: float = 60.0,
    ):
        self.path = path
        source = Remote(remote, download_retry, download_timeout) if remote else None
        if source:
            bring_file(path, FILE_NAME, source)
        index = read_index(path)
        self._index = index
        self._rows = rows_of(index)
        self.row: np.dtype[Any] | None = getattr(self._rows, "row", None)
        self.length = sequence_length(index)
        self.counts = np.array([shard.samples for shard in index.shards], dtype=np.int64)
        self.fingerprint = index.fingerprint
        self._starts = np.concatenate([[0], np.cumsum(self.counts)])
        self._validate = bool(validate_hash)
        if validate_hash is True and not all(shard.raw.hashes for shard in index.shards):
            raise UserError(
                f"{path / FILE_NAME}: has no hashes that validate_hash could compare; convert the "
                f"dataset with hashes, or leave validate_hash out"
            )
        self._cache: Cache | None = None
        self._prefetcher: Prefetcher | None = None
        self._asked: tuple[set[int], list[int]] = set(), []
        self._stamps: list[Stamp | None] = []
        if source or any(shard.packed for shard in index.shards):
            self._cache = Cache(path, index.shards, source, cache_limit, self._forget)
            self._prefetcher = Prefetcher(self._bring_ahead)
        elif cache_limit is not None:
            raise UserError(
                f"{path}: its shards lie here uncompressed, there is nothing that cache_limit "
                f"could limit; leave it out"
            )
        else:
            # Before any work: a shard may be touched for the first time hours into a run.
            for shard in index.shards:
                check_size(path / shard.raw.name, shard.raw.bytes)
            self._stamps = [_stamp(path / shard.raw.name) for shard in index.shards]
        self._maps: dict[int, Any] = {}
        self._used: set[int] = set()
        self._map_stamps: dict[int, Stamp | None] = {}
        self._validated: set[int] = set()
        self._next_check = time.monotonic() + _CHECK_S
        # Every map costs a file descriptor.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._max_maps = max(64, descriptors // 4) if descriptors > 0 else _MOST_MAPS
        self._warned = False

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, ids: Ids | None = None) -> NDArray[Any]:
        """Rows of samples `ids` [n], in that order, or of all: structured array [n].

        Where lengths vary, `sequence` is as wide as the longest of these rows and filled up with
        0, and the field `length` int64 tells how much of it is real.

        Raises:
            UserError: there is no such sample; a shard was changed since it was opened, is
                damaged, or cannot be fetched.
        """
        if ids is None:
            ids = np.arange(len(self))
        outside = ids[(ids < 0) | (ids >= len(self))]
        if len(outside):
            raise UserError(
                f"{self.path}: no sample {outside[0]}; there are {len(self):,}, from 0"
            )
        if time.monotonic() >= self._next_check:
            self._check_maps()
        if self._cache is None:
            rows = self._rows.gather(ids, self._starts, self._map)
        else:
            self._warn_of_too_small_a_cache(self._cache, ids)
            rows = self._rows.gather(ids, self._starts, self._map_used)
        self._check_letters(ids, rows["sequence"])
        return rows

    def _check_letters(self, ids: Ids, sequence: NDArray[np.uint8]) -> None:
        """Check that all letters are ASCII: `Prepare` has another use for the eighth bit."""
        if sequence.size == 0 or sequence.max() < _ASCII:
            return
        row, place = np.argwhere(sequence >= _ASCII)[0]
        raise UserError(
            f"{self.path}: sample {ids[row]} is damaged: byte {sequence[row, place]} at position "
            f"{place} of its sequence is no letter; look for the shard with `glm data verify`"
        )

    @property
    def fetches(self) -> bool:
        """Whether `prefetch` has anything to do."""
        return self._cache is not None

    def prefetch(self, ids: Ids) -> None:
        """Fetch the shards of coming samples in the background, in this order; returns at once.

        The latest call counts: shards of earlier ones may make room for others again. Costs
        nothing where there is nothing to fetch.

        Args:
            ids: samples of the coming batches, as they will be read.
        """
        if self._cache is None or self._prefetcher is None:
            return
        shards = np.searchsorted(self._starts, ids, side="right") - 1
        first = np.full(len(self.counts), len(ids))
        # Backwards, so that a shard's first place is written last; sorting takes ten times longer.
        first[shards[::-1]] = np.arange(len(ids))[::-1]
        window = np.argsort(first)[: np.count_nonzero(first < len(ids))].tolist()
        self._cache.window = window
        missing = [shard for shard in window if not self._cache.present(shard)]
        if (set(window), missing) != self._asked:  # else there still is no room for more
            self._asked = set(window), missing
            self._prefetcher.want(missing)

    def _map(self, shard: int) -> Any:
        rows = self._maps.get(shard)
        return self._open(shard) if rows is None else rows

    def _map_used(self, shard: int) -> Any:
        self._used.add(shard)
        return self._map(shard)

    def _open(self, shard: int) -> Any:
        entry = self._index.shards[shard]
        path = self.path / entry.raw.name
        for _ in range(_ATTEMPTS):
            if self._cache is not None:
                self._await(shard)
            elif _stamp(path) != self._stamps[shard]:
                raise _changed(path)
            try:
                if self._validate and shard not in self._validated:
                    check_hashes(path, entry.raw)
                    self._validated.add(shard)
                mapped = self._rows.map(map_shard(path, self._index, entry.samples))
            except FileNotFoundError:
                # Another process made room for its own shards just now.
                continue
            while len(self._maps) >= self._max_maps:
                self._forget(next(iter(self._maps)))
            self._maps[shard], self._map_stamps[shard] = mapped, _stamp(path)
            return mapped
        raise UserError(
            f"{path}: deleted again and again before it could be read; raise cache_limit, or let "
            f"fewer processes share it"
        )

    def _await(self, shard: int) -> None:
        assert self._cache is not None
        assert self._prefetcher is not None
        failed = self._prefetcher.failed.pop(shard, None)
        if failed is not None:
            raise failed
        self._cache.bring(shard)
        self._cache.touch(shard)

    def _bring_ahead(self, shard: int) -> bool:
        assert self._cache is not None
        brought = self._cache.bring(shard, urgent=False)
        self._cache.touch(shard)
        return brought

    def _forget(self, shard: int) -> None:
        self._maps.pop(shard, None)
        self._map_stamps.pop(shard, None)

    def _check_maps(self) -> None:
        """Look whether the mapped files are still those that were opened."""
        start = time.monotonic()
        for shard, stamp in list(self._map_stamps.items()):
            path = self.path / self._index.shards[shard].raw.name
            found = _stamp(path)
            if self._cache is None and found != stamp:
                raise _changed(path)
            if self._cache is not None and (
                found is None or stamp is None or found[2] != stamp[2]
            ):
                # Deleted to make room: let go of it, or its space is never free.
                self._forget(shard)
        if self._cache is not None:
            for shard in self._used.union(self._cache.window):
                self._cache.touch(shard)
            self._used.clear()
        # On a slow network disk less often: never more than 2% of the time.
        end = time.monotonic()
        self._next_check = end + max(_CHECK_S, 50 * (end - start))

    def _warn_of_too_small_a_cache(self, cache: Cache, ids: Ids) -> None:
        if cache.limit is None or self._warned:
            return
        shards = np.unique(np.searchsorted(self._starts, ids, side="right") - 1)
        size = sum(self._index.shards[shard].raw.bytes for shard in shards)
        if size > cache.limit:
            self._warned = True
            _LOG.warning(
                "%s: a batch of %d windows reads %d shards of %d bytes together, more than "
                "cache_limit (%d): shards are fetched again and again; raise it",
                self.path, len(ids), len(shards), size, cache.limit,
            )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        # A map would be written out as the data it shows.
        return {**self.__dict__, "_maps": {}, "_map_stamps": {}}


def _stamp(path: Path) -> Stamp | None:
    """Size, time of change and inode of a file, or None where it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _changed(path: Path) -> UserError:
    return UserError(
        f"{path}: was replaced or changed while this job is running; restore what the job began "
        f"with, or start again with what is there now"
    )
