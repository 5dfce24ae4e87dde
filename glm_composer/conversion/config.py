"""The settings of a conversion: one yaml, checked before any work."""

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from glm_composer.conversion.shards import rows_per_shard
from glm_composer.registry import sources, windowings
from glm_composer.settings import named


@dataclass(frozen=True, kw_only=True)
class VariantTable:
    """Settings of the derived variant table (`coding_variants`); without contigs there is none.

    Attributes:
        contigs: patterns of the contigs that variants are derived on.
        controls: synonymous controls to a positive.
        maximum_positives: take at most so many positives; null takes all.
        seed: of the choice of controls.
    """

    contigs: list[str] = field(default_factory=list)
    controls: PositiveInt = 9
    maximum_positives: PositiveInt | None = None
    seed: NonNegativeInt = 0


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Settings of a conversion.

    Attributes:
        name: the dataset's name.
        out: directory to write; must be absent or empty.
        source: which source, by its `name`, and its settings.
        windows: which windowing, by its `name`, and its settings.
        splits: split -> patterns of contig names (or of `assembly/contig`), `"*"` for the rest.
        exclude: patterns of contigs that go into no split.
        shard_bytes: upper bound of a shard file.
        save_genome: write genome.fa with its index beside the shards.
        variants: the derived variant table, written as variants.parquet and variants.md.
    """

    name: str
    out: str
    source: Any = named(sources)
    windows: Any = named(windowings)
    splits: dict[str, list[str]]
    exclude: list[str] = field(default_factory=list)
    shard_bytes: PositiveInt = 32 << 20
    save_genome: bool = False
    variants: VariantTable = field(default_factory=VariantTable)

    def __post_init__(self) -> None:
        if not self.splits:
            raise ValueError("'splits' is empty; name at least one, for instance train: ['*']")
        for split, patterns in self.splits.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", split):
                raise ValueError(f"'splits': '{split}' must be letters, digits, '_' and '-' only")
            if not patterns:
                raise ValueError(f"'splits.{split}' has no pattern; give it contigs or remove it")
        if self.shard_bytes >= 1 << 32:
            raise ValueError("'shard_bytes' must be below 4 GiB: MDS offsets are uint32")
        if rows_per_shard(self.windows.length, self.shard_bytes) < 1:
            raise ValueError(
                f"'shard_bytes' = {self.shard_bytes} does not hold one window of "
                f"{self.windows.length} bases"
            )
