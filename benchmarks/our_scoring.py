"""Our scoring: `our_scoring.py MODEL VARIANTS GENOME OUT BATCH PRECISION [COMPILE]`."""

import sys

import numpy as np
import torch
from questions import answer

from glm_composer import sequence
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import score_variants
from glm_composer.evaluation.variants import allele_ids, read_variants
from glm_composer.genome import Genome
from glm_composer.serving.model import load_model

WINDOW = 512
NAME = "LLR"
# Variants of a part, which is asked for where a rate is all that is wanted.
PART = 512


def main() -> None:
    model, variants, genome, out, batch, precision, compiled = sys.argv[1:]
    served = load_model(
        model,
        batch_size=int(batch),
        precision="bf16" if precision == "bf16" else "fp32",
        compile=compiled == "True",
    )
    predictor = served.predictor
    # What it would take without knowing what one position depends on.
    whole = Predictor(
        lambda ids, lengths, position: predictor.embed(ids, lengths, None)[:, position],
        predictor.decoder,
        predictor.batch_size,
        causal=served.causal,
    )
    table = read_variants(variants)
    centres = (WINDOW // 2, WINDOW - 1 - WINDOW // 2)

    def score(asked: Predictor, rows: slice = slice(None)) -> None:
        some = table[rows]
        with Genome(genome) as bases, evaluating(predictor.decoder):
            windows = bases.windows(some["chrom"].to_list(), some["pos"].to_numpy() - 1, WINDOW)
            found = score_variants(asked, windows, *allele_ids(some), [NAME])
        if len(some) == len(table):
            np.save(out, found[NAME])

    ids = torch.full((predictor.batch_size, WINDOW), sequence.A, dtype=torch.uint8)

    def forward() -> None:
        """As many batches as scoring a part takes, and nothing else."""
        with torch.no_grad():
            for _ in range(0, PART, predictor.batch_size):
                for centre in centres:
                    predictor.embed(ids, None, centre)

    answer(
        {
            "warm up": lambda: score(predictor, slice(128)),
            "score": lambda: score(predictor),
            "forward": forward,
            "part": lambda: score(predictor, slice(PART)),
            "whole": lambda: score(whole, slice(PART)),
        }
    )


if __name__ == "__main__":
    main()
