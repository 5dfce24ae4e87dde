"""`train.py` with a callback that makes batches last: callbacks.pace={name: pace, seconds: 0.1}.

It only waits; what is trained is what `train.py` trains.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any

from glm_composer.cli import main
from glm_composer.registry import callbacks


@dataclass(frozen=True, kw_only=True)
class PaceConfig:
    """How long each batch lasts at least, and the batch that never ends."""

    name: str = "pace"
    seconds: float = 0.1
    stuck_after: int | None = None


@callbacks.register("pace")
def build_pace(config: PaceConfig, run: Any) -> Any:
    """Build it; Composer is imported late, as in train.py."""
    from composer.core import Callback, State
    from composer.loggers import Logger

    class Pace(Callback):
        def batch_start(self, state: State, logger: Logger) -> None:
            stuck = state.timestamp.batch.value == config.stuck_after
            time.sleep(3600 if stuck else config.seconds)

    return Pace()


if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
