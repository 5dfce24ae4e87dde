"""A language model as Composer wants it: the loss inside forward, metrics beside it."""

from typing import Any

import torch
from composer.models import ComposerModel
from torch import Tensor
from torchmetrics import Metric

from glm_composer.models.compiled import compiled as compiled_function
from glm_composer.models.flops import training_flops
from glm_composer.models.language_model import LanguageModel
from glm_composer.models.places import asked_places
from glm_composer.training.losses import NAMES, SummedLoss, loss_sums, stream_sums, weighted_loss


class GenomicModel(ComposerModel):
    """Wraps a `LanguageModel` for the Trainer.

    The loss is computed inside `forward`, because Composer calls `loss` outside the compiled and
    DDP wrapped forward pass.

    Args:
        model: the network.
        bf16: run the network under bf16 autocast; on a CPU Composer itself refuses to.
        compiled: compile the network.
        streams: how many streams training batches are mixed of, where their losses are wanted.
    """

    def __init__(
        self, model: LanguageModel, bf16: bool = False, compiled: bool = False, streams: int = 0
    ):
        super().__init__()
        self.streams = streams
        self.model = model
        self.bf16 = bf16
        self._device_type = "cuda" if torch.cuda.is_available() else "cpu"
        # Not the loss: torch 2.7's inductor fuses the sums of `loss_sums` into one C++ kernel that
        # declares its accumulators twice.
        self._compiled = compiled_function(model.embed) if compiled else None
        metrics: dict[str, Metric] = {name: SummedLoss(row) for row, name in enumerate(NAMES)}
        metrics["perplexity"] = SummedLoss(0, perplexity=True)
        self._metrics = metrics
        self._flops: dict[tuple[int, float], int] = {}

    def embed(
        self,
        ids: Tensor,
        lengths: Tensor | None = None,
        position: int | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """What `LanguageModel.embed` gives, in the run's precision, maybe compiled."""
        with self._precision(self.bf16):
            # Looked up late: a network that is sharded gets another `embed`.
            embed = self._compiled or self.model.embed
            # A network with an `embed` of its own need not know places.
            some = () if places is None else (places,)
            return embed(ids, lengths, position, *some)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return `loss`, a scalar, `sums` [3, 2], see `loss_sums`, and `streams` where there are.

        That is [streams, 3], see `stream_sums`.
        """
        ids = batch["input_ids"]
        places = self._places(batch)
        hidden = self.embed(ids, batch.get("length"), None, places)
        # In bf16 neighbouring logits would collapse into one value.
        with self._precision(False):
            logits = self.model.decoder(hidden.float())
        if places is not None:
            # Elsewhere nothing is asked.
            whole = logits.new_zeros(ids.numel(), logits.shape[-1])
            logits = whole.index_copy(0, places, logits).unflatten(0, ids.shape)
        sums = loss_sums(logits, batch)
        outputs = {"loss": weighted_loss(sums), "sums": sums.detach()}
        if self.streams and "stream" in batch:
            outputs["streams"] = stream_sums(logits.detach(), batch, self.streams)
        return outputs

    def _places(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Where the last layer is computed; None for everywhere.

        So it is in windows of several lengths, with a network that embeds in its own way, and on a
        GPU, whose loader's batches may yet lie on the CPU.
        """
        on_cpu = self.model.decoder.weight.device.type == "cpu"
        own = type(self.model).embed is not LanguageModel.embed
        if "length" in batch or own or not on_cpu:
            return None
        return asked_places(batch["labels"])

    def _precision(self, bf16: bool) -> torch.autocast:
        return torch.autocast(self._device_type, dtype=torch.bfloat16, enabled=bf16)

    def flops_per_batch(self, batch: dict[str, Tensor]) -> int:
        """FLOPs of a training step on this rank's batch; SpeedMonitor makes rates and MFU of it.

        Of blanks too: they are computed. Windows of several lengths all count as their mean. What
        is left out where no loss is read does not count.
        """
        rows, length = batch["input_ids"].shape
        if "length" in batch:
            length = round(float(batch["length"].double().mean()))
        places = self._places(batch)
        share = 1.0 if places is None else len(places) / batch["labels"].numel()
        if (length, share) not in self._flops:
            self._flops[length, share] = training_flops(self.model, length, share)
        return rows * self._flops[length, share]

    def loss(self, outputs: dict[str, Tensor], batch: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss that `forward` computed."""
        return outputs["loss"]

    def eval_forward(self, batch: Any, outputs: Any = None) -> dict[str, Tensor]:
        """Return what `forward` returns."""
        return self.forward(batch)

    def get_metrics(self, is_train: bool) -> dict[str, Metric]:
        """Return the evaluation metrics; training losses are logged by a callback of their own."""
        return {} if is_train else self._metrics

    def update_metric(self, batch: Any, outputs: dict[str, Tensor], metric: Metric) -> None:
        """Add a batch to a metric."""
        metric.update(outputs["sums"])
