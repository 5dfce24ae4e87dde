"""A thread that fetches shards ahead of their use, and lives while there is something to do."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from glm_composer.errors import UserError


class Prefetcher:
    """Brings the shards of a window, in order, in the background.

    Args:
        bring: fetches one shard; returns whether there was room for it.

    Attributes:
        failed: what ended the fetch of a shard, until it is asked for.
    """

    def __init__(self, bring: Callable[[int], bool]):
        self._bring = bring
        self._window: Sequence[int] = ()
        self._thread: threading.Thread | None = None
        self.failed: dict[int, UserError] = {}

    def want(self, shards: Sequence[int]) -> None:
        """Take `shards` for the ones that are needed next; what was wanted before is forgotten."""
        self._window = shards
        thread = self._thread
        # After a fork the thread is still named, but runs in the parent only.
        if shards and (thread is None or not thread.is_alive()):
            self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            window = self._window
            self._go_through(window)
            self._thread = None
            # Looked at after the line above: `want` then either saw no thread and started one, or
            # has set its window before this.
            if self._window is window:
                return

    def _go_through(self, window: Sequence[int]) -> None:
        for shard in window:
            if self._window is not window:
                return
            try:
                if not self._bring(shard):
                    return
            except UserError as error:
                self.failed[shard] = error
                return

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_window": (), "_thread": None}
