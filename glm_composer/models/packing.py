"""Windows of several lengths in one batch: packed end to end for the work, padded for the rest.

A ragged batch comes in as [batch, longest] with a length a window. Work by position (norms, MLPs,
projections) runs on real positions only, packed as [total, ...]; attention reads where windows
begin from `cu_seqlens`; a convolution gets the padded form, zeros beyond a window's end, which is
what that window alone would meet there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from glm_composer.errors import UserError


@dataclass(frozen=True)
class Packing:
    """Where the real positions of a padded batch lie.

    Attributes:
        batch: windows in the batch.
        longest: positions each of them is padded to.
        index: int64 [total], the place of every real position among the batch x longest.
        cu_seqlens: int32 [batch + 1], where in the packed form each window begins, and the total;
            flash-attn's name and type.
    """

    batch: int
    longest: int
    index: Tensor
    cu_seqlens: Tensor

    # How many positions are real is read from the device: a compiler breaks its graph here.
    @staticmethod
    def of(lengths: Tensor, longest: int) -> "Packing":
        """Lay out windows of `lengths` [batch], any integer type, padded at the end to `longest`.

        A length of 0 is a window without positions.

        Raises:
            UserError: a length is negative or more than `longest`.
        """
        wrong = ((lengths < 0) | (lengths > longest)).nonzero().flatten()
        if len(wrong):
            row = int(wrong[0])
            raise UserError(
                f"window {row} of the batch has length {int(lengths[row])}; it must be from 0 to "
                f"the {longest} positions that the batch is padded to"
            )
        real = torch.arange(longest, device=lengths.device) < lengths[:, None]
        ends = lengths.cumsum(0, dtype=torch.int32)
        return Packing(len(lengths), longest, real.flatten().nonzero()[:, 0], F.pad(ends, (1, 0)))

    @property
    def position(self) -> Tensor:
        """int64 [total], 0-based, of every packed position within its window."""
        return self.index % self.longest

    @property
    def window(self) -> Tensor:
        """int64 [total], the row in the batch of every packed position's window."""
        return self.index // self.longest

    @property
    def real(self) -> Tensor:
        """bool [batch, longest], False where there is padding."""
        mask = self.index.new_zeros(self.batch * self.longest, dtype=torch.bool)
        return mask.index_fill(0, self.index, True).view(self.batch, self.longest)

    def unpad(self, x: Tensor) -> Tensor:
        """[batch, longest, ...] -> [total, ...]."""
        return x.flatten(0, 1).index_select(0, self.index)

    def pad(self, x: Tensor) -> Tensor:
        """[total, ...] -> [batch, longest, ...], zeros at padding."""
        zeros = x.new_zeros(self.batch * self.longest, *x.shape[1:])
        return zeros.index_copy(0, self.index, x).unflatten(0, (self.batch, self.longest))
