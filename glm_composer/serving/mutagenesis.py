"""In-silico saturation mutagenesis: every single-nucleotide variant of regions of a genome.

Each position is [MASK]ed in a window of its own, once a strand; that one answer holds its three
variants and its column of the region's sequence logo. A causal model weighs whole windows instead,
one with each base (see `sites`). Regions are worked through in pieces, so
that memory does not grow with them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glm_composer import sequence
from glm_composer.evaluation.scores import Strands, score_variants
from glm_composer.evaluation.sites import (
    Floats,
    expected_bases,
    expected_by_likelihood,
    variants_of,
)
from glm_composer.genome import Genome
from glm_composer.sequence import Bytes
from glm_composer.serving.model import ServedModel
from glm_composer.serving.output import new_directory
from glm_composer.serving.provenance import provenance
from glm_composer.serving.regions import Region

TABLE, SUMMARY = "mutagenesis.parquet", "summary.json"
LONGEST_DRAWN = 1_000
"""Positions of the longest region that pictures are drawn of."""

# Positions between two moves of the bar; at least as many as are drawn.
_PIECE = 1 << 10
_ROW_GROUP = 1 << 16
_SCHEMA = pa.schema(
    [
        ("region", pa.string()),
        ("chrom", pa.string()),
        ("pos", pa.int64()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("LLR", pa.float32()),
        ("ref_probability", pa.float32()),
        ("alt_probability", pa.float32()),
    ]
)
_LETTERS = pa.array(["A", "C", "G", "T"])


@dataclass(frozen=True, kw_only=True)
class Mutated:
    """What became of a region.

    Attributes:
        name: of the region.
        region: as text, 1-based, both ends included.
        positions: how many it has.
        unknown: how many of them are N or another code that is no base, and have no rows.
        picture: file name of its pictures, without the ending; None where none were drawn.
    """

    name: str
    region: str
    positions: int
    unknown: int
    picture: str | None


def mutate(
    model: ServedModel,
    genome: Genome,
    regions: Sequence[Region],
    out: Path,
    *,
    strands: Strands = "both",
    notes: Mapping[str, str] = MappingProxyType({}),
    pictures: bool = True,
    advance: Callable[[int], None] = lambda positions: None,
) -> list[Mutated]:
    """Score every single-nucleotide variant of regions, and draw them.

    Makes the directory `out`, which appears when all is done, with

    - `mutagenesis.parquet`: three rows a position, region after region: `region` (its name),
      `chrom`, `pos` (1-based), `ref`, `alt`, `LLR` (log-likelihood ratio of alt over ref in nats,
      negative where the model prefers ref), `ref_probability` and `alt_probability` (see
      `sites.expected_bases`); its metadata say of which model and genome;
    - a PNG and an SVG of each region of at most `LONGEST_DRAWN` positions;
    - `summary.json`: the same metadata, and the regions with their counts.

    Args:
        model: of a causal one, LLR are those of whole windows.
        genome: that the regions lie on.
        regions: checked against it.
        out: directory to make.
        strands: average over both strands, or the forward one alone.
        notes: what else the metadata should say.
        pictures: whether to draw regions.
        advance: told of positions as they are done.

    Raises:
        UserError: `out` is there, the genome cannot be read, or the directory cannot be written.
    """
    said = provenance(model, genome, strands=strands, **notes)
    done = []
    with new_directory(out) as aside:
        with _Table(aside / TABLE, said) as table:
            for region in regions:
                drawn = pictures and len(region) <= LONGEST_DRAWN
                unknown = 0
                for start, bases, expected in _answers(model, genome, region, strands):
                    table.add(_rows(region, start, bases, expected))
                    unknown += int(np.isnan(expected[:, 0]).sum())
                    if drawn:  # it is one piece
                        _draw(aside / region.file_stem, region, bases, expected, model, strands)
                    advance(len(bases))
                done.append(
                    Mutated(
                        name=region.name,
                        region=str(region),
                        positions=len(region),
                        unknown=unknown,
                        picture=region.file_stem if drawn else None,
                    )
                )
        content = said | {"regions": [asdict(each) for each in done]}
        (aside / SUMMARY).write_text(json.dumps(content, indent=2) + "\n")
    return done


def _answers(
    model: ServedModel, genome: Genome, region: Region, strands: Strands
) -> Iterator[tuple[int, Bytes, Floats]]:
    """Pieces of a region: 0-based start, ASCII bases [n], log-probabilities [n, 4]."""
    centre = model.window // 2
    for start in range(region.start, region.end, _PIECE):
        n = min(_PIECE, region.end - start)
        # One window that holds those of all positions.
        width = n + model.window - 1
        middle = np.array([start - centre + width // 2])
        stretch = genome.windows([region.contig], middle, width)[0]
        yield start, stretch[centre : centre + n], _expected(model, stretch, strands)


def _expected(model: ServedModel, stretch: Bytes, strands: Strands) -> Floats:
    """Log-probabilities [n, 4] at the positions of a stretch [n + window - 1]."""
    predictor, width = model.predictor, model.window
    if not model.causal:
        return expected_bases(
            predictor.at, stretch, width, strands=strands, batch_size=predictor.batch_size
        )

    def ratios(windows: Bytes, ref: Bytes, alt: Bytes) -> Floats:
        return score_variants(predictor, windows, ref, alt, ["LLR"], strands=strands)["LLR"]

    return expected_by_likelihood(ratios, stretch, width, batch_size=predictor.batch_size)


def _rows(region: Region, start: int, bases: Bytes, expected: Floats) -> pa.Table:
    """Three rows for each position that has a base."""
    known = np.flatnonzero(~np.isnan(expected[:, 0]))
    expected = expected[known]
    ref = sequence.encode(bases[known])
    alt = variants_of(ref) - sequence.FIRST_BASE
    ref = np.repeat(ref - sequence.FIRST_BASE, 3).reshape(-1, 3)
    of_ref, of_alt = (np.take_along_axis(expected, each, axis=1).ravel() for each in (ref, alt))
    n = 3 * len(known)
    columns = [
        pa.repeat(region.name, n),
        pa.repeat(region.contig, n),
        np.repeat(start + 1 + known, 3),
        _LETTERS.take(pa.array(ref.ravel())),
        _LETTERS.take(pa.array(alt.ravel())),
        of_alt - of_ref,
        np.exp(of_ref),
        np.exp(of_alt),
    ]
    return pa.table([pa.array(column) for column in columns], schema=_SCHEMA)


def _draw(
    stem: Path,
    region: Region,
    bases: Bytes,
    expected: Floats,
    model: ServedModel,
    strands: Strands,
) -> None:
    # matplotlib takes half a second to import.
    from glm_composer.serving.region_picture import save_picture

    averaged = "mean of both strands" if strands == "both" else "forward strand"
    how = "weighed by the likelihood of" if model.causal else "masked in"
    remark = f"{model.name}, each position {how} {model.window:,} bases, {averaged}"
    save_picture(stem, region, bases, expected, remark=remark)


class _Table:
    """A Parquet file that is written a row group at a time, small regions together."""

    def __init__(self, path: Path, metadata: dict[str, str]):
        self._writer = pq.ParquetWriter(path, _SCHEMA.with_metadata(metadata))
        self._waiting: list[pa.Table] = []

    def __enter__(self) -> "_Table":
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting = []
