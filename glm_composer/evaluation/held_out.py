"""Held-out cross-entropy of a model beside its baselines, on exactly the same masked positions."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from glm_composer.data.draws import stream_keys
from glm_composer.data.objectives.mlm import MaskedLanguageModel, MLMConfig
from glm_composer.evaluation.baselines import ContextTable, cross_entropy
from glm_composer.sequence import PAD, Bytes

# One fixed choice of positions for all runs, so that their figures compare.
_SEED = 0
_PURPOSE = 3


def held_out_losses(
    everywhere: Callable[[Bytes], NDArray[np.float32]],
    windows: Bytes,
    sample_ids: NDArray[np.int64],
    baselines: Mapping[str, ContextTable],
    mask_rate: float,
    batch_size: int,
) -> dict[str, float]:
    """Cross-entropy in nats of each predictor at randomly masked positions.

    The model sees every chosen position as [MASK]; the tables see the true neighbours.

    Args:
        everywhere: maps masked ids [n, length] to log-probabilities of acgt [n, length, 4].
        windows: uint8 ids [n, length], shorter ones filled up with [PAD].
        sample_ids: int64 [n], which decide the positions.
        baselines: fitted tables by name.
        mask_rate: fraction of the bases that is masked; N never is.
        batch_size: windows a call of `everywhere`.

    Returns:
        `positions`, how many were asked, then `model` and each baseline's name: nats a base.
    """
    mask = MaskedLanguageModel(MLMConfig(rate=mask_rate, mask=1.0, random=0.0))
    keys = stream_keys(_SEED, 0, torch.from_numpy(sample_ids), _PURPOSE)
    asked = mask(torch.from_numpy(windows), keys)
    inputs = asked.inputs.numpy()
    rows, columns = np.nonzero(asked.labels.numpy() != PAD)
    targets = windows[rows, columns]
    predicted = np.empty((len(rows), 4), dtype=np.float32)
    for start in range(0, len(windows), batch_size):
        # `rows` is sorted, so a batch's positions are one stretch of them.
        first, last = np.searchsorted(rows, [start, start + batch_size])
        logs = everywhere(inputs[start : start + batch_size])
        predicted[first:last] = logs[rows[first:last] - start, columns[first:last]]
    losses = {"positions": float(len(rows)), "model": cross_entropy(predicted, targets)}
    for name, table in baselines.items():
        losses[name] = cross_entropy(table.log_probabilities(windows, rows, columns), targets)
    return losses
