"""Choices among uint8 ids by arithmetic of bits.

What torch offers for them, `where`, `masked_fill` and comparisons, branches at every element: on
a CPU it takes five to fifty times as long.
"""

import torch
from torch import Tensor

from glm_composer.sequence import FIRST_BASE


def choose(mask: Tensor, yes: Tensor | int, no: Tensor) -> Tensor:
    """As `torch.where(mask, yes, no)`: uint8 of bool and uint8, which broadcast."""
    return ((no ^ yes) & mask.view(torch.uint8) * 255) ^ no


def is_base(ids: Tensor) -> Tensor:
    """Where ids uint8 [...] are bases and not special: bool [...]."""
    # Bases are 3 to 6 of 0 to 6: one more, and they alone have the third bit.
    return (ids + (4 - FIRST_BASE)).bitwise_right_shift_(2).view(torch.bool)
