"""flash-attn: exact attention on a GPU without the square of scores, for bf16 and fp16.

Version 3 (module `flash_attn_interface`) is for Hopper GPUs, version 2 (`flash_attn`) for all
since Ampere; the arguments used here are those that both have. Both share keys and values among
groups of heads, and take `window_size` as positions seen to the left and right, -1 for all.
"""

import importlib.util
from typing import Literal

import torch
from torch import Tensor

from glm_composer.models.packing import Packing

Version = Literal["flash2", "flash3"]
TYPES = (torch.bfloat16, torch.float16)
_MODULES = {"flash2": "flash_attn", "flash3": "flash_attn_interface"}
_HOPPER = 9


def find() -> tuple[Version | None, str]:
    """Return the version to use, or None and why there is none."""
    if not torch.cuda.is_available():
        return None, "no CUDA device"
    if torch.cuda.get_device_capability()[0] == _HOPPER and _installed("flash3"):
        return "flash3", ""
    if _installed("flash2"):
        return "flash2", ""
    return None, "flash-attn is not installed (pip install 'glm-composer[gpu]')"


def _installed(version: Version) -> bool:
    return importlib.util.find_spec(_MODULES[version]) is not None


def flash(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int | None,
    causal: bool,
    packing: Packing | None,
    version: Version,
) -> Tensor:
    """Attention by flash-attn; see `attention.attention` for the arguments."""
    # Here, not above: only a machine that has them imports them. Dynamo follows import statements.
    if version == "flash3":
        from flash_attn_interface import flash_attn_func, flash_attn_varlen_func
    else:
        from flash_attn import flash_attn_func, flash_attn_varlen_func

    side = -1 if window is None else window
    sides = (side, 0 if causal else side)
    if packing is None:
        out = flash_attn_func(q, k, v, causal=causal, window_size=sides)
    else:
        out = flash_attn_varlen_func(
            q,
            k,
            v,
            cu_seqlens_q=packing.cu_seqlens,
            cu_seqlens_k=packing.cu_seqlens,
            max_seqlen_q=packing.longest,
            max_seqlen_k=packing.longest,
            causal=causal,
            window_size=sides,
        )
    # The first releases of version 3 also return the logarithms of the softmax's sums.
    return out[0] if isinstance(out, tuple) else out
