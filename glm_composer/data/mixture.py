"""Several streams in proportions that may change over training.

How many windows of each stream a global batch holds is a pure function of its number, and so is
where each stream stands; a resumed run counts up to its batch again (5 to 11 us a batch).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.data.batches import BatchIds, Ids, Place
from glm_composer.data.dataset import WindowDataset, Windows
from glm_composer.data.stream import TOLD_AGAIN, Stream
from glm_composer.errors import UserError


@dataclass(frozen=True)
class Proportion:
    """The weight of a stream over training: straight lines between points, level beyond them.

    Attributes:
        batches: [points] numbers of global batches, ascending.
        weights: [points] weights, in proportion to those of the other streams.
    """

    batches: tuple[float, ...]
    weights: tuple[float, ...]

    def at(self, batch: float) -> float:
        """Return the weight in a batch."""
        return float(np.interp(batch, self.batches, self.weights))


def batch_counts(proportions: Sequence[Proportion], batch: int) -> Iterator[list[int]]:
    """Yield each stream's windows in global batch 0, 1, ..., which add up to `batch`.

    What a stream has had follows what it is due by less than a window or two: each batch gives
    what is due by now, rounded down, and the rest to those with the largest remainders.

    Raises:
        UserError: all weights are 0 in some batch.
    """
    constant = all(len(each.batches) == 1 for each in proportions)
    due = [0.0] * len(proportions)
    number, shares = 0, [0.0]
    while True:
        if number == 0 or not constant:
            weights = [each.at(number) for each in proportions]
            total = sum(weights)
            if total == 0:
                raise UserError(f"data.streams: all proportions are 0 in batch {number}")
            shares = [batch * weight / total for weight in weights]
        due = [old + share for old, share in zip(due, shares, strict=True)]
        given = [max(0, math.floor(each)) for each in due]
        ranked = sorted(range(len(due)), key=lambda s: given[s] - due[s])
        missing = batch - sum(given)
        for stream in ranked[: max(0, missing)]:
            given[stream] += 1
        # One that had more than its due before leaves others more than there is.
        for stream in [s for s in reversed(ranked) if given[s]][: max(0, -missing)]:
            given[stream] -= 1
        due = [old - gave for old, gave in zip(due, given, strict=True)]
        yield given
        number += 1


class _Counted:
    """Global batches so far (`number`), and how many windows each stream has given to them."""

    def __init__(self, proportions: Sequence[Proportion], batch: int):
        self.number, self._taken = 0, [0] * len(proportions)
        self._counts = batch_counts(proportions, batch)

    def step(self) -> tuple[list[int], list[int]]:
        """Count the next batch; where each stream stood before it, and what it gives."""
        before, counts = self._taken, next(self._counts)
        self._taken = [had + count for had, count in zip(before, counts, strict=True)]
        self.number += 1
        return before, counts


class Mixture:
    """A `Source` of global batches that hold windows of several streams.

    An epoch is so many windows, rounded up to whole batches; each stream runs through orders of
    its own, one after the other, whatever the epoch of the mixture. Sample ids are those of the
    streams, one stream's after the other's. Orders are whole on every rank: 4 bytes a window, and
    as much again for those that follow.

    Args:
        streams: the streams.
        proportions: of each.
        batch: windows of a global batch.
        epoch_windows: windows of an epoch; null for as many as the streams have together.
        ahead: tell so many coming batches' samples, now and then.
    """

    rule = "of several streams, each through orders of its own"

    def __init__(
        self,
        streams: Sequence[Stream],
        proportions: Sequence[Proportion],
        batch: int,
        epoch_windows: int | None = None,
        ahead: int = 0,
    ):
        self.streams, self.proportions, self._ahead = streams, proportions, ahead
        wanted = epoch_windows or sum(stream.samples for stream in streams)
        self.samples = -(-wanted // batch) * batch
        self.starts = np.concatenate([[0], np.cumsum([stream.total for stream in streams])])
        self._counted: _Counted | None = None

    def deal(self, epoch: int, start: int, batch: int, place: Place) -> Iterator[BatchIds]:
        """Yield a rank's share of an epoch's batches, see `Source`."""
        first, stop = (epoch * self.samples + start) // batch, (epoch + 1) * self.samples // batch
        # Counting goes on where the epoch before ended, where it did.
        counted, self._counted = self._counted, None
        if counted is None or counted.number > first:
            counted = _Counted(self.proportions, batch)
        while counted.number < stop:
            before, counts = counted.step()
            if counted.number <= first:
                continue
            if counted.number == stop:
                self._counted = counted
            mine = slice(place.turn, None, place.ranks)
            ids, epochs = self._gather(before, counts)
            coming = None
            if self._ahead and counted.number % (self._ahead // TOLD_AGAIN) == 0:
                # As if the proportions stayed: it is only a hint.
                coming, _ = self._gather(before, [self._ahead * count for count in counts])
            yield BatchIds(ids[mine], epochs[mine], coming)

    def _gather(self, before: list[int], counts: list[int]) -> tuple[Ids, Ids]:
        """The next samples of each stream and their epochs, `counts` of them."""
        firsts = self.starts[:-1].tolist()
        each = zip(self.streams, before, counts, firsts, strict=True)
        ids, epochs = zip(*[self._take(*one) for one in each], strict=True)
        return np.concatenate(ids), np.concatenate(epochs)

    @staticmethod
    def _take(stream: Stream, position: int, count: int, first: int) -> tuple[Ids, Ids]:
        """Sample ids [count] of a stream from a position on, and the stream's epoch of each."""
        ids, epochs = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        while count:
            epoch, at = divmod(position, stream.samples)
            piece = stream.ids(stream.order(epoch)[at : at + count])
            ids.append(piece + first)
            epochs.append(np.full(len(piece), epoch))
            position, count = position + len(piece), count - len(piece)
        return np.concatenate(ids), np.concatenate(epochs)


class MixedWindows:
    """The windows of several streams by their ids in a mixture.

    Args:
        windows: of each stream, by its name.
        starts: [streams + 1] id of each stream's first window, and one past the last.
    """

    def __init__(self, windows: Mapping[str, Windows], starts: NDArray[np.int64]):
        self.names, self._windows, self._starts = list(windows), list(windows.values()), starts
        lengths = {each.length for each in self._windows}
        self.length = lengths.pop() if len(lengths) == 1 else None

    def gather(self, ids: Ids) -> NDArray[Any]:
        """Windows of samples `ids` [n], in that order: structured array [n] with `sequence`.

        Where lengths vary, within a stream or between them, it is as `Shards.gather` returns it.
        """
        streams = self.stream_of(ids)
        parts = []
        for stream in np.unique(streams):
            here = np.flatnonzero(streams == stream)
            parts.append((here, self._windows[stream].gather(ids[here] - self._starts[stream])))
        longest = max(rows["sequence"].shape[1] for _, rows in parts)
        fields: list[Any] = [("sequence", np.uint8, (longest,))]
        if self.length is None:
            fields.append(("length", np.int64))
        found = np.zeros(len(ids), fields)
        for here, rows in parts:
            stored = rows["sequence"].shape[1]
            found["sequence"][here, :stored] = rows["sequence"]
            if self.length is None:
                varies = "length" in (rows.dtype.names or ())
                found["length"][here] = rows["length"] if varies else stored
        return found

    def prefetch(self, ids: Ids) -> None:
        """Fetch coming samples in the background, each stream's in this order."""
        streams = self.stream_of(ids)
        for stream in np.unique(streams):
            here = ids[streams == stream] - self._starts[stream]
            self._windows[stream].prefetch(here)

    def stream_of(self, ids: Ids) -> Ids:
        """Number int64 [n] of the stream that samples `ids` [n] are of."""
        return np.searchsorted(self._starts, ids, side="right") - 1


class MixedDataset(WindowDataset):
    """Batches that also say in `stream` [batch] which stream each window is of."""

    def __getitem__(self, batch: BatchIds) -> dict[str, Any]:
        """Read a batch, see `read_batch`."""
        windows = self.windows
        assert isinstance(windows, MixedWindows)
        return {**super().__getitem__(batch), "stream": windows.stream_of(batch.ids)}
