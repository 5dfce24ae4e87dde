"""A small model as a network and as a run's directory, without training one."""

from pathlib import Path

import torch
import yaml

from glm_composer.config import Config
from glm_composer.models.bytenet import ByteNetConfig, build_bytenet
from glm_composer.settings import dump, load
from glm_composer.training.checkpoint_file import EMA_WEIGHTS
from glm_composer.training.inputs import CONFIG_FILE, LATEST

BYTENET = ByteNetConfig(width=16, layers=3)


def network(seed: int = 0) -> torch.nn.Module:
    """With weights large enough that what it is asked makes a difference."""
    torch.manual_seed(seed)
    made = build_bytenet(BYTENET)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(3.0)
    return made


def write_run(run: Path, seed: int = 0, average: int | None = None, **data: object) -> Path:
    """A run's directory with one checkpoint, as Composer writes it."""
    run.joinpath("checkpoints").mkdir(parents=True)
    settings = {
        "run_name": run.name,
        "model": {"name": "bytenet", "width": 16, "layers": 3},
        "data": {"path": "nowhere", **data},
    }
    run.joinpath("given.yaml").write_text(yaml.safe_dump(settings))
    run.joinpath(CONFIG_FILE).write_text(dump(load(Config, run / "given.yaml")))
    callbacks = {}
    if average is not None:
        weights = {f"model.{k}": v for k, v in network(average).state_dict().items()}
        callbacks = {"EMA": {"steps": 3, EMA_WEIGHTS: weights}}
    model = {f"model.{k}": v for k, v in network(seed).state_dict().items()}
    file = run / "checkpoints" / "ep0-ba7-rank0.pt"
    torch.save({"state": {"model": model, "callbacks": callbacks}, "rng": []}, file)
    file.with_name(LATEST).symlink_to(file.name)
    return run
