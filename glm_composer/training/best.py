"""What a metric is at the step that is about to be saved."""

import math
from typing import Any

from composer.loggers import LoggerDestination

from glm_composer.config import SaveBestConfig
from glm_composer.errors import UserError


class BestMetric(LoggerDestination):
    """Listens for the metric that chooses the best checkpoint.

    Args:
        config: its name, as in `metrics.jsonl`, and the direction.
    """

    def __init__(self, config: SaveBestConfig):
        assert config.metric is not None
        self.name, self.direction = config.metric, config.direction
        self._group = self.name.rpartition("/")[0] + "/"
        self._step = -1
        self._value: float | None = None
        # Of the same evaluation, at the same step.
        self._beside: set[str] = set()

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Take the metric's value, if it is among these."""
        if step is None:
            return
        if step != self._step:
            self._step, self._value, self._beside = step, None, set()
        for key, value in metrics.items():
            name = key.removeprefix("metrics/")
            if name == self.name:
                self._value = float(value)
            elif name.startswith(self._group):
                self._beside.add(name)

    def measured(self, step: int) -> float | None:
        """Return its value if it was measured at this step, by the weights of this step.

        A value that is no finite number is none.

        Raises:
            UserError: its evaluation has other metrics, but not this one.
        """
        if step != self._step:
            return None
        if self._value is None and self._beside:
            found = ", ".join(sorted(self._beside))
            raise UserError(f"save_best.metric '{self.name}': not measured; there are {found}")
        return self._value if self._value is not None and math.isfinite(self._value) else None

    def is_better(self, value: float, held: float) -> bool:
        """Return whether a value is better than another."""
        return value < held if self.direction == "minimize" else value > held
