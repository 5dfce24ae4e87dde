"""Scores a table on one of several gloo ranks, without a Trainer: for a process of its own."""

from pathlib import Path

import numpy as np
import torch

from glm_composer.config import Config
from glm_composer.training.build import build_model
from glm_composer.training.scoring import score_table
from glm_composer.training.tables import load_tables


def score(config: Config, rank: int, ranks: int, out: Path) -> None:
    """Leave what this rank holds afterwards in `out`, as RANKS-RANK.npz."""
    torch.set_num_threads(1)
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
    torch.distributed.destroy_process_group()
