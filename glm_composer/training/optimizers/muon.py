"""Muon for hidden matrices, AdamW for the rest.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a matrix by
the nearest matrix with orthonormal rows or columns, so that every direction moves alike. Scaled
by 0.2 x sqrt(its longer side) (Liu et al. 2025, arXiv:2502.16982) its entries are as large as
those of an AdamW step, so AdamW's learning rate and weight decay carry over, one of each for all.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.optim.adamw import adamw

from glm_composer.registry import optimizers
from glm_composer.training.optimizers.groups import hidden_matrices, parameter_groups
from glm_composer.training.parallel import cut, gather

# Jordan's quintic: it takes singular values in (0, 1] to about [0.7, 1.2] in five steps.
_QUINTIC = (3.4445, -4.7750, 2.0315)
# Root mean square of an entry of AdamW's update, as Liu et al. measured it.
_ADAMW_RMS = 0.2


@dataclass(frozen=True, kw_only=True)
class MuonConfig:
    """Settings of Muon; embedding, decoder, norms and biases take AdamW with the same rate.

    Attributes:
        name: `muon`.
        lr: peak learning rate, on AdamW's scale.
        weight_decay: of matrices, convolutions and embeddings.
        momentum: decay of the gradient's average, of hidden matrices.
        nesterov: look one step ahead of that average.
        steps: Newton-Schulz iterations.
        beta1: decay of AdamW's first moment.
        beta2: decay of AdamW's second moment.
        eps: added to the root of AdamW's second moment.
    """

    name: str = "muon"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.95
    nesterov: bool = True
    steps: PositiveInt = 5
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    eps: PositiveFloat = 1e-8


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Take the singular values of each matrix near 1 by Newton-Schulz iterations.

    They land between about 0.7 and 1.2, which trains as well as exactly 1 (Jordan et al. 2024),
    and bf16 is precise enough for that. A matrix of zeros stays one.

    Args:
        matrices: [count, rows, columns].
        steps: iterations.

    Returns:
        The same shape, in bf16.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    # Frobenius, which bounds the largest singular value; before rounding to bf16.
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon over groups with `orthogonal: True`, fused AdamW over the others.

    Every rank of a data-parallel run computes every update, from equal gradients to equal weights;
    where weights are sharded, of momenta gathered shape by shape.

    Args:
        groups: parameter groups, each with all its settings but `lr`.
        lr: learning rate.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float):
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Make one step; return what `closure`, which computes gradients anew, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["orthogonal"]:
                self._orthogonal_step(parameters, group)
            elif parameters:
                self._adamw_step(parameters, group)
        return loss

    def _orthogonal_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        # Matrices of one shape go through the iterations together.
        by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            by_shape[parameter.flatten(1).shape].append(parameter)  # type: ignore[index]
        for (rows, columns), alike in by_shape.items():
            # A convolution [out, in, kernel] multiplies patches of in x kernel values: it is that
            # matrix [out, in x kernel].
            directions = torch.stack([self._direction(p, group).flatten(1) for p in alike])
            updates = orthogonalise(gather(directions), group["steps"])
            scale = _ADAMW_RMS * max(rows, columns) ** 0.5
            for parameter, update in zip(alike, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                update = cut(update.reshape(parameter.shape), parameter)
                parameter.add_(update, alpha=-group["lr"] * scale)

    def _direction(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        return gradient.lerp(average, group["momentum"]) if group["nesterov"] else average

    def _adamw_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[p] for p in parameters]
        beta1, beta2 = group["betas"]
        adamw(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


@optimizers.register("muon")
def build_muon(config: MuonConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build it over the parameters of `model`."""
    hidden = hidden_matrices(model)
    orthogonal = {
        "orthogonal": True,
        "weight_decay": config.weight_decay,
        "momentum": config.momentum,
        "nesterov": config.nesterov,
        "steps": config.steps,
    }
    # `fused` tells torch to load the step counts to where the fused kernel wants them.
    elementwise = {
        "orthogonal": False,
        "betas": (config.beta1, config.beta2),
        "eps": config.eps,
        "fused": True,
    }
    rest = [
        {**group, **elementwise}
        for group in parameter_groups(model, config.weight_decay, without=hidden)
    ]
    return Muon([{"params": hidden, **orthogonal}, *rest], lr=config.lr)
