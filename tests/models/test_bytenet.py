"""ByteNet: GPN's size, receptive field and arithmetic."""

import math

import pytest
import torch
from torch import Tensor

from glm_composer.models.bytenet import ByteNetBlock, ByteNetConfig, build_bytenet
from glm_composer.models.convolution import Convolution


def naive_block(block: ByteNetBlock, x: list[list[float]], dilation: int) -> list[list[float]]:
    """GPN's block on one sequence [length][width], in Python floats."""

    def norm(row: list[float], weight: list[float]) -> list[float]:
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        return [
            (r - mean) / math.sqrt(variance + 1e-5) * w for r, w in zip(row, weight, strict=True)
        ]

    def gelu(row: list[float]) -> list[float]:
        return [value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in row]

    def linear(row: list[float], weight: list[list[float]]) -> list[float]:
        return [sum(a * b for a, b in zip(row, out, strict=True)) for out in weight]

    weights = {name: value.tolist() for name, value in block.state_dict().items()}
    y = [linear(gelu(norm(row, weights["norm_in.weight"])), weights["reduce.weight"]) for row in x]
    y = [gelu(norm(row, weights["norm_conv.weight"])) for row in y]
    kernel = weights["conv.weight"]  # [out][in][tap]
    taps, length = len(kernel[0][0]), len(x)
    convolved = []
    for position in range(length):
        row = [0.0] * len(kernel)
        for tap in range(taps):
            source = position + (tap - taps // 2) * dilation
            if 0 <= source < length:
                for o, by_input in enumerate(kernel):
                    row[o] += sum(w[tap] * v for w, v in zip(by_input, y[source], strict=True))
        convolved.append(row)
    branch = [
        linear(gelu(norm(row, weights["norm_out.weight"])), weights["expand.weight"])
        for row in convolved
    ]
    return [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(x, branch, strict=True)]


def reach(encoder: torch.nn.Module, width: int, length: int, position: int) -> Tensor:
    """Positions whose input moves the encoder's output at `position`, by gradient."""
    x = torch.randn(1, length, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
    encoder(x)[0, position].square().sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(-1).nonzero().flatten()


@pytest.mark.parametrize(("kernel", "dilation"), [(9, 1), (5, 1), (5, 4), (3, 16)])
def test_block_equals_the_written_out_formula(kernel: int, dilation: int) -> None:
    torch.manual_seed(0)
    block = ByteNetBlock(6, kernel, dilation).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
    x = torch.randn(1, 13, 6, dtype=torch.float64)
    expected = torch.tensor([naive_block(block, x[0].tolist(), dilation)], dtype=torch.float64)
    torch.testing.assert_close(block(x), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("kernel", "dilation", "length"), [(9, 1, 40), (5, 16, 40), (5, 8, 3)])
def test_convolution_equals_torchs_forward_and_backward(
    kernel: int, dilation: int, length: int
) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv1d(
        6, 6, kernel, dilation=dilation, padding=dilation * (kernel // 2), bias=False
    ).double()
    x = torch.randn(2, length, 6, dtype=torch.float64, requires_grad=True)
    g = torch.randn_like(x)
    theirs = conv(x.transpose(1, 2)).transpose(1, 2)
    ours_conv = Convolution(6, kernel, dilation).double()
    ours_conv.load_state_dict(conv.state_dict())
    ours = ours_conv(x)
    torch.testing.assert_close(ours, theirs)
    for here, there in zip(
        torch.autograd.grad(ours, [x, ours_conv.weight], g),
        torch.autograd.grad(theirs, [x, conv.weight], g),
        strict=True,
    ):
        torch.testing.assert_close(here, there)


def test_default_is_the_published_size() -> None:
    with torch.device("meta"):
        model = build_bytenet(ByteNetConfig())
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert sum(math.prod(shape) for shape in shapes) == 152_189_952
    # The published checkpoint: 6 tensors a layer, embedding, final norm and decoder.
    assert len(shapes) == 387
    assert shapes.count((512, 512, 9)) == 1
    assert shapes.count((512, 512, 5)) == 63


@pytest.mark.parametrize(
    ("width", "layers", "first_kernel", "kernel"), [(8, 1, 9, 5), (32, 6, 3, 7)]
)
def test_parameters_by_hand(width: int, layers: int, first_kernel: int, kernel: int) -> None:
    config = ByteNetConfig(width=width, layers=layers, first_kernel=first_kernel, kernel=kernel)
    inner = width // 2
    taps = first_kernel + (layers - 1) * kernel
    expected = (
        2 * 7 * width
        + width
        + layers * (2 * width * inner + width + 2 * inner)
        + taps * inner * inner
    )
    assert sum(p.numel() for p in build_bytenet(config).parameters()) == expected


def test_kernels_and_dilations_follow_the_cycle() -> None:
    with torch.device("meta"):
        model = build_bytenet(ByteNetConfig(width=4, layers=19))
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv1d)]
    assert [m.kernel_size[0] for m in convolutions] == [9] + [5] * 18
    cycle = [1, 2, 4, 8, 16, 32, 64, 128]
    assert [m.dilation[0] for m in convolutions] == [*cycle, *cycle, 1, 2, 4]


def test_receptive_field_by_gradient() -> None:
    torch.manual_seed(0)
    model = build_bytenet(ByteNetConfig(width=8, layers=5, dilation_cycle=3))
    # Radii: 4 x 1 (first kernel 9), then 2 x (2, 4, 1, 2) for kernel 5.
    radius = 4 + 4 + 8 + 2 + 4
    seen = reach(model.encoder, 8, 101, 50)
    assert seen.tolist() == list(range(50 - radius, 50 + radius + 1))
    # At the end of the sequence nothing wraps around.
    assert reach(model.encoder, 8, 101, 100).tolist() == list(range(100 - radius, 101))


def test_a_dilated_block_looks_only_at_its_taps() -> None:
    torch.manual_seed(0)
    assert reach(ByteNetBlock(8, 5, 16), 8, 101, 50).tolist() == [18, 34, 50, 66, 82]


def test_initial_weights_are_gpns() -> None:
    torch.manual_seed(0)
    model = build_bytenet(ByteNetConfig(width=128, layers=2))
    block = model.encoder[1]
    assert block.reduce.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert block.expand.weight.std().item() == pytest.approx(0.02, rel=0.03)
    # PyTorch's default for a convolution is uniform within 1 / sqrt(fan in).
    bound = 1 / math.sqrt(64 * 5)
    assert block.conv.weight.abs().max().item() <= bound
    assert block.conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert all(torch.all(m.weight == 1) for m in model.modules() if hasattr(m, "eps"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 15}, r"width \(15\) must be even"),
        ({"first_kernel": 8}, r"first_kernel \(8\) must be odd"),
        ({"kernel": 4}, r"^kernel \(4\) must be odd"),
    ],
)
def test_impossible_settings_name_the_key(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByteNetConfig(**settings)
