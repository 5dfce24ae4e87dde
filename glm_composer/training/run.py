"""A training run from its settings to its report."""

import faulthandler
import logging
import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from composer import Trainer
from composer.utils import dist

from glm_composer.config import Config
from glm_composer.conversion.files import locked
from glm_composer.errors import UserError
from glm_composer.report import print_summary, write_report
from glm_composer.training import signals
from glm_composer.training.build import build_trainer
from glm_composer.training.callbacks.ema import EMA
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.device import device_type
from glm_composer.training.final import evaluate_run
from glm_composer.training.parallel import whole
from glm_composer.training.record import check_resumable, check_writable, write_record
from glm_composer.training.scoring import moment

_LOG = logging.getLogger(__name__)


def train(config: Config) -> None:
    """Train, evaluate and report; all of it lands in the run's directory.

    Raises:
        UserError: the settings, the data or the machine do not fit.
    """
    _quieten()
    # A shard that is cut short while it is mapped kills the process; say at least where.
    faulthandler.enable(2)
    dist.initialize_dist(device_type(), timeout=300)
    if device_type() == "cpu":
        # Ranks of one machine share its cores.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // dist.get_local_world_size()))
    check_resumable(config)
    check_writable(config)
    with _alone(config), signals.listening():
        _train(config)


def _alone(config: Config) -> AbstractContextManager[None]:
    """Keep other runs out of the run's directory until this process ends, however it ends."""
    if dist.get_global_rank() != 0:
        return nullcontext()
    taken = f"{config.run_dir}: another process is training there; choose another run_name"
    return locked(config.run_dir / ".lock", shared=False, taken=taken)


def _train(config: Config) -> None:
    trainer = build_trainer(config)
    if dist.get_global_rank() == 0:
        write_record(config, sum(p.numel() for p in trainer.state.model.parameters()))
    if not _is_trained(trainer):
        with signals.deferred():
            trainer.fit()
    trainer.close()
    model = cast(GenomicModel, getattr(trainer.state.model, "module", trainer.state.model))
    for ema in (each for each in trainer.state.callbacks if isinstance(each, EMA)):
        ema.use()
        _LOG.info("evaluating the moving average of the weights (ema.decay %s)", config.ema.decay)
    with whole(model):
        evaluate_run(config, model, config.run_dir / "evaluation", moment(trainer.state))
    if dist.get_global_rank() == 0:
        print_summary(config.run_dir)
        print(f"report: {write_report(config.run_dir)}")


def _is_trained(trainer: Trainer) -> bool:
    """Whether a resumed run has reached its end before; Composer refuses to fit it again."""
    elapsed, end = trainer.state.get_elapsed_duration(), trainer.state.max_duration
    if elapsed is None or elapsed.value < 1:
        return False
    assert end is not None
    if elapsed.value > 1:
        done = trainer.state.timestamp.get(end.unit).to_timestring()
        raise UserError(f"max_duration ({end}): the run is at {done} already; choose a longer one")
    if dist.get_global_rank() == 0:
        print(f"trained to {end} already: only evaluating")
    return True


def _quieten() -> None:
    """Leave out what libraries say on every start and nobody can act on."""
    warnings.filterwarnings("ignore", module="composer|streaming|torch|torchmetrics|google|wandb")
    logging.getLogger("streaming").setLevel(logging.ERROR)
    logging.basicConfig(format="%(message)s")
    if dist.get_global_rank() == 0:
        logging.getLogger("glm_composer").setLevel(logging.INFO)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
