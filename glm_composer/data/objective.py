"""What an objective is: the one interface between windows of bases and what a model is asked."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Asked(NamedTuple):
    """Corrupted windows and what is asked of them.

    Attributes:
        inputs: uint8 [batch, length], the ids that the model sees.
        labels: uint8 [batch, length], the ids to predict; [PAD] where nothing is asked.
        weight: float32 that broadcasts to [batch, length], a factor of the loss weights; None for
            1 throughout.
        ahead: the label of position i is the base at position i + `ahead`.
    """

    inputs: Tensor
    labels: Tensor
    weight: Tensor | None = None
    ahead: int = 0


class Objective(Protocol):
    """Corrupts windows: a pure function of them and their keys, on whichever device they are.

    The settings that build one say with a class variable `causal: ClassVar[bool] = True` that it
    needs a model that sees no base to the right; without it, one that sees both sides.
    """

    def __call__(self, ids: Tensor, keys: Tensor) -> Asked:
        """Corrupt a batch.

        Args:
            ids: uint8 [batch, length], the windows, [PAD] after the end of shorter ones. Not
                changed. What is asked at [PAD] is dropped later.
            keys: int64 [batch], of each window's stream of random numbers, see draws.py.
        """
        ...
