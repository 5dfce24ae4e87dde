"""Restores random state after a resumption in mid-epoch, which Composer 0.32.1 forgets.

Composer loads it only at an epoch's start, or in the loop that skips batches, which a dataset that
resumes itself bypasses. Without this, dropout differs after a resumption.
"""

from composer import Trainer
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import reproducibility


class RestoreRandomState(Callback):
    """Loads the checkpoint's random state before the first batch after a resumption."""

    trainer: Trainer | None = None

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Load it once."""
        if self.trainer is not None and self.trainer._rng_state is not None:
            reproducibility.load_rng_state(self.trainer._rng_state)
            self.trainer._rng_state = None
