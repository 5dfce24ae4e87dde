"""A genome of the user's own: FASTA with an optional annotation, or GenBank."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Assembly, SourceFile
from glm_composer.conversion.bed import read_bed
from glm_composer.conversion.fasta import read_fasta
from glm_composer.conversion.files import describe
from glm_composer.conversion.genbank import read_genbank
from glm_composer.conversion.gff import read_gff3, read_gtf
from glm_composer.errors import UserError
from glm_composer.registry import sources

_ANNOTATION_READERS = {
    ".gff3": read_gff3,
    ".gff": read_gff3,
    ".gtf": read_gtf,
    ".bed": read_bed,
}


@dataclass(frozen=True, kw_only=True)
class GenomeFiles:
    """Settings of `genome`: exactly one of `fasta` and `genbank`.

    Attributes:
        fasta: path, plain, gzip or bgzip.
        genbank: path of a flat file, or of a zip of flat files; carries its own annotation.
        annotation: path of a .gff3/.gff, .gtf or .bed file (or .gz of one) that goes with `fasta`.
        allow_missing_contigs: leave out annotation rows on contigs that the genome lacks.
        assembly: the assembly's name; the file's name without its suffixes where not given.
        licence: of the files, for the manifest.
    """

    name: str = "genome"
    fasta: str | None = None
    genbank: str | None = None
    annotation: str | None = None
    allow_missing_contigs: bool = False
    assembly: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if (self.fasta is None) == (self.genbank is None):
            raise ValueError("give either 'fasta' or 'genbank'")
        if self.genbank is not None and self.annotation is not None:
            raise ValueError("'annotation' goes with 'fasta'; a GenBank file carries its own")


@sources.register("genome")
def genome(settings: GenomeFiles) -> list[Assembly]:
    """Return the one assembly of a FASTA or GenBank file."""
    path = Path(settings.fasta or settings.genbank or "").expanduser()
    name = settings.assembly or path.name.split(".")[0]
    if settings.genbank:
        return [genbank_assembly(name, path, describe(path, licence=settings.licence))]
    # Read once for the lengths (and every check of the sequence), again for the windows: a genome
    # that fails does so before an hour of writing, and memory holds one contig at a time.
    lengths = {contig.name: len(contig.sequence) for contig in read_fasta(path)}
    files = [describe(path, licence=settings.licence)]
    transcripts: list[Transcript] = []
    if settings.annotation:
        annotation = Path(settings.annotation).expanduser()
        transcripts = read_annotation(annotation, lengths, settings.allow_missing_contigs)
        files.append(describe(annotation, licence=settings.licence))
    return [
        Assembly(
            name=name,
            files=tuple(files),
            lengths=lengths,
            contigs=lambda: read_fasta(path),
            transcripts=by_contig(transcripts),
        )
    ]


def genbank_assembly(name: str, path: Path, file: SourceFile) -> Assembly:
    """Return the assembly of a GenBank file; it is held in memory, one byte a base."""
    records = list(read_genbank(path))
    contigs = [contig for contig, _ in records]
    return Assembly(
        name=name,
        files=(file,),
        lengths={contig.name: len(contig.sequence) for contig in contigs},
        contigs=lambda: iter(contigs),
        transcripts={contig.name: transcripts for contig, transcripts in records},
    )


def read_annotation(
    path: Path, lengths: dict[str, int], allow_missing_contigs: bool = False
) -> list[Transcript]:
    """Read an annotation by its suffix: .gff3, .gff, .gtf or .bed, each also with .gz.

    Raises:
        UserError: another suffix, or what the reader of the format finds wrong.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in _ANNOTATION_READERS:
        raise UserError(
            f"{path}: unknown annotation format '{suffix}'; use one of "
            f"{', '.join(_ANNOTATION_READERS)}, plain or .gz"
        )
    return _ANNOTATION_READERS[suffix](path, lengths, allow_missing_contigs)


def by_contig(transcripts: Iterable[Transcript]) -> dict[str, list[Transcript]]:
    """Group transcripts by their contig, order kept."""
    groups: dict[str, list[Transcript]] = {}
    for transcript in transcripts:
        groups.setdefault(transcript.contig, []).append(transcript)
    return groups
