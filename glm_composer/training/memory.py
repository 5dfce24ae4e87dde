"""How much memory a training step takes, computed without taking it.

Weights, gradients and optimizer state are counted; what autograd keeps for the backward pass is
watched on tensors without contents, so that no formula has to follow the models.
"""

import warnings
from dataclasses import dataclass

import torch
from torch._subclasses import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from glm_composer.config import Config
from glm_composer.sequence import PAD
from glm_composer.training.build import build_model

# Adam's two moments.
_OPTIMIZER_STATES = 2


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step on one rank, weights whole.

    Attributes:
        weights: parameters.
        gradients: as many.
        optimizer: AdamW's two moments.
        activations: what the forward pass keeps for the backward pass; compiled less is kept.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(config: Config, windows: int, length: int) -> TrainingMemory:
    """Bytes that a training step of a run takes, in eager mode on a CPU.

    As if every position were asked for; where few are, the last layer keeps less.

    Args:
        config: of the run.
        windows: of a micro-batch.
        length: bases of a window.
    """
    kept: dict[int, int] = {}
    with FakeTensorMode(), warnings.catch_warnings():
        # torchmetrics copies its states, which torch finds odd of tensors without contents.
        warnings.simplefilter("ignore", UserWarning)
        model = build_model(config, compiled=False)
        weights = {p.untyped_storage()._cdata: p.nbytes for p in model.parameters()}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                kept[storage._cdata] = storage.nbytes()
            return tensor

        shape = (windows, length)
        batch = {
            "input_ids": torch.full(shape, PAD, dtype=torch.uint8),
            "labels": torch.full(shape, PAD, dtype=torch.uint8),
            "soft_masked": torch.zeros(shape, dtype=torch.bool),
            "loss_weight": torch.zeros(shape),
        }
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            # Held, so that no storage gives its identity to the next.
            outputs = model(batch)
    total = sum(weights.values())
    del outputs
    return TrainingMemory(total, total, _OPTIMIZER_STATES * total, sum(kept.values()))
