"""The derived variant table beside the shards: variants.parquet, and its card, variants.md."""

import io
from pathlib import Path

from glm_composer.conversion.assembly import Assembly
from glm_composer.conversion.config import VariantTable
from glm_composer.conversion.files import write_durably
from glm_composer.sequence import Bytes

TABLE_NAME = "variants.parquet"
CARD_NAME = "variants.md"


def write_variants(
    directory: Path, assembly: Assembly, sequences: dict[str, Bytes], settings: VariantTable
) -> None:
    """Derive and write the table on the contigs of `sequences`: name -> uint8 ASCII [length]."""
    # Brings in polars and Biopython, which a conversion without variants does not need.
    from glm_composer.conversion.coding_variants import card, derive

    transcripts = [t for name in sequences for t in assembly.transcripts.get(name, ())]
    table, statistics = derive(
        sequences,
        transcripts,
        seed=settings.seed,
        controls=settings.controls,
        maximum_positives=settings.maximum_positives,
    )
    # Through memory: a full disk then fails in our own write, and says so as everywhere else.
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    write_durably(directory / TABLE_NAME, buffer.getbuffer())
    write_durably(directory / CARD_NAME, card(table, statistics, genome=assembly.name).encode())
