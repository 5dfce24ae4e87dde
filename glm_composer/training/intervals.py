"""When something regular is due in a run, in a form that can be changed while it goes on."""

from collections.abc import Callable
from typing import Any

from composer.core import Event, State
from composer.utils import create_interval_scheduler


class Interval:
    """Answers Composer's question whether it is time; it can also be asked for out of turn.

    Args:
        text: batches or epochs between two times, like 500ba or 1ep.
        rules: of Composer's `create_interval_scheduler`: on which events, and whether at the end.
    """

    def __init__(self, text: str, **rules: Any):
        self._rules = rules
        self._asked = False
        self.text = text

    @property
    def text(self) -> str:
        """Batches or epochs between two times."""
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._text = text
        self._due: Callable[[State, Event], bool] = create_interval_scheduler(text, **self._rules)

    def ask(self) -> None:
        """Let the next answer be yes."""
        self._asked = True

    def __call__(self, state: State, event: Event) -> bool:
        """Return whether it is time."""
        asked, self._asked = self._asked, False
        # Both: Composer's own remembers when it last said yes.
        return self._due(state, event) or asked


def saving(text: str) -> Interval:
    """Return an interval between checkpoints; one is saved at the end in any case."""
    return Interval(text)


def evaluating(text: str) -> Interval:
    """Return an interval between evaluations of the loss, the last one at the end of the run."""
    return Interval(text, checkpoint_events=False, final_events={Event.FIT_END})


def scoring(text: str) -> Interval:
    """Return an interval between scorings of a variant table; the final report does the last."""
    return Interval(text, checkpoint_events=False, include_end_of_training=False)
