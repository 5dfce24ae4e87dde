"""2bit, UCSC's format of genomes -> contigs, each read without the others; soft masks are kept.

The format has N for every unknown base, and no case for it: N comes out in upper case.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from glm_composer.conversion.assembly import Contig
from glm_composer.errors import UserError

_MAGIC = 0x1A412743


def two_bit_lengths(path: str | Path) -> dict[str, int]:
    """Return contig -> length of a 2bit file, in file order, without reading sequence.

    Raises:
        UserError: missing, empty or truncated file, or one that is no 2bit.
    """
    path = Path(path)
    with _open(path) as file:
        lengths = dict(file.chroms())
    # Damage reads as nameless contigs, or as billions of bases; four of them take a byte.
    if not lengths or not all(lengths) or sum(lengths.values()) > 4 * path.stat().st_size:
        raise UserError(f"{path}: truncated or damaged 2bit file; fetch it again")
    for name, length in lengths.items():
        if not length:
            raise UserError(f"{path}: contig '{name}' has no sequence; is the file damaged?")
    return lengths


def read_two_bit(path: str | Path, names: Iterable[str]) -> Iterator[Contig]:
    """Yield the named contigs of a 2bit file.

    Raises:
        UserError: as `two_bit_lengths`, or a contig cannot be read.
    """
    path = Path(path)
    with _open(path) as file:
        for name in names:
            try:
                text = file.sequence(name)
            except RuntimeError:
                raise UserError(
                    f"{path}: contig '{name}' cannot be read; truncated? fetch it again"
                ) from None
            yield Contig(name, np.frombuffer(text.encode("ascii"), dtype=np.uint8))


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import py2bit

    try:
        with path.open("rb") as raw:
            head = raw.read(4)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise UserError(f"{path}: the file is empty; fetch or write it again")
    if _MAGIC not in (int.from_bytes(head, "little"), int.from_bytes(head, "big")):
        raise UserError(
            f"{path}: not a 2bit file (it begins with {head!r}); is the suffix wrong, or is it "
            "compressed?"
        )
    try:
        file = py2bit.open(str(path), storeMasked=True)
    except RuntimeError:
        raise UserError(f"{path}: truncated or damaged 2bit file; fetch it again") from None
    try:
        yield file
    finally:
        file.close()
