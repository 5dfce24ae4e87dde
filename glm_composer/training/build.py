"""Settings -> a Composer Trainer: wiring only, and the one place that knows every part."""

import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composer import Trainer
from composer.algorithms import GradientClipping
from composer.callbacks import LRMonitor, SpeedMonitor
from composer.core import Callback, DataSpec, Evaluator
from composer.loggers import LoggerDestination, TensorboardLogger, WandBLogger
from composer.utils import dist

from glm_composer.config import Config
from glm_composer.data.loaders import stream_table
from glm_composer.data.randomness import mix
from glm_composer.evaluation.table import VariantWindows
from glm_composer.registry import callbacks, models, optimizers, schedules
from glm_composer.training.callbacks.data_wait import LogDataWait
from glm_composer.training.callbacks.ema import EMA
from glm_composer.training.callbacks.learning_rate import SetLearningRate
from glm_composer.training.callbacks.ledger import Ledger
from glm_composer.training.callbacks.losses import LogLosses
from glm_composer.training.callbacks.random_state import RestoreRandomState
from glm_composer.training.callbacks.stop import StopAtBadLoss
from glm_composer.training.callbacks.variants import Averaged, EvaluateVariants
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.data import evaluation_data, training_data
from glm_composer.training.device import check_machine, device_type, peak
from glm_composer.training.inputs import LATEST, check_data
from glm_composer.training.losses import NAMES
from glm_composer.training.metrics_file import MetricsFile
from glm_composer.training.parallel import shard
from glm_composer.training.saver import DurableSaver
from glm_composer.training.schedules import check_units
from glm_composer.training.tables import load_tables
from glm_composer.training.weights import load_into, read

_LOG = logging.getLogger(__name__)
# Windows over which throughput is averaged, in batches.
_SPEED_WINDOW = 20


def build_model(config: Config, compiled: bool | None = None) -> GenomicModel:
    """Build the freshly initialised model of a run.

    Args:
        config: of the run.
        compiled: compile the network as a whole; None as the run's settings say.
    """
    network = models.get(config.model.name)(config.model)
    backends = Counter(
        (module.backend, module.why) for module in network.modules() if hasattr(module, "backend")
    )
    for (backend, why), layers in backends.items():
        because = f" ({why})" if why else ""
        _LOG.info("attention: backend %s in %d layers%s", backend, layers, because)
    bf16 = config.precision == "amp_bf16"
    if config.precision == "pure_bf16":
        network.to(torch.bfloat16)
        # Its logits are computed in fp32, as everywhere.
        network.decoder.float()
    compiled = config.compile if compiled is None else compiled
    return GenomicModel(network, bf16, compiled, len(config.data.streams))


def build_trainer(config: Config, loggers: Sequence[LoggerDestination] = ()) -> Trainer:
    """Build the Trainer of a run, ready to fit.

    Args:
        config: of the run.
        loggers: told of events and metrics, besides those of the settings.

    Raises:
        UserError: the data, a variant table or the machine does not fit the settings.
    """
    dist.initialize_dist(device_type(), timeout=300)
    ranks = dist.get_world_size()
    rank_batch = config.rank_batch_size(ranks)
    window = check_data(config)
    check_units(config.scheduler, config.max_duration)
    check_machine(config)
    tables = load_tables(config, window)
    # Every rank must draw the same initial weights.
    torch.manual_seed(config.seed)
    sharded = config.parallelism == "fsdp2" and ranks > 1
    model = build_model(config, compiled=config.compile and not sharded)
    resumes = config.autoresume and _has_checkpoint(config)
    if config.init_from and not resumes:
        load_into(model.model, config.model, read(Path(config.init_from)))
        _LOG.info("weights: from %s", config.init_from)
    if sharded:
        shard(model.model, config.compile)
    optimizer = optimizers.get(config.optimizer.name)(config.optimizer, model)
    restore = RestoreRandomState()
    train_data = training_data(config, window)
    trainer = Trainer(
        model=model,
        train_dataloader=train_data,
        eval_dataloader=Evaluator(
            label=config.data.eval_split,
            dataloader=evaluation_data(config, window),
            metric_names=[*NAMES, "perplexity"],
            device_eval_microbatch_size=config.device_eval_batch_size,
        ),
        eval_interval=config.eval_interval,
        max_duration=config.max_duration,
        optimizers=optimizer,
        algorithms=_algorithms(config),
        callbacks=[
            restore,
            SetLearningRate(optimizer, schedules.get(config.scheduler.name)(config.scheduler)),
            *_callbacks(config, model, tables, train_data),
        ],
        loggers=[*_loggers(config), *loggers],
        progress_bar=config.loggers.progress_bar,
        run_name=config.run_name,
        save_folder=str(config.run_dir / "checkpoints"),
        autoresume=resumes,
        device=device_type(),
        # Composer knows no autocast on a CPU; the model has its own.
        precision="amp_bf16" if _autocasts(config) else "fp32",
        device_train_microbatch_size=config.device_train_microbatch_size or rank_batch,
        # Together with `count_tokens`: one ratio over the global batch.
        accumulate_train_batch_on_tokens=True,
        seed=_library_seed(config.seed),
        deterministic_mode=config.deterministic,
    )
    if config.device_train_microbatch_size == "auto":
        # Composer asks the loader, which deals in whole batches, and would start from None.
        trainer.state.device_train_microbatch_size = rank_batch
    restore.trainer = trainer
    return trainer


def _library_seed(seed: int) -> int:
    """A seed for Composer and numpy's global state, which take 32 bits and add the rank to it."""
    if seed < 2**31:
        return seed
    return int(mix(np.array([seed], dtype=np.uint64))[0] >> np.uint64(33))


def _autocasts(config: Config) -> bool:
    return device_type() == "gpu" and config.precision == "amp_bf16"


def _algorithms(config: Config) -> list[Any]:
    if config.gradient_clipping is None:
        return []
    return [GradientClipping(clipping_type="norm", clipping_threshold=config.gradient_clipping)]


def _callbacks(
    config: Config,
    model: GenomicModel,
    tables: dict[str, VariantWindows],
    train_data: DataSpec,
) -> list[Callback]:
    streams = stream_table(train_data, list(config.data.streams) or [config.data.train_split])
    stop = StopAtBadLoss(model, streams)
    found: list[Callback] = [
        LogLosses(list(config.data.streams)),
        LogDataWait(),
        stop,
        LRMonitor(),
        # MFU against what this device reaches, not against a data sheet.
        SpeedMonitor(window_size=_SPEED_WINDOW, gpu_flops_available=peak(config)),
    ]
    averaged: Averaged = nullcontext
    if config.ema.decay is not None:
        found.append(ema := EMA(model, config.ema.decay))
        averaged = ema.averaged
    for name, variants in tables.items():
        table = config.evaluation.tables[name]
        found.append(EvaluateVariants(name, table, variants, model, config.run_dir, averaged))
    if config.ledger:
        found.append(Ledger(config, streams))
    found += [callbacks.get(each.name)(each, config) for each in config.callbacks.values()]
    return [*found, _saver(config, stop)]


def _has_checkpoint(config: Config) -> bool:
    """Whether rank 0 finds one. Where there is none Composer would ask the loggers to download it.

    Weights & Biases, asked before its start, fails.
    """
    found = [(config.run_dir / "checkpoints" / LATEST).exists()]
    dist.broadcast_object_list(found, src=0)
    return found[0]


def _saver(config: Config, stop: StopAtBadLoss) -> DurableSaver:
    folder = config.run_dir / "checkpoints"
    return DurableSaver(
        folder=str(folder),
        check=stop.check_weights,
        filename="ep{epoch}-ba{batch}-rank{rank}.pt",
        latest_filename="latest-rank{rank}.pt",
        save_interval=config.save_interval,
        num_checkpoints_to_keep=config.save_num_checkpoints_to_keep,
        # A crash may leave a whole checkpoint that `latest` does not lead to yet.
        overwrite=True,
    )


def _loggers(config: Config) -> list[LoggerDestination]:
    wanted: list[LoggerDestination] = [MetricsFile(config.run_dir / "metrics.jsonl")]
    if config.loggers.tensorboard:
        wanted.append(TensorboardLogger(log_dir=str(config.run_dir / "tensorboard")))
    if config.loggers.wandb:
        wanted.append(
            WandBLogger(
                project=config.loggers.wandb_project,
                name=config.run_name,
                init_kwargs={"dir": str(config.run_dir)},
            )
        )
    return wanted
