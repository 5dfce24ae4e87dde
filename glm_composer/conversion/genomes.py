"""A genome file with its annotation -> an assembly, whatever the formats.

Everything an assembly holds can be pickled, so that other processes may read its contigs; a
format with random access lets one contig be read without the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar

from glm_composer.conversion import genbank
from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Assembly, Contig, SourceFile
from glm_composer.conversion.bed import read_bed
from glm_composer.conversion.fasta import Record, read_fasta, read_record, scan_fasta
from glm_composer.conversion.files import describe, is_compressed
from glm_composer.conversion.gff import read_gff3, read_gtf
from glm_composer.conversion.two_bit import read_two_bit, two_bit_lengths
from glm_composer.errors import UserError

_ANNOTATION_READERS = {
    ".gff3": read_gff3,
    ".gff": read_gff3,
    ".gtf": read_gtf,
    ".bed": read_bed,
}


def is_genbank(path: Path) -> bool:
    """Return whether a file is GenBank by its suffix, .gz or .zip included."""
    return path.name.removesuffix(".gz").endswith((*genbank.SUFFIXES, ".zip"))


def genome_assembly(name: str, path: Path, licence: str | None = None) -> Assembly:
    """Return the assembly of a FASTA (plain, gzip, bgzip) or 2bit file, without transcripts.

    A FASTA is read through once for its lengths, which checks all of its sequence: what is wrong
    is said before an hour of writing.

    Raises:
        UserError: as `scan_fasta` or `two_bit_lengths`.
    """
    if path.name.endswith(".2bit"):
        lengths = two_bit_lengths(path)
        return Assembly(
            name=name,
            files=(describe(path, licence=licence),),
            lengths=lengths,
            contigs=partial(read_two_bit, path, lengths),
            only=partial(partial, read_two_bit, path),
        )
    # Side by side: hashing leaves the interpreter to the scan.
    with ThreadPoolExecutor(1) as thread:
        file = thread.submit(describe, path, licence=licence)
        records = scan_fasta(path)
    return Assembly(
        name=name,
        files=(file.result(),),
        lengths={contig: record.length for contig, record in records.items()},
        contigs=partial(read_fasta, path),
        only=None if is_compressed(path) else partial(_only_of_fasta, path, records),
    )


def genbank_assembly(name: str, path: Path, file: SourceFile) -> Assembly:
    """Return the assembly of a GenBank file; it is held in memory, one byte a base."""
    records = list(genbank.read_genbank(path))
    contigs = {contig.name: contig for contig, _ in records}
    return Assembly(
        name=name,
        files=(file,),
        lengths={contig.name: len(contig.sequence) for contig in contigs.values()},
        contigs=partial(iter, list(contigs.values())),
        only=partial(_only_held, contigs),
        transcripts={contig.name: transcripts for contig, transcripts in records},
    )


def read_annotation(
    path: Path, lengths: Mapping[str, int], allow_missing_contigs: bool = False
) -> list[Transcript]:
    """Read an annotation by its suffix: .gff3, .gff, .gtf or .bed, each also with .gz.

    Raises:
        UserError: another suffix, or what the reader of the format finds wrong.
    """
    read = _ANNOTATION_READERS[annotation_suffix(path)]
    return read(path, lengths, allow_missing_contigs)


def annotation_suffix(path: Path) -> str:
    """Return the suffix of an annotation, without .gz, or raise a UserError for an unknown one."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in _ANNOTATION_READERS:
        raise UserError(
            f"{path}: unknown annotation format '{suffix}'; use one of "
            f"{', '.join(_ANNOTATION_READERS)}, plain or .gz"
        )
    return suffix


def by_contig(transcripts: Iterable[Transcript]) -> dict[str, list[Transcript]]:
    """Group transcripts by their contig, order kept."""
    groups: dict[str, list[Transcript]] = {}
    for transcript in transcripts:
        groups.setdefault(transcript.contig, []).append(transcript)
    return groups


class TranscriptFile(Mapping[str, Sequence[Transcript]]):
    """The transcripts of an assembly by contig, read when they are first asked for.

    A process keeps those of one assembly only: the annotations of hundreds would not fit into
    memory, and assemblies are worked through one after the other.

    Args:
        owner: whose transcripts they are, unlike any other's; errors begin with it.
        read: reads them.
    """

    _kept: ClassVar[tuple[str, dict[str, list[Transcript]]] | None] = None

    def __init__(self, owner: str, read: Callable[[], Iterable[Transcript]]):
        self._owner = owner
        self._read = read

    def _groups(self) -> dict[str, list[Transcript]]:
        # Not by identity: another process gets a copy with every contig it is asked for.
        if TranscriptFile._kept is None or TranscriptFile._kept[0] != self._owner:
            TranscriptFile._kept = None
            try:
                TranscriptFile._kept = self._owner, by_contig(self._read())
            except UserError as error:
                raise UserError(f"{self._owner}: {error}") from None
        return TranscriptFile._kept[1]

    def __getitem__(self, contig: str) -> Sequence[Transcript]:
        return self._groups()[contig]

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups())

    def __len__(self) -> int:
        return len(self._groups())


def genbank_contigs(path: Path) -> Iterator[Contig]:
    """Yield the contigs of a GenBank file."""
    return (contig for contig, _ in genbank.read_genbank(path))


def genbank_transcripts(path: Path) -> Iterator[Transcript]:
    """Yield the transcripts of a GenBank file."""
    return (each for _, transcripts in genbank.read_genbank(path) for each in transcripts)


# Whoever reads some contigs, perhaps in another process, is handed what it needs for those only.
def _only_of_fasta(
    path: Path, records: Mapping[str, Record], names: Sequence[str]
) -> Callable[[], Iterator[Contig]]:
    return partial(_some_of_fasta, path, {name: records[name] for name in names})


def _some_of_fasta(path: Path, records: Mapping[str, Record]) -> Iterator[Contig]:
    return (read_record(path, name, record) for name, record in records.items())


def _only_held(
    contigs: Mapping[str, Contig], names: Sequence[str]
) -> Callable[[], Iterator[Contig]]:
    return partial(iter, [contigs[name] for name in names])
