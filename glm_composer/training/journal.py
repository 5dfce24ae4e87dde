"""Writes a run's status, its events and what this rank is doing.

While the run goes on nothing depends on it: what cannot be written is left out, and the next
second's is tried again. A little room on the disk is kept for the end, so that a run that ended
because the disk is full can say so.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable

from glm_composer.config import Config
from glm_composer.runs import folder
from glm_composer.runs.events import append_event
from glm_composer.runs.process import process_start, this_host
from glm_composer.runs.ranks import RankStatus, read_rank, write_rank
from glm_composer.runs.reasons import End
from glm_composer.runs.status import ENDED, Status, read_status, write_status
from glm_composer.training.pulse import Pulse

_LOG = logging.getLogger(__name__)
_ROOM_BYTES = 1 << 14
# Seconds without a new sign of life, of which there is one a second, after which a lower rank is
# not waited for any more to write down the end.
_SILENCE = 5.0


class Journal:
    """What this process writes about the run.

    Args:
        config: of the run.
        rank: which process this is.
        ranks: how many there are.
        pulse: what it does.
    """

    def __init__(self, config: Config, rank: int, ranks: int, pulse: Pulse):
        self._config, self._run_dir, self._pulse = config, config.run_dir, pulse
        self._rank, self._ranks = rank, ranks
        self._began = folder.now()
        self._announced = False
        self._host, self._pid = this_host(), os.getpid()
        self._process_start = process_start(self._pid)

    def begin(self) -> None:
        """Say that the run starts.

        Raises:
            OSError: the directory cannot be written.
        """
        if self._rank == 0:
            (self._run_dir / folder.ROOM).write_bytes(b"\n" * _ROOM_BYTES)
            write_status(self._run_dir, self._status())
        write_rank(self._run_dir, self._said())

    def started(self, resumed_from: str | None = None) -> None:
        """Note the start among the events, once."""
        if self._rank != 0 or self._announced:
            return
        self._announced = True
        append_event(
            self._run_dir,
            "started",
            command=sys.argv,
            host=self._host,
            pid=self._pid,
            ranks=self._ranks,
            resumed_from=resumed_from,
        )

    def beat(self) -> None:
        """Say what goes on."""
        with contextlib.suppress(OSError):
            write_rank(self._run_dir, self._said())
            if self._rank == 0:
                write_status(self._run_dir, self._status())

    def end(self, end: End) -> None:
        """Write down the run's end: for this rank, and for the run if no rank below does."""
        with contextlib.suppress(OSError):
            write_rank(self._run_dir, self._said(end))
        if self._rank != 0 and (end.reason == "finished" or self._is_written()):
            return
        event = {"reason": end.reason, "message": end.message, "code": end.code}
        notes: list[Callable[[], None]] = [
            lambda: (self._run_dir / folder.ROOM).unlink(missing_ok=True),
            self.started,
            lambda: append_event(self._run_dir, "ended", step=self._pulse.step, **event),
            lambda: write_status(self._run_dir, self._status(end)),
        ]
        for note in notes:
            # One that cannot be written does not keep the others from it.
            try:
                note()
            except OSError as error:
                _LOG.error("%s: the run's end cannot be noted: %s", self._run_dir, error)

    def _is_written(self) -> bool:
        """Whether a lower rank writes down the end; it is waited for while it lives."""
        heard: dict[int, tuple[RankStatus, float]] = {}
        while True:
            status = read_status(self._run_dir)
            if status is not None and status.state in ENDED:
                return True
            if not any(self._lives(rank, heard) for rank in range(self._rank)):
                return False
            time.sleep(0.05)

    def _lives(self, rank: int, heard: dict[int, tuple[RankStatus, float]]) -> bool:
        """Whether a rank is there and has said something new lately."""
        said, now = read_rank(self._run_dir, rank), time.monotonic()
        if said is None or said.is_gone:
            return False
        if rank not in heard or heard[rank][0] != said:
            heard[rank] = (said, now)
        return now - heard[rank][1] < _SILENCE

    def _said(self, end: End | None = None) -> RankStatus:
        pulse = self._pulse
        return RankStatus(
            rank=self._rank,
            host=self._host,
            pid=self._pid,
            process_start=self._process_start,
            step=pulse.step,
            phase=pulse.phase,
            moves=pulse.moves,
            still=round(time.monotonic() - pulse.moved, 3),
            heartbeat=folder.now(),
            end=end,
        )

    def _status(self, end: End | None = None) -> Status:
        pulse = self._pulse
        return Status(
            state=end.state if end else pulse.state,
            run_name=self._config.run_name,
            host=self._host,
            pid=self._pid,
            process_start=self._process_start,
            ranks=self._ranks,
            started=self._began,
            heartbeat=folder.now(),
            step=pulse.step,
            epoch=pulse.epoch,
            max_duration=self._config.max_duration,
            progress=pulse.progress,
            loss=pulse.loss,
            tokens_per_second=pulse.tokens_per_second,
            seconds_left=None if end else pulse.seconds_left,
            reason=end.reason if end else None,
            message=end.message if end else None,
            code=end.code if end else None,
        )
