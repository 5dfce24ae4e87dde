"""The loss and its parts as sums, so that they add up exactly over micro-batches and ranks."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from glm_composer.sequence import PAD

# Rows of the table of sums: each loss is its first column over its second.
NAMES = ("loss", "loss_full", "loss_unmasked")


def loss_sums(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Sums of cross-entropy (nats) and of weight, for three weightings of the asked positions.

    Args:
        logits: [batch, length, 7].
        batch: `labels` (with [PAD] where nothing is asked), `loss_weight` and `soft_masked`, each
            [batch, length].

    Returns:
        [3, 2] float32: rows `loss` (weighted by `loss_weight`), `loss_full` (every asked position
        weighs 1) and `loss_unmasked` (only those that are not soft-masked); columns the weighted
        sum of cross-entropies and the sum of weights.
    """
    labels = batch["labels"].long()
    entropy = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none")
    asked = (labels != PAD).flatten().float()
    unmasked = asked * (~batch["soft_masked"]).flatten()
    weights = torch.stack([batch["loss_weight"].flatten(), asked, unmasked])
    return torch.stack([weights @ entropy, weights.sum(1)], dim=1)


def stream_sums(logits: Tensor, batch: dict[str, Tensor], streams: int) -> Tensor:
    """Sums of weighted cross-entropy (nats), of weight, and of windows, by stream.

    Args:
        logits: [batch, length, 7].
        batch: as `loss_sums` takes it, with `stream` [batch].
        streams: how many there are.

    Returns:
        [streams, 3] float64.
    """
    labels = batch["labels"].long()
    entropy = F.cross_entropy(logits.float().transpose(1, 2), labels, reduction="none")
    weight = batch["loss_weight"].double()
    rows = torch.stack(
        [(entropy * weight).sum(1), weight.sum(1), torch.ones_like(weight[:, 0])], 1
    )
    sums = torch.zeros(streams, 3, dtype=torch.float64, device=rows.device)
    return sums.index_add_(0, batch["stream"], rows)


def weighted_loss(sums: Tensor) -> Tensor:
    """The training loss, one ratio from `loss_sums`; 0 if nothing is asked."""
    total, weight = sums[0]
    return total / weight.clamp_min(1e-12)


class SummedLoss(Metric):
    """One row of `loss_sums` over a whole evaluation: exact, however it was cut into batches.

    Args:
        row: index into `NAMES`.
        perplexity: report exp(loss) instead of the loss.
    """

    full_state_update = False
    sums: Tensor

    def __init__(self, row: int, perplexity: bool = False):
        super().__init__()
        self.row, self.perplexity = row, perplexity
        self.add_state("sums", torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, sums: Tensor) -> None:
        """Add a batch's `loss_sums`."""
        self.sums += sums[self.row].double()

    def compute(self) -> Tensor:
        """Loss in nats, or perplexity; NaN if nothing was asked."""
        loss = self.sums[0] / self.sums[1]
        return loss.exp() if self.perplexity else loss
