"""torch.compile as the models here want it: a graph for every shape, and for every position read.

There are few of each, and a graph of no fixed shape is slower.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Of one function: shapes of training, evaluation and every variant table, twice for its strands;
# layers that differ in a kernel or a dilation share one function. Behind torch's own limit of 8 a
# function runs uncompiled, with no more than a warning.
_MOST_GRAPHS = 256


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the compiled function."""
    allow_many_graphs()
    return torch.compile(function, dynamic=False)


def allow_many_graphs() -> None:
    """Raise torch's limits to what models here need; for the whole process."""
    torch._dynamo.config.recompile_limit = _MOST_GRAPHS
    torch._dynamo.config.accumulated_recompile_limit = 4 * _MOST_GRAPHS
