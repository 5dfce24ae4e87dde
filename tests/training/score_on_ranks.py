"""Scores a table on one of several gloo ranks, without a Trainer: `score_on_ranks.py YAML OUT`."""

import os
import sys
from pathlib import Path

import numpy as np
import torch

from glm_composer.config import Config
from glm_composer.settings import load
from glm_composer.training.build import build_model
from glm_composer.training.scoring import score_table
from glm_composer.training.tables import load_tables


def score(config: Config, out: Path) -> None:
    """Leave what this rank holds afterwards in `out`, as RANKS-RANK.npz."""
    torch.set_num_threads(1)
    rank, ranks = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    meeting = f"file://{out}/{ranks}.meeting"
    torch.distributed.init_process_group("gloo", meeting, rank=rank, world_size=ranks)
    torch.manual_seed(1)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Away from the start, where a model says the same of all bases.
            parameter.add_(torch.randn_like(parameter) / 3)
    variants = load_tables(config, 64)["coding"]
    found = score_table(model, variants, config.evaluation.tables["coding"])
    np.savez(out / f"{ranks}-{rank}.npz", **found)
    torch.distributed.barrier()


if __name__ == "__main__":
    score(load(Config, sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    # Python's own way out may wait for gloo's threads, and they for Python's lock.
    os._exit(0)
