"""A training run from its settings to its report."""

import faulthandler
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

from composer import Trainer
from composer.utils import dist

from glm_composer.config import Config
from glm_composer.conversion.files import locked
from glm_composer.errors import UserError
from glm_composer.report import print_summary, write_report
from glm_composer.runs.folder import CHECKPOINTS
from glm_composer.runs.ranks import clear_ranks
from glm_composer.runs.requests import open_inbox
from glm_composer.training import signals
from glm_composer.training.allocator import keep_freed_memory
from glm_composer.training.build import build_trainer
from glm_composer.training.callbacks.ema import EMA
from glm_composer.training.callbacks.status import ReportStatus
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.device import device_type, share_cores
from glm_composer.training.ends import Life, recorded
from glm_composer.training.final import evaluate_run
from glm_composer.training.parallel import whole
from glm_composer.training.record import (
    check_resumable,
    check_writable,
    write_record,
    write_settings,
)
from glm_composer.training.scoring import moment

_LOG = logging.getLogger(__name__)
_MARGIN = 30.0


def train(config: Config) -> None:
    """Train, evaluate and report; all of it lands in the run's directory.

    Raises:
        UserError: the settings, the data or the machine do not fit.
    """
    _quieten()
    # A shard that is cut short while it is mapped kills the process; say at least where.
    faulthandler.enable(2)
    # The watch gives up after `rank_timeout`; this is for what it cannot tell.
    dist.initialize_dist(device_type(), timeout=config.rank_timeout + _MARGIN)
    share_cores(dist.get_local_world_size())
    if device_type() == "cpu":
        keep_freed_memory()
    check_resumable(config)
    check_writable(config)
    with _alone(config), signals.listening(), recorded(config) as life:
        _train(config, life)


@contextmanager
def _alone(config: Config) -> Iterator[None]:
    """Keep other runs out of the run's directory until this process ends, however it ends.

    Raises:
        UserError: on all ranks, where another run is there.
    """
    refused: list[str | None] = [None]
    with ExitStack() as held:
        if dist.get_global_rank() == 0:
            taken = f"{config.run_dir}: another process is training there; choose another run_name"
            try:
                held.enter_context(locked(config.run_dir / ".lock", shared=False, taken=taken))
                clear_ranks(config.run_dir)
                open_inbox(config.run_dir)
                if not any((config.run_dir / CHECKPOINTS).glob("*.pt")):
                    # Of a run that does not come to training, too.
                    write_settings(config)
            except UserError as error:
                refused = [str(error)]
            except OSError as error:
                # The others wait for an answer.
                file = error.filename or config.run_dir
                refused = [
                    f"{file}: cannot be written: {error.strerror}; mend it, or choose another "
                    "runs_dir or run_name"
                ]
        dist.broadcast_object_list(refused, src=0)
        if refused[0] is not None:
            raise UserError(refused[0])
        yield


def _train(config: Config, life: Life) -> None:
    trainer = build_trainer(config, [ReportStatus(life.pulse, config.run_dir)])
    life.built(trainer)
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
    life.pulse.enter("evaluating", "evaluating")
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
