"""`glm mutagenesis` and `glm embed` as a command runs them: check, load, work, say what came out.

Everything that is cheap to check is checked before torch is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from glm_composer.errors import UserError
from glm_composer.genome import Genome
from glm_composer.genome_source import local_genome
from glm_composer.progress import progress_bar
from glm_composer.serving.command import log_notes
from glm_composer.serving.output import check_free
from glm_composer.serving.plan import digest_file
from glm_composer.serving.regions import parse_regions, read_bed_regions
from glm_composer.settings import structure
from glm_composer.variant_files.contigs import ContigNames

if TYPE_CHECKING:
    from glm_composer.serving.model import ServedModel


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a model is asked, and the one home of the defaults.

    Attributes:
        strands: average both strands, or read only the forward one.
        window: bases it is shown at once; None for what the verb says.
        batch_size: windows a forward pass; None for 16 on a CPU, 64 on a GPU.
        precision: `bf16` runs all but the decoder in bf16.
        compile: compile the network first.
        genome_sha256: of the genome's file, see `local_genome`.
        contigs: file of other names of contigs; None for those of known assemblies.
    """

    strands: Literal["both", "forward"] = "both"
    window: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    genome_sha256: str | None = None
    contigs: Path | None = None

    def names(self) -> ContigNames:
        """What else contigs are called than in the genome."""
        return ContigNames.from_file(self.contigs) if self.contigs else ContigNames.known()

    def notes(self) -> dict[str, str]:
        """What metadata of an output say of this."""
        contigs = {"contigs": digest_file(self.contigs)} if self.contigs else {}
        return {"precision": self.precision, **contigs}


def mutagenesis(
    checkpoint: Path,
    fasta: str | Path,
    texts: Sequence[str],
    bed: Path | None,
    out: Path,
    options: dict[str, Any],
    *,
    pictures: bool,
    quiet: bool,
) -> None:
    """Score and draw every single-nucleotide variant of regions; see `mutate`.

    Args:
        checkpoint: whatever `load_model` takes.
        fasta: of the genome, or its address.
        texts: regions, 1-based with both ends included; or none, and
        bed: a file of regions instead.
        out: directory to make.
        options: of `Asking`; None for a default.
        pictures: whether to draw.
        quiet: errors only.

    Raises:
        UserError: neither or both kinds of regions; as `mutate`.
    """
    log_notes(quiet)
    asking = _asking(options, "glm mutagenesis")
    if bool(texts) == (bed is not None):
        raise UserError("give either --region CONTIG:START-END, once or more, or --bed FILE")
    check_free(out)
    with Genome(local_genome(fasta, sha256=asking.genome_sha256)) as genome:
        names = asking.names()
        regions = parse_regions(texts, genome.lengths, names)
        if bed is not None:
            regions = read_bed_regions(bed, genome.lengths, names)
        model = _load(checkpoint, asking, asking.window)
        from glm_composer.serving.mutagenesis import LONGEST_DRAWN, mutate

        total = sum(map(len, regions))
        with progress_bar("mutating", total, "bp", visible=not quiet) as advance:
            done = mutate(
                model,
                genome,
                regions,
                out,
                strands=asking.strands,
                notes=asking.notes(),
                pictures=pictures,
                advance=advance,
            )
    if quiet:
        return
    unknown = sum(region.unknown for region in done)
    found = 3 * (total - unknown)
    print(f"{found:,} variants of {_count(total, 'position')} in {_count(len(done), 'region')}")
    if unknown:
        print(f"no rows: {_count(unknown, 'position')} without a base (N)")
    too_long = sum(len(region) > LONGEST_DRAWN for region in regions)
    if pictures and too_long:
        print(f"not drawn: {_count(too_long, 'region')} of over {LONGEST_DRAWN:,} positions")
    print(f"written to {out}")


def embed(
    checkpoint: Path,
    fasta: str | Path,
    source: Path,
    out: Path,
    options: dict[str, Any],
    *,
    centre: int | None,
    quiet: bool,
) -> None:
    """Write an embedding for each row of BED or of a file of variants; see `embed.embed`.

    Args:
        checkpoint: whatever `load_model` takes.
        fasta: of the genome, or its address.
        source: of the places.
        out: Parquet file to make.
        options: of `Asking`; None for a default.
        centre: average over so many central positions only.
        quiet: errors only.

    Raises:
        UserError: as `survey` and `embed.embed`.
    """
    log_notes(quiet)
    asking = _asking(options, "glm embed")
    check_free(out)
    with Genome(local_genome(fasta, sha256=asking.genome_sha256)) as genome:
        from glm_composer.serving.places import survey

        names = asking.names()
        found = survey(source, genome, asking.window, names)
        model = _load(checkpoint, asking, found.window)
        from glm_composer.serving.embed import embed as run

        with progress_bar("embedding", found.rows, "windows", visible=not quiet) as advance:
            run(
                model,
                genome,
                source,
                out,
                centre=centre,
                strands=asking.strands,
                names=names,
                notes=asking.notes(),
                advance=advance,
            )
    if quiet:
        return
    print(f"{_count(found.rows, 'window')} of {_count(model.window, 'base')} embedded")
    print(f"written to {out}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _asking(options: dict[str, Any], verb: str) -> Asking:
    given = {key: value for key, value in options.items() if value is not None}
    return structure(Asking, given, verb)


def _load(checkpoint: Path, asking: Asking, window: int | None) -> "ServedModel":
    from glm_composer.serving.model import load_model

    return load_model(
        checkpoint,
        batch_size=asking.batch_size,
        precision=asking.precision,
        compile=asking.compile,
        window=window,
    )
