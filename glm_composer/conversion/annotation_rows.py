"""What the rows of GFF3, GTF and BED have in common: an interval, checked at its line."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from glm_composer.errors import UserError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """One annotation row, 0-based, half-open; `strand` is +1, -1, or 0 where there is none."""

    line: int
    contig: str
    kind: str
    start: int
    end: int
    strand: int
    attributes: str


class RowChecker:
    """Turns the text of a row into a `Row`, checked against the genome.

    Args:
        path: the file, for messages.
        lengths: contig name -> length of the genome.
        allow_missing_contigs: leave out (and count in `left_out`) rows on contigs that the genome
            lacks, instead of refusing the file.
    """

    def __init__(
        self, path: Path, lengths: Mapping[str, int], allow_missing_contigs: bool = False
    ):
        self.path = path
        self.lengths = lengths
        self.allow_missing_contigs = allow_missing_contigs
        self.left_out = 0
        self._first_missing = ("", 0)

    def error(self, line: int, message: str) -> UserError:
        """Return a UserError that names the file and the line."""
        return UserError(f"{self.path}, line {line}: {message}")

    def row(
        self,
        line: int,
        contig: str,
        kind: str,
        start: str,
        end: str,
        strand: str,
        *,
        first_base: int,
        attributes: str = "",
    ) -> Row | None:
        """Return the checked row, or None where its contig is missing and that is allowed.

        Args:
            line: 1-based line number.
            contig: name of the contig.
            kind: feature type.
            start: first position, as written.
            end: last position (`first_base` 1: closed) or one past it (0: half-open), as written.
            strand: `+`, `-`, `.` or `?`.
            first_base: number the format gives to the first base of a contig.
            attributes: the rest of the row, untouched.
        """
        if contig not in self.lengths:
            if not self.allow_missing_contigs:
                raise self.error(
                    line,
                    f"contig '{contig}' is not in the genome ({_some(self.lengths)}); use "
                    "the matching genome, or leave such rows out with "
                    "source.allow_missing_contigs=true",
                )
            self.left_out += 1
            if not self._first_missing[0]:
                self._first_missing = (contig, line)
            return None
        try:
            begin, stop = int(start) - first_base, int(end)
        except ValueError:
            raise self.error(
                line, f"start '{start}' and end '{end}' must be whole numbers"
            ) from None
        if begin >= stop:
            raise self.error(line, f"start {start} lies behind end {end}; swap or correct them")
        if begin < 0 or stop > self.lengths[contig]:
            raise self.error(
                line,
                f"{start}-{end} leaves contig '{contig}' of {self.lengths[contig]:,} bases; "
                "is the annotation of another assembly?",
            )
        if strand not in ("+", "-", ".", "?"):
            raise self.error(line, f"unknown strand '{strand}'; it must be + or -")
        return Row(line, contig, kind, begin, stop, {"+": 1, "-": -1}.get(strand, 0), attributes)

    def need_strand(self, row: Row) -> Row:
        """Return the row, which must have a strand."""
        if not row.strand:
            raise self.error(row.line, f"unknown strand of a {row.kind}; it must be + or -")
        return row

    def finish(self, transcripts: int) -> None:
        """Check what can only be known at the end of the file."""
        contig, line = self._first_missing
        if not transcripts and contig:
            raise self.error(
                line,
                f"no annotated contig ('{contig}', ...) is in the genome ({_some(self.lengths)}); "
                "use the matching genome",
            )
        if not transcripts:
            raise UserError(
                f"{self.path}: no transcript or gene in the file; is it an annotation?"
            )
        if contig:
            _LOG.warning(
                "%s: %d rows left out, on contigs that the genome lacks (first '%s', line %d)",
                self.path,
                self.left_out,
                contig,
                line,
            )


def _some(names: Mapping[str, int]) -> str:
    shown = list(names)[:3]
    return ", ".join(shown) + (", ..." if len(names) > 3 else "")
