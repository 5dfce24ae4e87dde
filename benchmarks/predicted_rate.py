"""FLOPs of a window by model, and what H100s may do of them: the tables of docs/performance.md.

A prediction from operation counts; nothing is run.
"""

import torch

from glm_composer.config import Config
from glm_composer.models.flops import forward_flops, training_flops
from glm_composer.registry import models
from glm_composer.settings import load

MODELS = ["rope/tiny", "rope/small", "rope/base", "rope/large", "gpn_promoter"]
LENGTH = 512
# Dense bf16 of an H100 SXM, by its data sheet, in FLOP/s.
H100 = 989e12
MFU = (0.25, 0.30, 0.40)


def main() -> None:
    print("| yaml | parameters | forward, GFLOP | training step, GFLOP | a base and parameter |")
    print("|---|---|---|---|---|")
    rows = []
    for name in MODELS:
        config = load(Config, f"yamls/{name}.yaml", [])
        with torch.device("meta"):
            model = models.get(config.model.name)(config.model)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        forward, step = forward_flops(model, LENGTH), training_flops(model, LENGTH)
        each = step / LENGTH / parameters
        print(f"| {name} | {parameters:,} | {forward / 1e9:.1f} | {step / 1e9:.1f} | {each:.2f} |")
        rows.append((name, [share * H100 / step for share in MFU]))
    share = f"{MFU[0]:.0%} to {MFU[2]:.0%}"
    print(f"\n| yaml | 1 H100 at {MFU[1]:.0%}, windows/s | bases/s | 8 at {share} |")
    print("|---|---|---|---|")
    for name, (low, middle, high) in rows:
        bases = middle * LENGTH / 1e6
        print(f"| {name} | {middle:,.0f} | {bases:.2f}M | {8 * low:,.0f} to {8 * high:,.0f} |")


if __name__ == "__main__":
    main()
