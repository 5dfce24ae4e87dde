"""Trains on some ranks, damages a checkpoint, and goes on: TINY.yaml OVERRIDES..."""

import sys

from composer.utils import dist

from glm_composer.config import Config
from glm_composer.settings import load
from glm_composer.training.build import build_trainer
from glm_composer.training.record import write_record


def fit(name: str, *more: str) -> Config:
    tiny, *overrides = sys.argv[1:]
    config = load(Config, tiny, [*overrides, f"run_name={name}", *more])
    trainer = build_trainer(config)
    if dist.get_global_rank() == 0:
        write_record(config, 0)
    trainer.fit()
    trainer.close()
    return config


def main() -> None:
    fit("whole", "parallelism=fsdp2")
    config = fit("parts", "parallelism=fsdp2", "max_duration=4ba")
    if dist.get_global_rank() == 0:
        file = config.run_dir / "checkpoints/ep0-ba4-rank0.pt"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    dist.barrier()
    fit("parts", "parallelism=fsdp2")


if __name__ == "__main__":
    main()
