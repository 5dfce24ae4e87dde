"""What a table calls a contig -> what the genome calls it, by an explicit table and never a guess.

A name that the genome has stands for itself. Any other one is looked up: in the table of known
assemblies (see `assemblies`), where the genome's contig must have the very length that the
assembly's has, or in a table of the user's. What neither knows stays as it is, and its rows are
told as on unknown contigs.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from glm_composer.errors import UserError
from glm_composer.variant_files.assemblies import chromosomes

_LOG = logging.getLogger(__name__)
_SHOWN = 3


class ContigNames:
    """Sets of names that mean the same contig.

    Args:
        rows: (source, length, names); a length of None asks for none of the genome's contig.
    """

    def __init__(self, rows: Iterable[tuple[str, int | None, tuple[str, ...]]]):
        self._rows_of: dict[str, list[tuple[str, int | None, tuple[str, ...]]]] = {}
        for row in rows:
            for name in row[2]:
                self._rows_of.setdefault(name, []).append(row)
        self._told: set[tuple[str, str]] = set()

    @classmethod
    def known(cls) -> Self:
        """Return the names in the assemblies of `assemblies`."""
        return cls((each.assembly, each.length, each.names) for each in chromosomes())

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a user's table: a line holds the names of one contig, with tabs between them.

        Lines that begin with # are comments. UCSC's chromAlias.txt is such a file.

        Raises:
            UserError: no such file, a line with one name only, a name on two lines.
        """
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as a table of contigs: {error}") from None
        rows = []
        line_of: dict[str, int] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            names = tuple(dict.fromkeys(part.strip() for part in line.split("\t") if part.strip()))
            if len(names) < 2:
                raise UserError(
                    f"{path}, line {number}: '{names[0]}' alone; a line holds two or more names "
                    "of one contig, with tabs between them"
                )
            for name in names:
                if line_of.setdefault(name, number) != number:
                    raise UserError(
                        f"{path}, line {number}: '{name}' is on line {line_of[name]} as well"
                    )
            rows.append((str(path), None, names))
        return cls(rows)

    def renames(self, names: Iterable[str], lengths: Mapping[str, int]) -> dict[str, str]:
        """Return what the genome calls those names that it does not have itself.

        Args:
            names: in a table, repeats allowed.
            lengths: of the genome's contigs, see `Genome.lengths`.

        Raises:
            UserError: a name that two of the genome's contigs answer to.
        """
        found: dict[str, str] = {}
        told: dict[str, list[str]] = {}
        for name in dict.fromkeys(names):
            if name in lengths:
                continue
            matches = {
                contig: source
                for source, length, alike in self._rows_of.get(name, ())
                for contig in alike
                if contig in lengths and length in (None, lengths[contig])
            }
            if len(matches) > 1:
                raise UserError(
                    f"contig '{name}' can be {' or '.join(repr(each) for each in matches)} of "
                    "the genome; write the genome's own names into the table of variants"
                )
            for contig, source in matches.items():
                found[name] = contig
                if (name, contig) not in self._told:
                    self._told.add((name, contig))
                    told.setdefault(source, []).append(f"{name} -> {contig}")
        for source, pairs in told.items():
            more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
            _LOG.info("contigs renamed as in %s: %s%s", source, ", ".join(pairs[:_SHOWN]), more)
        return found

    def resolve(self, names: Iterable[str], lengths: Mapping[str, int]) -> list[str]:
        """Return the genome's name of each contig [n]; an unknown one stays as it is.

        See `renames`, which also says what is raised. What is renamed is logged once.
        """
        names = list(names)
        found = self.renames(names, lengths)
        return [found.get(name, name) for name in names]
