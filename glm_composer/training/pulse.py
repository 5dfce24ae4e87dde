"""What this process is doing: its main thread sets it, its watch writes it down."""

import time
from dataclasses import dataclass, field

from glm_composer.runs.status import State


@dataclass
class Pulse:
    """What this process is doing.

    Attributes:
        state: of the run.
        phase: of this process, in words.
        moves: phases it has been through; all ranks go through the same ones.
        moved: when it came into its phase, by `time.monotonic`.
        step: batches done.
        epoch: epochs done.
        progress: share of the training that is done, 0 to 1.
        loss: of the last batch, nats.
        tokens_per_second: bases a second over all ranks, lately.
        seconds_left: until the training is done.
    """

    state: State = "starting"
    phase: str = "starting"
    moves: int = 0
    moved: float = field(default_factory=time.monotonic)
    step: int = 0
    epoch: int = 0
    progress: float | None = None
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None

    def enter(self, phase: str, state: State | None = None) -> None:
        """Come into another phase; with it the run into another state."""
        self.phase = phase
        if state is not None:
            self.state = state
        self.moves += 1
        self.stir()

    def stir(self) -> None:
        """Go on within a phase, through something that not all ranks do equally often."""
        self.moved = time.monotonic()
