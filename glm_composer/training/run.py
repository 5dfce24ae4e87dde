"""A training run from its settings to its report."""

import logging
import os
import warnings
from typing import cast

import torch
from composer.utils import dist

from glm_composer.config import Config
from glm_composer.report import print_summary, write_report
from glm_composer.training.build import build_trainer, check_data, device_type
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.final import evaluate_run
from glm_composer.training.record import check_resumable, write_record


def train(config: Config) -> None:
    """Train, evaluate and report; all of it lands in the run's directory.

    Raises:
        UserError: the settings, the data or the machine do not fit.
    """
    _quieten()
    dist.initialize_dist(device_type(), timeout=300)
    if device_type() == "cpu":
        # Ranks of one machine share its cores.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // dist.get_local_world_size()))
    check_data(config)
    check_resumable(config)
    trainer = build_trainer(config)
    if dist.get_global_rank() == 0:
        write_record(config, sum(p.numel() for p in trainer.state.model.parameters()))
    trainer.fit()
    trainer.close()
    model = cast(GenomicModel, getattr(trainer.state.model, "module", trainer.state.model))
    evaluate_run(config, model, config.run_dir / "evaluation")
    if dist.get_global_rank() == 0:
        print_summary(config.run_dir)
        print(f"report: {write_report(config.run_dir)}")


def _quieten() -> None:
    """Leave out what libraries say on every start and nobody can act on."""
    warnings.filterwarnings("ignore", module="composer|streaming|torch|torchmetrics|google|wandb")
    logging.getLogger("streaming").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
