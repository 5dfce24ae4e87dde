"""Stops a run whose loss or weights are no numbers, before a checkpoint of them is written."""

import math
from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from glm_composer.evaluation.predict import evaluating
from glm_composer.runs.reasons import RunEnds
from glm_composer.sequence import FIRST_BASE
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.parallel import whole

# Sample ids that the message names.
_SHOWN = 16
_ADVICE = (
    "earlier checkpoints are whole: lower optimizer.lr, or look at these windows with `glm data "
    "inspect`, and start the run again to go on from the latest"
)


class StopAtBadLoss(Callback):
    """Ends the run on every rank with one line that names the step and the windows it was made of.

    Args:
        model: the model that is being trained.
        streams: `name` and first sample id (`first`) of each stream, in order.
    """

    def __init__(self, model: GenomicModel, streams: list[dict[str, Any]]):
        self._model, self._streams = model, streams
        self._sums: Tensor | None = None

    def after_forward(self, state: State, logger: Logger) -> None:
        """Add a micro-batch; it is read only if the loss turns out bad, to find the rank."""
        outputs: Any = state.outputs
        total = outputs["sums"][0, 0]
        self._sums = total if self._sums is None else self._sums + total

    def batch_end(self, state: State, logger: Logger) -> None:
        """Stop where the loss is no number.

        It costs no wait for the device: Composer has read the loss of all ranks already, and a
        number that is none on one of them is none in their mean.
        """
        sums, self._sums = self._sums, None
        assert state.total_loss_dict is not None
        loss = state.total_loss_dict["loss/train/total"]
        if math.isfinite(loss):
            return
        here = sums is not None and not math.isfinite(float(sums))
        raise RunEnds(
            "bad_loss",
            f"loss is {loss} at batch {state.timestamp.batch.value}, "
            f"{self._windows(state, here)}; no checkpoint of it is written; {_ADVICE}",
        )

    def check_weights(self, state: State) -> None:
        """Stop where a checkpoint about to be written would be of weights that give no numbers.

        A step with a finite loss can leave such weights behind, and only the next loss would tell.

        Raises:
            RunEnds: a weight, or what the model says of a stretch of DNA, is no finite number.
        """
        # One after the other on all ranks: none may leave another alone in a forward pass.
        if _everywhere(_are_numbers(self._model)) and _everywhere(_gives_numbers(self._model)):
            return
        raise RunEnds(
            "bad_loss",
            f"the weights after batch {state.timestamp.batch.value}, "
            f"{self._windows(state, True)}, give no finite numbers; no checkpoint of them is "
            f"written; {_ADVICE}",
        )

    def _windows(self, state: State, here: bool) -> str:
        """Name windows of the batch on the ranks where something is wrong `here`; ask them all."""
        batch = state.batch
        streams = batch.get("stream", torch.zeros_like(batch["id"])).tolist()
        mine = [
            (self._streams[stream]["name"], number - self._streams[stream]["first"])
            for number, stream in zip(batch["id"].tolist(), streams, strict=True)
            # A blank that fills up the last batch.
            if number >= 0
        ]
        found = dist.all_gather_object((here, mine))
        bad = [rank for rank, (wrong, _) in enumerate(found) if wrong] or list(range(len(found)))
        windows = [window for rank in bad for window in found[rank][1]]
        shown: dict[str, list[str]] = {}
        for name, number in windows[:_SHOWN]:
            shown.setdefault(name, []).append(str(number))
        listed = "; ".join(f"{name} {', '.join(numbers)}" for name, numbers in shown.items())
        more = f" and {len(windows) - _SHOWN} more" if len(windows) > _SHOWN else ""
        where = "" if len(found) == 1 else f" of rank {', '.join(map(str, bad))}"
        return f"sample ids{where}: {listed}{more}"


def _everywhere(right: bool) -> bool:
    return all(dist.all_gather_object(right))


def _are_numbers(model: GenomicModel) -> bool:
    return all(bool(_local(p).isfinite().all()) for p in model.parameters())


def _gives_numbers(model: GenomicModel) -> bool:
    """Whether finite weights are not so large that nothing finite comes of them."""
    device = next(model.parameters()).device
    bases = torch.arange(FIRST_BASE, FIRST_BASE + 4, device=device)
    with whole(model), evaluating(model):
        hidden = model.model.embed(bases.repeat(1, 16))
        return bool(model.model.decoder(hidden.float()).isfinite().all())


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter
