"""Tables of ready windows (JSONL, Parquet, a Hub dataset) -> `Windows`, a whole batch at a time.

Text columns are taken as Arrow holds them, one buffer a column: places are parsed and letters
checked by vectorised functions, and no base or row becomes a Python object but its contig's name.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glm_composer.conversion.assembly import Windows
from glm_composer.sequence import Bytes, is_iupac

# CONTIG:START-END, with the strand in brackets where there is one (as bedtools writes it). A name
# may hold colons; RE2 takes the longest.
_PLACE = (
    r"^(?P<contig>.*\S.*):(?P<start>[0-9]{1,18})-(?P<end>[0-9]{1,18})(?:\((?P<strand>[+-])\))?$"
)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns say what.

    Attributes:
        seq: the bases, case kept.
        id: the place as "contig:start-end", perhaps with "(+)" or "(-)" behind; not used where
            `contig` and `start` are given.
        contig: name of the contig.
        start: first position, on the plus strand.
        strand: `+`, `-`, 1 or -1; without it all windows are of the plus strand.
        first_base: number that the places give to the first base: 0 (half-open, as BED and GPN)
            or 1 (closed, as samtools).
    """

    seq: str = "seq"
    id: str = "id"
    contig: str | None = None
    start: str | None = None
    strand: str | None = None
    first_base: Literal[0, 1] = 0

    def __post_init__(self) -> None:
        if (self.contig is None) != (self.start is None):
            raise ValueError("'contig' and 'start' go together; give both, or neither for 'id'")

    @property
    def needed(self) -> list[str]:
        """Names of the columns to read."""
        place = [self.id] if self.contig is None else [self.contig, str(self.start)]
        return [self.seq, *place, *([self.strand] if self.strand else [])]


class BadRow(Exception):
    """A row that cannot be a window; `row` counts from 0 within the batch."""

    def __init__(self, row: int, message: str):
        super().__init__(message)
        self.row = row


def to_windows(
    batch: Any, columns: Columns, length: int | None = None, longest: int | None = None
) -> Windows:
    """Turn a batch of rows into windows.

    Args:
        batch: pyarrow Table or RecordBatch [n] with the columns `columns.needed`.
        columns: which column says what.
        length: bases of every window; None takes the first row's.
        longest: lengths may vary instead, up to so many bases.

    Raises:
        BadRow: the first row of what is wrong: an absent value, windows of unequal length (or
            longer than `longest`), a letter outside the IUPAC nucleotide codes, a place that is
            none or is not as long as its window.
    """
    import pyarrow as pa
    from pyarrow import compute as pc

    strand = None
    values = {name: _plain(batch.column(name)) for name in columns.needed}
    for name, value in values.items():
        if value.null_count:
            raise BadRow(_first(pc.is_null(value)), f"no value of '{name}'; remove the row")
    sequence, sizes = _letters(columns.seq, values[columns.seq], length, longest)
    if columns.contig is None:
        contig, start, strand = _places(columns, values[columns.id], sizes)
    else:
        contig = _text(columns.contig, values[columns.contig])
        try:
            start = _integers(values[str(columns.start)])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise BadRow(0, f"'{columns.start}' is not a column of whole numbers") from None
    start = start - columns.first_base
    if (start < 0).any():
        row = _first(start < 0)
        raise BadRow(row, f"start {start[row] + columns.first_base} lies before the contig")
    if columns.strand is not None:
        strand = _text(columns.strand, values[columns.strand])
    lengths = None if longest is None else sizes
    return Windows(sequence, contig.to_pylist(), start, _strands(strand, len(start)), lengths)


def _places(columns: Columns, column: Any, sizes: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Contig, start and strand of rows by their ids, which span `sizes` bases."""
    from pyarrow import compute as pc

    ids = _text(columns.id, column)
    place = pc.extract_regex(ids, _PLACE)
    if place.null_count:
        row = _first(pc.is_null(place))
        raise BadRow(row, f"'{columns.id}' = '{ids[row]}' is not contig:start-end")
    start, end = (_integers(place.field(name)) for name in ("start", "end"))
    spans = end - start + columns.first_base
    if (spans != sizes).any():
        row = _first(spans != sizes)
        raise BadRow(
            row, f"'{columns.id}' = '{ids[row]}' spans {spans[row]} bases, not {sizes[row]}"
        )
    return place.field("contig"), start, place.field("strand")


def rows_of(
    batches: Iterable[Any],
    columns: Columns,
    length: int | None = None,
    longest: int | None = None,
) -> Iterator[Windows]:
    """Turn batches into windows of one length, the first row's where none is given.

    With `longest` lengths may vary, up to so many bases.

    Raises:
        BadRow: as `to_windows`; `row` counts from the first batch.
    """
    before = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        try:
            windows = to_windows(batch, columns, length, longest)
        except BadRow as bad:
            raise BadRow(before + bad.row, str(bad)) from None
        before += batch.num_rows
        if longest is None:
            length = windows.sequence.shape[1]
        yield windows


def _plain(column: Any) -> Any:
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    # Of several chunks that do not fit into one, combine_chunks leaves a ChunkedArray.
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _letters(
    name: str, column: Any, length: int | None, longest: int | None
) -> tuple[Bytes, NDArray[np.int64]]:
    """Return the letters [n, length] of a text column, and how many there are in each row.

    A view of the column's buffer; with `longest` a copy, with zeros behind shorter rows.
    """
    import pyarrow as pa

    try:
        text = column.cast(pa.large_binary())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise BadRow(0, f"'{name}' is a column of {column.type}, not of text") from None
    ends = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset :][: len(text) + 1]
    sizes = np.diff(ends)
    size = int(sizes[0]) if length is None else length
    if longest is None and (sizes != size).any():
        row = _first(sizes != size)
        held = f"'{name}' holds {sizes[row]} bases, the rows before it {size}"
        raise BadRow(row, f"{held}; windows.varying=true keeps windows of several lengths")
    if not sizes.all():
        raise BadRow(_first(sizes == 0), f"'{name}' is empty; remove the row")
    if longest is not None and (sizes > longest).any():
        held = f"'{name}' holds {sizes.max():,} bases, more than 'windows.length' ({longest:,})"
        raise BadRow(int(sizes.argmax()), f"{held}; raise it, or remove the row")
    data = np.frombuffer(text.buffers()[2], dtype=np.uint8)[ends[0] : ends[-1]]
    valid = is_iupac(data)
    if not valid.all():
        at = int(np.argmin(valid))
        row = int(np.searchsorted(ends - ends[0], at, side="right")) - 1
        raise BadRow(
            row,
            f"'{name}' holds {chr(data[at])!r} at base {at - (ends[row] - ends[0]) + 1}, not an "
            "IUPAC nucleotide code",
        )
    if longest is None:
        return data.reshape(len(text), size), sizes
    letters = np.zeros((len(text), int(sizes.max())), dtype=np.uint8)
    letters[np.arange(letters.shape[1]) < sizes[:, None]] = data
    return letters, sizes


def _text(name: str, column: Any) -> Any:
    import pyarrow as pa

    try:
        text = column.cast(pa.string())
        # Arrow's JSON reader takes any bytes for text.
        text.validate(full=True)
    except pa.ArrowNotImplementedError:
        raise BadRow(0, f"'{name}' is a column of {column.type}, not of text") from None
    except pa.ArrowInvalid:
        values = column.cast(pa.large_binary()).to_pylist()
        row = next(row for row, value in enumerate(values) if not _is_utf8(value))
        raise BadRow(row, f"'{name}' = {values[row]!r} is not UTF-8 text") from None
    return text


def _is_utf8(value: bytes) -> bool:
    return value.decode(errors="ignore").encode() == value


def _integers(column: Any) -> NDArray[np.int64]:
    import pyarrow as pa

    return column.cast(pa.int64()).to_numpy(zero_copy_only=False)


def _strands(text: Any, count: int) -> NDArray[np.int8]:
    if text is None:
        return np.ones(count, dtype=np.int8)
    import pyarrow as pa
    from pyarrow import compute as pc

    # An id without brackets has an empty strand, and is of the plus strand.
    known = pa.array(["+", "1", "", "-", "-1"])
    found = pc.index_in(text, value_set=known)
    if found.null_count:
        row = _first(pc.is_null(found))
        raise BadRow(row, f"strand '{text[row]}' is neither + nor -")
    return np.where(found.to_numpy(zero_copy_only=False) < 3, 1, -1).astype(np.int8)


def _first(mask: Any) -> int:
    return int(np.argmax(np.asarray(mask)))
