"""What one process of a run can tell of the others, by the files in which they say they live."""

import time
from pathlib import Path

from glm_composer.runs.ranks import RankStatus, read_rank
from glm_composer.runs.reasons import CODES, End, Reason

_ADVICE = "start the same command again to go on from the latest checkpoint"
# Ends that all ranks come to together: whoever tells of them tells of the run.
_COMMON = ("requested", "aborted", "signal", "lost_rank", "stuck_rank")


class Peers:
    """The other processes of a run that one of them keeps an eye on.

    Rank 0 looks at all others, and they at it: what it finds it writes down, and they read.

    Attributes:
        patience: seconds that a process may be silent, or in one place while others wait.

    Args:
        run_dir: the run's directory.
        rank: which process this is.
        ranks: how many there are.
        patience: as above.
    """

    def __init__(self, run_dir: Path, rank: int, ranks: int, patience: float):
        self._run_dir, self.patience = run_dir, patience
        self._watched = range(1, ranks) if rank == 0 else range(1)
        # What each has said last, and when that was read, by this process's clock.
        self._last: dict[int, tuple[RankStatus, float]] = {}

    def look(self) -> None:
        """Read what the others say."""
        for rank in self._watched:
            said = read_rank(self._run_dir, rank)
            if said is not None and (rank not in self._last or self._last[rank][0] != said):
                self._last[rank] = (said, time.monotonic())

    def verdict(self, moves: int, still: float, silence: float | None = None) -> End | None:
        """Return the end that the others bring to the run; None while they go on.

        Args:
            moves: phases this process has been through.
            still: seconds since it came into the one it is in.
            silence: seconds without a sign of life after which another is lost for certain,
                because nobody can reach it any more; None while it can be reached.
        """
        for rank, (said, _) in self._last.items():
            # Again: it may have said how it ended after it was last read, and before it was gone.
            if said.end is None and said.is_gone:
                said = read_rank(self._run_dir, rank) or said
            if said.end is not None and said.end.reason != "finished":
                return _of(said.end, rank)
            if said.end is None and said.is_gone:
                return _end("lost_rank", f"{said}, is gone without a word")
        return self._silent(silence) or self._behind(moves, still)

    def describe(self) -> str:
        """Return where the others were when they were last heard of."""
        return "; ".join(str(said) for said, _ in self._last.values()) or "no other was heard of"

    def _silent(self, silence: float | None) -> End | None:
        limit = self.patience if silence is None else min(silence, self.patience)
        for said, read in self._last.values():
            quiet = time.monotonic() - read
            if said.end is None and quiet >= limit:
                lost = silence is not None and not said.here
                return _end(
                    "lost_rank" if lost else "stuck_rank",
                    f"{said}, has not said anything for {quiet:.0f} s",
                )
        return None

    def _behind(self, moves: int, still: float) -> End | None:
        """The process that this one waits for, if it has waited for too long."""
        if still < self.patience:
            return None
        going = [said for said, _ in self._last.values() if said.end is None]
        last = min(going, key=lambda said: said.moves, default=None)
        if last is None or last.moves >= moves:
            return None
        return _end("stuck_rank", f"{last}, has kept the others waiting for {still:.0f} s")


def unanswered(what: str, timed_out: bool) -> End:
    """Return the end of a run whose ranks do not reach each other, for no reason that shows."""
    return _end("stuck_rank" if timed_out else "lost_rank", what)


def _end(reason: Reason, what: str) -> End:
    return End(reason, f"{what}; {_ADVICE}", CODES[reason])


def _of(end: End, rank: int) -> End:
    if end.reason in _COMMON:
        return end
    return End(end.reason, f"rank {rank}: {end.message}", end.code)
