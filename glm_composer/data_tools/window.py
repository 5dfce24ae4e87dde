"""One window, as it is stored and as training would see it: lines of bases with their places."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.manifest import Locus
from glm_composer.sequence import FIRST_BASE, MASK, PAD, Bytes, decode, reverse_complement

if TYPE_CHECKING:
    from glm_composer.data.prepare import Prepare

_LINE, _GROUP = 60, 10
MASKED, KEPT = "?", "="


@dataclass(frozen=True)
class View:
    """A window as something sees it.

    Attributes:
        letters: uint8 ASCII [length], case kept.
        places: int64 [length], the stored position of each letter, from 0.
        marks: one character a letter: `?` masked, a letter where the model sees that one instead,
            `=` asked for but left as it is, a blank where nothing is asked.
        turned: whether letters are the reverse complement of what is stored.
    """

    letters: Bytes
    places: NDArray[np.int64]
    marks: str | None = None
    turned: bool = False


def as_stored(sequence: Bytes) -> View:
    """Return a window as it is stored, uint8 ASCII [length]."""
    return View(sequence, np.arange(len(sequence)))


def as_prepared(
    sequence: Bytes, sample: int, epoch: int, prepare: "Prepare", varies: bool = False
) -> View:
    """Return a window as `prepare` makes it in an epoch: cropped, turned over and corrupted.

    Args:
        sequence: uint8 ASCII [length].
        sample: its id.
        epoch: 0-based.
        prepare: of the training stream, or of the evaluation's.
        varies: whether lengths of windows vary, so that a shorter one stays as it is.
    """
    places, turned = _trace(len(sequence), sample, epoch, prepare, varies)
    tensors = prepare(_batch(sequence[None], sample, epoch, varies))
    # What follows is padding.
    inputs, labels = (tensors[name].numpy()[0, : len(places)] for name in ("input_ids", "labels"))
    letters = sequence[places]
    if turned:
        letters = reverse_complement(letters)[::-1]
    return View(letters, places, _mark(inputs, labels), turned)


def _batch(sequence: Bytes, sample: int, epoch: int, varies: bool) -> dict[str, Any]:
    """Rows [n] of one sample, as a loader gives them to `Prepare`."""
    count, length = sequence.shape
    batch = {"sequence": sequence, "id": np.full(count, sample), "epoch": epoch}
    return {**batch, "length": np.full(count, length)} if varies else batch


def _trace(
    length: int, sample: int, epoch: int, prepare: "Prepare", varies: bool
) -> tuple[NDArray[np.int64], bool]:
    """Ask `prepare` itself which stored positions it shows, and whether turned over.

    It is given rows that spell each position in base four (a=0, c=1, g=2, t=3). Turning over makes
    every digit its complement, three minus it; the highest digit, 0 everywhere, gives that away.
    """
    from glm_composer.data.objective import Asked

    digits = np.arange(-(-length.bit_length() // 2) + 1)[:, None]
    spelt = decode(((np.arange(length) >> 2 * digits) & 3).astype(np.uint8) + np.uint8(FIRST_BASE))
    trace = type(prepare)(
        lambda ids, _: Asked(ids, ids),
        prepare.seed,
        prepare.window,
        1.0,
        random_crop=prepare.random_crop,
        random_strand=prepare.random_strand,
    )
    tensors = trace(_batch(spelt, sample, epoch, varies))
    seen = int(tensors["length"][0]) if varies else prepare.window
    read = tensors["labels"].numpy()[:, :seen].astype(np.int64) - FIRST_BASE
    turned = bool(read[-1, 0] == 3)
    return ((3 - read if turned else read) << 2 * digits).sum(axis=0), turned


def _mark(inputs: Bytes, labels: Bytes) -> str:
    marks = np.where(inputs == labels, np.uint8(ord(KEPT)), decode(inputs))
    marks = np.where(inputs == MASK, np.uint8(ord(MASKED)), marks)
    return np.where(labels == PAD, np.uint8(ord(" ")), marks).tobytes().decode()


def lines(view: View, locus: Locus) -> Iterator[tuple[str, str]]:
    """Yield lines of bases and of the marks below them, each with room for a position before it.

    The position is that of the line's first base: 0-based, on the plus strand.
    """
    length = locus.end - locus.start
    places = view.places if locus.strand > 0 else length - 1 - view.places
    width = len(f"{locus.end:,}")
    letters = view.letters.tobytes().decode()
    for first in range(0, len(letters), _LINE):
        place = f"{locus.start + int(places[first]):>{width},}"
        bases = f"{place}  {_grouped(letters[first : first + _LINE])}"
        marks = view.marks[first : first + _LINE] if view.marks is not None else ""
        yield bases, f"{'':{width}}  {_grouped(marks)}".rstrip()


def _grouped(text: str) -> str:
    return " ".join(text[i : i + _GROUP] for i in range(0, len(text), _GROUP))
