"""Settings -> the batches a run trains on and is evaluated on."""

import dataclasses
import json

from composer.core import DataSpec

from glm_composer.config import Config
from glm_composer.data.loaders import Loading, held_out_loader, mixed_loader, train_loader
from glm_composer.data.prepare import Prepare
from glm_composer.registry import objectives
from glm_composer.training.device import device_type
from glm_composer.training.inputs import open_split
from glm_composer.training.proportions import proportions


def training_data(config: Config, window: int) -> DataSpec:
    """Return the batches that a run trains on, `window` bases a window."""
    data = config.data
    objective = objectives.get(config.objective.name)(config.objective)
    prepare = Prepare(
        objective,
        config.seed,
        window,
        data.soft_mask_weight,
        random_crop=True,
        random_strand=data.reverse_complement,
        fixed_width=config.compile,
    )
    # What decides the content of a batch besides data, seed and global batch.
    identity = {
        "objective": json.dumps(dataclasses.asdict(config.objective)),
        "data.window": window,
        "data.reverse_complement": data.reverse_complement,
        "data.soft_mask_weight": data.soft_mask_weight,
    }
    loading = Loading(
        prepare=prepare,
        on_device=_prepares_on_device(config),
        batch=config.global_train_batch_size,
        seed=config.seed,
        identity=identity,
        shuffle=data.shuffle,
        force=config.force_resume,
    )
    if not data.streams:
        return train_loader(open_split(config, data.train_split), loading, data.train_windows)
    shards = {
        name: open_split(config, stream.split, stream) for name, stream in data.streams.items()
    }
    windows = data.epoch_windows or sum(map(len, shards.values()))
    return mixed_loader(shards, proportions(config, windows, window), loading, windows)


def evaluation_data(config: Config, window: int) -> DataSpec:
    """Return the batches of the split whose loss is logged during training."""
    data = config.data
    objective = objectives.get(config.objective.name)(config.objective)
    # The same positions are asked in every run, whatever its seed, so that losses compare.
    prepare = Prepare(objective, 0, window, data.eval_soft_mask_weight, fixed_width=config.compile)
    return held_out_loader(
        open_split(config, data.eval_split),
        prepare,
        config.device_eval_batch_size,
        data.eval_windows,
        _prepares_on_device(config),
    )


def _prepares_on_device(config: Config) -> bool:
    wanted = config.data.prepare_on_device
    return device_type() == "gpu" if wanted == "auto" else wanted
