"""What is asked of a run by signals and requests, as numbers that all ranks add up."""

import time
from pathlib import Path

from composer.utils import dist

from glm_composer.runs.requests import any_waiting
from glm_composer.training import signals

# Seconds between two looks at the inbox, where batches are shorter than that.
_PAUSE = 0.05


class Asked:
    """Says what is asked of this rank, and hears what is asked of any.

    Requests lie where rank 0 looks, and a signal may reach one rank only; all ranks must act on
    either after the same batch.

    Attributes:
        signal: number of a signal that some rank has received; 0 for none.
        waiting: whether there are requests.

    Args:
        run_dir: the run's directory.
    """

    def __init__(self, run_dir: Path):
        self._run_dir = run_dir
        self.signal = 0
        self.waiting = False
        self._looked = 0.0

    def give(self) -> list[float]:
        """Return a number for each signal and one for requests."""
        waiting, now = False, time.monotonic()
        if dist.get_global_rank() == 0 and now - self._looked >= _PAUSE:
            waiting, self._looked = any_waiting(self._run_dir), now
        came = signals.received()
        return [*(float(came == each) for each in signals.SIGNALS), float(waiting)]

    def take(self, sums: list[float]) -> None:
        """Hear the sums of these numbers over all ranks."""
        *came, waiting = sums
        found = [each for each, ranks in zip(signals.SIGNALS, came, strict=True) if ranks]
        self.signal = found[0] if found else 0
        self.waiting = waiting > 0
