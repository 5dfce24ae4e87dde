"""`ranks/RANK.json`: what each process of a run is doing; by these a lost one is named."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from glm_composer.runs.folder import RANKS, write_whole
from glm_composer.runs.process import is_running, this_host
from glm_composer.runs.reasons import End


@dataclass(frozen=True, kw_only=True)
class RankStatus:
    """What one process of a run is doing.

    Attributes:
        rank: which of the run's processes it is, from 0.
        host: its machine.
        pid: its number there.
        process_start: when it began, in clock ticks since its machine did; None if not known.
        step: batches it has done.
        phase: what it was doing last.
        moves: phases it has been through, by which ranks are compared.
        still: seconds since it came into its phase.
        heartbeat: when this was written, ISO-8601 UTC.
        end: how the run has ended for it; None while it goes on.
    """

    rank: int
    host: str
    pid: int
    process_start: int | None
    step: int
    phase: str
    moves: int
    still: float
    heartbeat: str
    end: End | None = None

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == this_host()

    @property
    def is_gone(self) -> bool:
        """Whether it is a process of this machine that is over."""
        return self.here and not is_running(self.pid, self.process_start)

    def __str__(self) -> str:
        place = f"rank {self.rank} ({self.host}, process {self.pid})"
        return f"{place}, last seen at batch {self.step} ({self.phase})"


_FORMAT = TypeAdapter(RankStatus)


def clear_ranks(run_dir: Path) -> None:
    """Forget the processes of earlier starts of a run.

    Raises:
        OSError: they cannot be removed.
    """
    shutil.rmtree(run_dir / RANKS, ignore_errors=True)
    (run_dir / RANKS).mkdir()


def read_rank(run_dir: Path, rank: int) -> RankStatus | None:
    """Read what a process said last; None if it has not said anything that can be read."""
    try:
        return _FORMAT.validate_json(_path(run_dir, rank).read_bytes(), strict=True)
    except (OSError, ValidationError):
        return None


def write_rank(run_dir: Path, status: RankStatus) -> None:
    """Write what this process is doing.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(_path(run_dir, status.rank), json.dumps(asdict(status)) + "\n")


def _path(run_dir: Path, rank: int) -> Path:
    return run_dir / RANKS / f"{rank}.json"
