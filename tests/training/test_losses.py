import math

import pytest
import torch

from glm_composer.sequence import PAD
from glm_composer.training.losses import NAMES, SummedLoss, loss_sums, weighted_loss


def naive_sums(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> list[list[float]]:
    sums = [[0.0, 0.0] for _ in NAMES]
    for row in range(logits.shape[0]):
        for column in range(logits.shape[1]):
            label = int(batch["labels"][row, column])
            if label == PAD:
                continue
            values = logits[row, column].double().tolist()
            entropy = math.log(sum(math.exp(v) for v in values)) - values[label]
            masked = bool(batch["soft_masked"][row, column])
            weights = [float(batch["loss_weight"][row, column]), 1.0, 0.0 if masked else 1.0]
            for index, weight in enumerate(weights):
                sums[index][0] += weight * entropy
                sums[index][1] += weight
    return sums


@pytest.fixture
def case() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(3, 7, (4, 9), generator=random, dtype=torch.uint8)
    labels[torch.rand(4, 9, generator=random) < 0.5] = PAD
    soft_masked = torch.rand(4, 9, generator=random) < 0.4
    weight = torch.where(soft_masked, 0.01, 1.0) * (labels != PAD)
    logits = 3 * torch.randn(4, 9, 7, generator=random)
    return logits, {"labels": labels, "soft_masked": soft_masked, "loss_weight": weight}


def test_sums_equal_a_loop_over_positions(case):
    logits, batch = case
    assert torch.allclose(loss_sums(logits, batch), torch.tensor(naive_sums(logits, batch)))


def test_weighted_loss_is_one_ratio(case):
    logits, batch = case
    (total, weight), *_ = naive_sums(logits, batch)
    assert weighted_loss(loss_sums(logits, batch)).item() == pytest.approx(
        total / weight, rel=1e-6
    )


def test_a_batch_that_asks_nothing_has_no_loss_and_no_gradient(case):
    logits, batch = case
    logits.requires_grad_()
    batch["labels"] = torch.full_like(batch["labels"], PAD)
    batch["loss_weight"] = torch.zeros_like(batch["loss_weight"])
    loss = weighted_loss(loss_sums(logits, batch))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_metric_does_not_depend_on_how_batches_are_cut(case):
    logits, batch = case
    whole, parts = SummedLoss(0), SummedLoss(0)
    whole.update(loss_sums(logits, batch))
    for rows in (slice(0, 1), slice(1, 4)):
        parts.update(loss_sums(logits[rows], {key: value[rows] for key, value in batch.items()}))
    assert parts.compute().item() == pytest.approx(whole.compute().item(), rel=1e-6)


def test_perplexity_is_the_exponential_of_the_loss(case):
    logits, batch = case
    loss, perplexity = SummedLoss(0), SummedLoss(0, perplexity=True)
    for metric in (loss, perplexity):
        metric.update(loss_sums(logits, batch))
    assert perplexity.compute().item() == pytest.approx(math.exp(loss.compute().item()))
