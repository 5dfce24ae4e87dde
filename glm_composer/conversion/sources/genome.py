"""A genome of the user's own: FASTA or 2bit with an optional annotation, or GenBank."""

from dataclasses import dataclass, replace
from pathlib import Path

from glm_composer.conversion.assembly import Assembly
from glm_composer.conversion.files import describe
from glm_composer.conversion.genomes import (
    by_contig,
    genbank_assembly,
    genome_assembly,
    read_annotation,
)
from glm_composer.registry import sources


@dataclass(frozen=True, kw_only=True)
class GenomeFiles:
    """Settings of `genome`: exactly one of `fasta` and `genbank`.

    Attributes:
        fasta: path of a FASTA, plain, gzip or bgzip, or of a .2bit file. Of a compressed one a
            single process reads all contigs; several share a plain one or a .2bit.
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
    """Return the one assembly of a FASTA, 2bit or GenBank file."""
    path = Path(settings.fasta or settings.genbank or "").expanduser()
    name = settings.assembly or path.name.split(".")[0]
    if settings.genbank:
        return [genbank_assembly(name, path, describe(path, licence=settings.licence))]
    assembly = genome_assembly(name, path, settings.licence)
    if settings.annotation:
        annotation = Path(settings.annotation).expanduser()
        found = read_annotation(annotation, assembly.lengths, settings.allow_missing_contigs)
        files = (*assembly.files, describe(annotation, licence=settings.licence))
        assembly = replace(assembly, files=files, transcripts=by_contig(found))
    return [assembly]
