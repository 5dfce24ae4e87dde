"""The genome beside its windows: genome.fa with its index, for scoring variants later."""

import io
import os
from pathlib import Path
from types import TracebackType

import numpy as np

from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.files import write_durably

LINE = 100
FILE_NAME = "genome.fa"


class GenomeFile:
    """Writes contigs to genome.fa and, at the end, genome.fa.fai, which samtools and pysam read.

    Args:
        directory: where to write; must not hold a genome.fa yet.
    """

    def __init__(self, directory: Path):
        self._path = directory / FILE_NAME
        self._file: io.BufferedWriter = self._path.open("xb")
        self._index: list[str] = []

    def __enter__(self) -> "GenomeFile":
        return self

    def write(self, contig: Contig) -> None:
        """Append a whole contig, case kept, in lines of `LINE` bases."""
        bases = contig.sequence
        full = len(bases) - len(bases) % LINE
        self._file.write(f">{contig.name}\n".encode())
        columns = [contig.name, len(bases), self._file.tell(), LINE, LINE + 1]
        self._index.append("\t".join(map(str, columns)) + "\n")
        lines = np.full((full // LINE, LINE + 1), ord("\n"), dtype=np.uint8)
        lines[:, :LINE] = bases[:full].reshape(-1, LINE)
        self._file.write(lines.data)
        if full < len(bases):
            self._file.write(bases[full:].tobytes() + b"\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._file.close()
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # After the genome: readers take an index older than its genome for stale.
        write_durably(Path(f"{self._path}.fai"), "".join(self._index).encode())
