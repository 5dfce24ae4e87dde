"""Embeddings of windows of a genome to Parquet, piece by piece, so that memory does not grow.

Rows of a BED file are windows themselves, or, where a window is asked for, the places that such
windows are centred on; variants are always places.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glm_composer import sequence
from glm_composer.errors import UserError
from glm_composer.evaluation.embeddings import averaged_stretch, window_embeddings
from glm_composer.evaluation.scores import Strands
from glm_composer.genome import Genome
from glm_composer.serving.model import ServedModel
from glm_composer.serving.output import new_file
from glm_composer.serving.places import Piece, places
from glm_composer.serving.plan import digest_file
from glm_composer.serving.provenance import provenance
from glm_composer.variant_files.contigs import ContigNames

EMBEDDING, UNKNOWN = "embedding", "unknown_bases"

# Batches between two moves of the bar, and bases of windows in memory at once.
_BATCHES, _BASES = 32, 1 << 25


def embed(
    model: ServedModel,
    genome: Genome,
    source: Path,
    out: Path,
    *,
    centre: int | None = None,
    strands: Strands = "both",
    names: ContigNames | None = None,
    notes: Mapping[str, str] = MappingProxyType({}),
    advance: Callable[[int], None] = lambda windows: None,
) -> None:
    """Write one embedding for each row of a file of places, in its order.

    The Parquet file `out` has the rows' own columns; `unknown_bases`, how many positions of the
    averaged ones are no a, c, g or t (N, or beyond the contig's end); and `embedding`, a list of
    as many float32 as the model is wide, see `window_embeddings`. Its metadata say of which model,
    genome and file it is. It appears when all is done.

    Args:
        model: with the window to cut around each place.
        genome: that the rows lie on.
        source: of the places, see `places`.
        out: file to make.
        centre: average over so many central positions only.
        strands: average over both strands, or the forward one alone.
        names: what else the genome's contigs are called, see `genome_contigs`.
        notes: what else the metadata should say.
        advance: told of windows as they are done.

    Raises:
        UserError: `out` is there or cannot be written, a row is not on the genome, `centre` is
            wider than the window, or a column of the file is named as one of the output's.
    """
    if centre is not None and centre > model.window:
        raise UserError(f"--centre {centre} is wider than the window of {model.window} bases")
    said = provenance(
        model,
        genome,
        rows=digest_file(source),
        strands=strands,
        averaged=f"central {centre}" if centre else "window",
        **notes,
    )
    with new_file(out) as aside:
        writer: pq.ParquetWriter | None = None
        try:
            for piece in _in_pieces(places(source, genome, names), model):
                table = _embedded(model, genome, piece, source, centre, strands)
                if writer is None:
                    writer = pq.ParquetWriter(aside, table.schema.with_metadata(said))
                writer.write_table(table.cast(writer.schema))
                advance(len(piece.rows))
        finally:
            if writer is not None:
                writer.close()


def _in_pieces(chunks: Iterator[Piece], model: ServedModel) -> Iterator[Piece]:
    """So many rows that their windows fit into memory."""
    batch = model.predictor.batch_size
    most = max(batch, min(_BATCHES * batch, _BASES // model.window))
    for chunk in chunks:
        yield from chunk.slices(most)


def _embedded(
    model: ServedModel,
    genome: Genome,
    piece: Piece,
    source: Path,
    centre: int | None,
    strands: Strands,
) -> pa.Table:
    contigs, middles = piece.centres["contig"].to_list(), piece.centres["middle"].to_numpy()
    windows = genome.windows(contigs, middles, model.window)
    vectors = window_embeddings(
        model.predictor.hidden,
        windows,
        centre=centre,
        strands=strands,
        batch_size=model.predictor.batch_size,
    )
    start, end = averaged_stretch(model.window, centre)
    averaged = windows[:, start:end]
    unknown = sequence.look_up(sequence.IS_UNKNOWN, averaged).sum(1, dtype=np.int32)
    kept = piece.rows.to_arrow()
    taken = {EMBEDDING, UNKNOWN} & set(kept.column_names)
    if taken:
        raise UserError(f"{source}: its column '{taken.pop()}' is one of the output; rename it")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return kept.append_column(UNKNOWN, pa.array(unknown)).append_column(EMBEDDING, lists)
