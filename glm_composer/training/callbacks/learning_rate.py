"""Sets the learning rate, and keeps an optimizer's settings those of the configuration.

Composer 0.32.1 sets a rate a batch late, and takes every setting of the optimizer from a
checkpoint, so that a run that is resumed with another rate would silently go on with the old one.
"""

from composer.core import Callback, State
from composer.loggers import Logger
from torch.optim import Optimizer

from glm_composer.training.schedules import Schedule


class SetLearningRate(Callback):
    """Sets each batch's learning rate before it is trained on.

    Args:
        optimizer: freshly built; its settings are kept.
        schedule: multiplier of its learning rates.

    Attributes:
        scale: another multiplier, which may be changed while the run goes on.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule):
        self._schedule = schedule
        self.scale = 1.0
        self._settings = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]

    def fit_start(self, state: State, logger: Logger) -> None:
        """Take back the settings that a checkpoint has brought along."""
        for group, settings in zip(state.optimizers[0].param_groups, self._settings, strict=True):
            group.update(settings)

    def batch_start(self, state: State, logger: Logger) -> None:
        """Set the rate."""
        multiplier = self._schedule(state) * self.scale
        for group, settings in zip(state.optimizers[0].param_groups, self._settings, strict=True):
            group["lr"] = settings["lr"] * multiplier
