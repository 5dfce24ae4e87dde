"""Raw shards on this machine, fetched and decompressed when they are needed, within a limit.

The processes of a node share a directory without a coordinator. What they know is its files:
`shard.00000.mds` is whole and checked, since it got its name last; `.shard.00000.mds.lock` is
held by the process that makes it, and as long as the bytes that it may take;
`.shard.00000.mds.part` is what it has so far. The least recently used shards, by the files' time
stamps, make room for others. A process that has mapped a shard keeps it when another process
deletes the file.
"""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from glm_composer.data.index import (
    DamagedFile,
    ShardEntry,
    StoredFile,
    check_hashes,
    check_size,
)
from glm_composer.data.locks import directory_lock, held, try_lock
from glm_composer.data.making import hidden, parts_of, remove, sizes, written
from glm_composer.data.remote import Remote
from glm_composer.data.unpack import unpack
from glm_composer.errors import UserError

_POLL_S = 0.02
# For compressed shards that lie here: no time-outs, only somebody else's decompression.
_LOCAL_PATIENCE_S = 600.0


class Cache:
    """The raw shards of one split.

    Args:
        directory: where they lie, and compressed ones too if there is no `remote`.
        shards: of the index.
        remote: where they come from.
        limit: bytes that raw shards may take here, with those in the making.
        dropped: called with the number of a shard that was deleted here.

    Attributes:
        window: shards needed next; they are deleted last, and in the background not at all.

    Raises:
        UserError: `limit` has no room for the largest shard, or a shard is neither here nor
            elsewhere.
    """

    def __init__(
        self,
        directory: Path,
        shards: Sequence[ShardEntry],
        remote: Remote | None,
        limit: int | None,
        dropped: Callable[[int], None],
    ):
        self.directory, self.shards, self.remote = directory, shards, remote
        self.limit, self.dropped = limit, dropped
        self.window: Sequence[int] = ()
        largest = max(self._need(shard) for shard in range(len(shards)))
        if limit is not None and limit < largest:
            raise UserError(
                f"cache_limit ({limit} bytes) has no room for the largest shard of {directory}, "
                f"which takes {largest} bytes"
            )
        for number, entry in enumerate(shards if remote is None else ()):
            if not self.present(number):
                stored = entry.packed or entry.raw
                check_size(directory / stored.name, stored.bytes)

    def path(self, shard: int) -> Path:
        """Return where the raw file of a shard lies once it is there."""
        return self.directory / self.shards[shard].raw.name

    def present(self, shard: int) -> bool:
        """Return whether the raw file is there; of another size, it is not ours."""
        try:
            return self.path(shard).stat().st_size == self.shards[shard].raw.bytes
        except OSError:
            return False

    def touch(self, shard: int) -> None:
        """Note that a shard has just been used, for every process to see."""
        try:
            os.utime(self.path(shard))
        except OSError:
            # Gone, or of another user: then it is that user's to keep.
            return

    def bring(self, shard: int, urgent: bool = True) -> bool:
        """Have the raw file of a shard on this machine.

        Args:
            shard: its number.
            urgent: delete shards of the window if there is no other room, or wait for room.

        Returns:
            Whether it is there; False only where it is not urgent and there is no room.

        Raises:
            UserError: it cannot be fetched, decompressed or written, or is damaged.
        """
        path = self.path(shard)
        if self.present(shard):
            return True
        patience = self.remote.patience if self.remote else _LOCAL_PATIENCE_S
        with (
            written(path) as parts,
            held(
                hidden(path, "lock"), lambda: self.present(shard), patience, lambda: sizes(parts)
            ) as descriptor,
        ):
            if descriptor >= 0:
                if not self._reserve(shard, descriptor, urgent, patience):
                    return False
                self._make(shard, *parts)
        return True

    def _need(self, shard: int) -> int:
        entry = self.shards[shard]
        fetched = entry.packed.bytes if entry.packed and self.remote else 0
        return entry.raw.bytes + fetched

    def _reserve(self, shard: int, lock: int, urgent: bool, patience: float) -> bool:
        if self.limit is None:
            return True
        deadline = time.monotonic() + patience
        while not self._make_room(shard, lock, urgent):
            if not urgent:
                return False
            # Everything is taken by shards that other processes are fetching at this moment.
            if time.monotonic() > deadline:
                raise UserError(
                    f"cache_limit ({self.limit} bytes) has had no room for {self.path(shard)} in "
                    f"{patience:.0f} s; the processes that share {self.directory} need more"
                )
            time.sleep(_POLL_S)
        return True

    def _make_room(self, shard: int, lock: int, urgent: bool) -> bool:
        assert self.limit is not None
        with directory_lock(self.directory):
            room = self.limit - self._need(shard)
            held_bytes = {}
            for other, entry in enumerate(self.shards):
                if other == shard:
                    continue
                # In this order: a shard in the making gets its name before its lock goes.
                if reserved := _reserved(self.path(other)):
                    room -= reserved
                elif self.present(other):
                    held_bytes[other] = entry.raw.bytes
            window = {number: place for place, number in enumerate(self.window)}
            spare = sorted(held_bytes.keys() - window.keys(), key=self._last_used)
            if urgent:
                spare += sorted(held_bytes.keys() & window.keys(), key=lambda n: -window[n])
            # All that must go first: nothing is deleted in vain.
            freed = itertools.accumulate((held_bytes[number] for number in spare), initial=0)
            excess = sum(held_bytes.values()) - room
            count = next((n for n, total in enumerate(freed) if total >= excess), None)
            if count is None:
                return False
            for number in spare[:count]:
                self.path(number).unlink(missing_ok=True)
                self.dropped(number)
            # Sparse: it takes no space, and tells the others how much is spoken for.
            os.ftruncate(lock, self._need(shard))
            return True

    def _last_used(self, shard: int) -> int:
        try:
            return self.path(shard).stat().st_mtime_ns
        except OSError:
            return 0

    def _make(self, shard: int, raw: Path, packed: Path) -> None:
        for attempt in (1, 2):
            # What a killed process has left.
            remove(raw, packed)
            try:
                self._fill(self.shards[shard], raw, packed)
                raw.replace(self.path(shard))
                return
            except DamagedFile:
                # Once more: perhaps it was damaged on its way.
                if attempt == 2 or self.remote is None:
                    raise
            finally:
                remove(raw, packed)

    def _fill(self, entry: ShardEntry, raw: Path, packed: Path) -> None:
        stored = entry.packed or entry.raw
        source = f"{self.remote.address if self.remote else self.directory}/{stored.name}"
        if self.remote is not None:
            fetched = packed if entry.packed else raw
            self.remote.fetch(stored.name, fetched)
        else:
            fetched = self.directory / stored.name
        _check(fetched, stored, source)
        if entry.packed is not None:
            unpack(fetched, entry.compression or "", raw)
            _check(raw, entry.raw, f"{source}, decompressed")


def _check(path: Path, stored: StoredFile, called: str) -> None:
    """Check size and hashes of a file that the user knows by the name `called`."""
    try:
        check_size(path, stored.bytes)
        check_hashes(path, stored)
    except DamagedFile as error:
        raise DamagedFile(str(error).replace(str(path), called, 1)) from None


def _reserved(raw: Path) -> int:
    """Bytes spoken for by the process that makes a shard; what a killed one left is removed."""
    lock = hidden(raw, "lock")
    try:
        descriptor = try_lock(lock)
    except OSError:
        return 0
    if descriptor < 0:
        try:
            return lock.stat().st_size
        except OSError:
            return 0
    remove(*parts_of(raw), lock)
    os.close(descriptor)
    return 0


def bring_file(directory: Path, name: str, remote: Remote) -> Path:
    """Have a small file of a remote directory on this machine, once for all ranks of a node.

    One that is there from an earlier run is compared with the remote one by the node's first rank.

    Args:
        directory: where it shall lie; created.
        name: the file's name.
        remote: where it comes from.

    Raises:
        UserError: it cannot be fetched, or the one that is here has another content.
    """
    target = directory / name
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    done = (lambda: False) if first else target.exists
    with (
        written(target) as parts,
        held(hidden(target, "lock"), done, remote.patience, lambda: sizes(parts)) as descriptor,
    ):
        if descriptor >= 0:
            remote.fetch(name, parts[0])
            if not target.exists():
                parts[0].replace(target)
                return target
            # It may be another user's, whom we cannot take it from.
            found = parts[0].read_bytes()
            parts[0].unlink()
            if target.read_bytes() != found:
                raise UserError(
                    f"{target}: is not {remote.address}/{name}: this directory holds another "
                    f"dataset; delete it or choose another one"
                )
    return target
