"""The settings of a conversion: one yaml, checked before any work."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Gt, Le
from pydantic import NonNegativeInt, PositiveInt, StringConstraints

from glm_composer.conversion.shard_format import HASHES, ShardFormat
from glm_composer.registry import sources, windowings
from glm_composer.settings import named

Compression = Annotated[str, StringConstraints(pattern=r"^zstd(:([1-9]|1[0-9]|2[0-2]))?$")]
Share = Annotated[float, Gt(0), Le(1)]


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
        out: directory to write, absent or empty, or s3://BUCKET/PREFIX (the endpoint is
            S3_ENDPOINT_URL's, credentials as boto3 finds them).
        source: which source, by its `name`, and its settings.
        windows: which windowing, by its `name`, and its settings.
        splits: split -> patterns of contig names (or of `assembly/contig`), `"*"` for the rest; or
            a fraction of what no pattern names, drawn by hash. May be empty where the source says
            what belongs to which split.
        split_by: what a fraction draws as a whole.
        split_seed: of that draw.
        exclude: patterns of contigs that go into no split.
        deduplicate: keep one of the windows that are equal, on either strand and in any case;
            training splits (those named train...) lose to the others, later splits win over
            earlier ones, and within a split the first one stays.
        caps: split -> the most windows of one species in it; which ones stay is drawn by hash.
        shard_bytes: bytes that a shard file has at most, before compression.
        compression: "zstd" or "zstd:LEVEL"; null leaves shards as they are, to be mapped.
        hashes: hashes of every shard file in the index, out of md5, sha1, sha256, xxh128, xxh3_64
            and xxh64.
        save_genome: write genome.fa with its index beside the shards.
        variants: the derived variant table, written as variants.parquet and variants.md.
        workers: processes; null takes one a core. They change no byte of the result.
        part: "I/N" does the I-th of N slices only, for an array of jobs; `glm data merge` puts
            the slices together.
    """

    name: str
    out: str
    source: Any = named(sources)
    windows: Any = named(windowings)
    splits: dict[str, list[str] | Share] = field(default_factory=dict)
    split_by: Literal["contig", "assembly"] = "contig"
    split_seed: NonNegativeInt = 0
    exclude: list[str] = field(default_factory=list)
    deduplicate: bool = True
    caps: dict[str, PositiveInt] = field(default_factory=dict)
    shard_bytes: PositiveInt = 32 << 20
    compression: Compression | None = None
    hashes: list[str] = field(default_factory=lambda: ["xxh64"])
    save_genome: bool = False
    variants: VariantTable = field(default_factory=VariantTable)
    workers: PositiveInt | None = None
    part: str | None = None

    def __post_init__(self) -> None:
        for split, share in self.splits.items():
            if not is_split_name(split):
                raise ValueError(f"'splits': '{split}' must be letters, digits, '_' and '-' only")
            if share == []:
                raise ValueError(f"'splits.{split}' has no pattern; give it contigs or remove it")
        for name in self.hashes:
            if name not in HASHES:
                raise ValueError(f"'hashes': unknown '{name}'; choose from {', '.join(HASHES)}")
        if sorted(set(self.hashes)) != self.hashes:
            raise ValueError("'hashes' must be sorted, each once: Streaming asks for it")
        if self.shard_bytes >= 1 << 32:
            raise ValueError("'shard_bytes' must be below 4 GiB: MDS offsets are uint32")
        if self.shard_format.rows_per_shard() < 1:
            raise ValueError(
                f"'shard_bytes' = {self.shard_bytes} does not hold one window of "
                f"{self.windows.length} bases"
            )
        if self.part is not None:
            found = re.fullmatch(r"([0-9]+)/([0-9]+)", self.part)
            if not found or not 1 <= int(found[1]) <= int(found[2]):
                raise ValueError(f"'part' = '{self.part}' must be I/N with I from 1 to N")

    @property
    def shard_format(self) -> ShardFormat:
        """How the shards are written."""
        return ShardFormat(
            length=self.windows.length,
            shard_bytes=self.shard_bytes,
            # Windowings that cannot do without one length lack it.
            varying=getattr(self.windows, "varying", False),
            compression=self.compression,
            hashes=tuple(self.hashes),
        )

    @property
    def slice(self) -> tuple[int, int]:
        """Which slice of the work is to be done, from 0, and of how many."""
        if self.part is None:
            return 0, 1
        number, _, count = self.part.partition("/")
        return int(number) - 1, int(count)


def is_split_name(split: str) -> bool:
    """Return whether a split's name can name a directory and a part of a key."""
    return re.fullmatch(r"[A-Za-z0-9_-]+", split) is not None
