"""Evaluates checkpoints: their weights into the model of their run's settings."""

from collections.abc import Sequence
from pathlib import Path

import torch

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.settings import load
from glm_composer.training.build import build_model
from glm_composer.training.checkpoint_file import read_weights
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.final import evaluate_run
from glm_composer.training.inputs import CONFIG_FILE, find_checkpoint


def load_weights(model: GenomicModel, path: Path) -> None:
    """Load a checkpoint's weights into a model.

    Raises:
        UserError: the file cannot be read, holds anything but plain data, or is of another
            architecture; the tensors that do not fit are named, and nothing is loaded.
    """
    weights = read_weights(path)
    wanted = model.state_dict()
    wrong = [
        *(f"{name} is missing" for name in wanted.keys() - weights.keys()),
        *(f"{name} is not part of this model" for name in weights.keys() - wanted.keys()),
        *(
            f"{name} is {list(weights[name].shape)}, not {list(wanted[name].shape)}"
            for name in wanted.keys() & weights.keys()
            if weights[name].shape != wanted[name].shape
        ),
    ]
    if wrong:
        raise UserError(
            f"{path}: a checkpoint of another architecture; {len(wrong)} tensors do not fit: "
            f"{'; '.join(sorted(wrong))}"
        )
    model.load_state_dict(weights)


def evaluate_checkpoint(path: Path, overrides: Sequence[str] = ()) -> Path:
    """Measure held-out loss and variant scores of a checkpoint, as at the end of its run.

    Args:
        path: a checkpoint in a run's `checkpoints` directory, or the run's directory for its
            latest.
        overrides: changes to the run's own settings.

    Returns:
        The directory of the results, `RUN/evaluation/CHECKPOINT`.

    Raises:
        UserError: what is missing or does not fit.
    """
    path, run_dir = find_checkpoint(path)
    config = load(Config, run_dir / CONFIG_FILE, overrides)
    model = build_model(config)
    load_weights(model, path)
    if torch.cuda.is_available():
        model.cuda()
    out = run_dir / "evaluation" / path.stem
    evaluate_run(config, model, out)
    return out
