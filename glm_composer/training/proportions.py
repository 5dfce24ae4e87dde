"""The proportions of a run's streams, with every time in global batches."""

import re

from glm_composer.config import Config, StreamConfig
from glm_composer.data.mixture import Proportion
from glm_composer.errors import UserError


def proportions(config: Config, epoch_windows: int, window: int) -> dict[str, Proportion]:
    """Return the proportion of each stream over the batches of a run.

    Args:
        config: of the run.
        epoch_windows: windows of an epoch.
        window: bases a model sees.

    Raises:
        UserError: the points of a stream are not in order, or no stream gives anything at some
            time.
    """
    batch = config.global_train_batch_size
    units = {
        "ba": 1.0,
        "ep": -(-epoch_windows // batch),
        "sp": 1 / batch,
        "tok": 1 / (batch * window),
    }
    units["dur"] = _batches(config.max_duration, units)
    found = {
        name: _proportion(f"data.streams.{name}", stream, units)
        for name, stream in config.data.streams.items()
    }
    # A sum of straight lines above 0 is 0 at one of their ends first, if anywhere.
    for at in sorted({0.0, *(end for each in found.values() for end in each.batches)}):
        if at < units["dur"] and not any(each.at(at) for each in found.values()):
            raise UserError(f"data.streams: all proportions are 0 in batch {at:g}")
    return found


def _proportion(key: str, stream: StreamConfig, units: dict[str, float]) -> Proportion:
    if isinstance(stream.proportion, float):
        return Proportion((0.0,), (stream.proportion,))
    batches = tuple(_batches(time, units) for time, _ in stream.proportion)
    for before, after, (time, _) in zip(
        batches[:-1], batches[1:], stream.proportion[1:], strict=True
    ):
        if after < before:
            raise UserError(f"{key}.proportion: {time} comes before the point ahead of it")
    return Proportion(batches, tuple(weight for _, weight in stream.proportion))


def _batches(time: str, units: dict[str, float]) -> float:
    matched = re.fullmatch(r"([0-9.]+)([a-z]+)", time)
    assert matched is not None, "checked by the settings"
    return float(matched[1]) * units[matched[2]]
