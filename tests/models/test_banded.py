"""The sliding band: one operation, whose cost grows with the length alone."""

import pytest
import torch
from attention_reference import draw, outputs_and_gradients, pack
from torch.utils.flop_counter import FlopCounterMode

from glm_composer.models.banded import banded


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_banded_survives_scores_at_the_edge_of_the_type(dtype: torch.dtype) -> None:
    inputs = [(x.detach() * 60).to(dtype).requires_grad_() for x in draw(2, 21)]
    for tensor in outputs_and_gradients(banded(*inputs, 4), inputs):
        assert tensor.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_banded_is_one_well_behaved_operation(packed: bool) -> None:
    rows, length, groups = (1, 90, 2) if packed else (3, 90, 2)
    q, k, v = (
        torch.randn(rows, n, 4, requires_grad=True) for n in (length * groups, length, length)
    )
    owner = pack([40, 0, 50]).window if packed else None
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    arguments = (q, k, v, owner, 7, False)
    torch.library.opcheck(torch.ops.glm_composer.banded.default, arguments, test_utils=checks)


@pytest.mark.slow
def test_banded_compiles_whole_and_for_every_length() -> None:
    compiled = torch.compile(banded, backend="aot_eager", fullgraph=True, dynamic=True)
    for length in (70, 150):
        inputs = draw(1, length, heads=2, kv_heads=1)
        got, want = (f(*inputs, 9) for f in (compiled, banded))
        for x, y in zip(
            outputs_and_gradients(got, inputs), outputs_and_gradients(want, inputs), strict=True
        ):
            torch.testing.assert_close(x, y)
    torch.compiler.reset()


def test_banded_work_and_memory_grow_with_the_length_alone() -> None:
    def cost(length: int) -> tuple[int, int]:
        """Floating point operations of both passes, and what is kept between them."""
        kept = []
        inputs = draw(1, length, heads=2, kv_heads=1)
        with FlopCounterMode(display=False) as flops:
            with torch.autograd.graph.saved_tensors_hooks(
                lambda x: kept.append(x.numel()) or x, lambda x: x
            ):
                out = banded(*inputs, 64)
            out.sum().backward()
        return flops.get_total_flops(), sum(kept)

    (flops, kept), (more_flops, more_kept) = cost(512), cost(4096)
    assert more_flops < 8.7 * flops
    assert more_kept < 8.7 * kept
    # Blocks of 64 queries see 192 keys, those at both ends 128; 2 matmuls forward, 4 backward.
    scores = 2 * (62 * 64 * 192 + 2 * 64 * 128)
    assert more_flops == 2 * 6 * scores * 8
