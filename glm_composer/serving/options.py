"""What may be asked of `glm score`, and the one home of its defaults. No heavy imports."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import PositiveInt


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """How to score a file of variants.

    Attributes:
        scores: names, see `evaluation.scores`.
        strands: average both strands, or read only the forward one.
        batch_size: windows a forward pass; None for 16 on a CPU, 64 on a GPU.
        precision: `bf16` runs all but the decoder in bf16.
        compile: compile the network first.
        allow_mismatch: mark rows that do not fit the genome instead of refusing the file.
        window: bases around each variant; None for as many as the model was trained on.
        genome_sha256: of the FASTA as it is; its address needs one.
        contigs: file of other names of contigs, see `variant_files.contigs`.
        overwrite: replace an output that exists, and leave unfinished scores of other settings.
        chunk_rows: rows between two saved points, and what a process takes at a time.
    """

    scores: list[str] = field(default_factory=lambda: ["LLR.minus.score"])
    strands: Literal["both", "forward"] = "both"
    batch_size: PositiveInt | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    allow_mismatch: bool = False
    window: PositiveInt | None = None
    genome_sha256: str | None = None
    contigs: str | None = None
    overwrite: bool = False
    chunk_rows: PositiveInt = 2048
