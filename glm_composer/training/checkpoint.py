"""Evaluates checkpoints: their weights into the model of their run's settings."""

from collections.abc import Sequence
from pathlib import Path

import torch

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.settings import dump, load
from glm_composer.training.build import build_model
from glm_composer.training.final import evaluate_run
from glm_composer.training.inputs import CONFIG_FILE, find_checkpoint, find_weights
from glm_composer.training.record import write_record
from glm_composer.training.weights import load_into, read


def evaluate_checkpoint(
    path: Path, overrides: Sequence[str] = (), settings: Path | None = None
) -> Path:
    """Measure held-out loss and variant scores of a checkpoint, as at the end of its run.

    Args:
        path: a checkpoint in a run's `checkpoints` directory, or the run's directory for its
            latest; with `settings` any weights that `weights.read` takes.
        overrides: changes to the run's own settings.
        settings: yaml file of a run to evaluate as, where the weights are of no run; its run's
            directory is made, or is one of the same settings, whose record stays as it is.

    Returns:
        The directory of the results, `RUN/evaluation/CHECKPOINT`.

    Raises:
        UserError: what is missing or does not fit.
    """
    if settings is None:
        path, run_dir = find_checkpoint(path)
        config = load(Config, run_dir / CONFIG_FILE, overrides)
    else:
        path = find_weights(path)
        config = load(Config, settings, overrides)
        run_dir = config.run_dir
        _check_free(config)
    model = build_model(config)
    load_into(model.model, config.model, read(path))
    if torch.cuda.is_available():
        model.cuda()
    if settings is not None and not (run_dir / CONFIG_FILE).exists():
        write_record(config, sum(p.numel() for p in model.parameters()))
    out = run_dir / "evaluation" / path.stem
    evaluate_run(config, model, out, path.stem)
    return out


def _check_free(config: Config) -> None:
    record = config.run_dir / CONFIG_FILE
    if record.exists() and record.read_text() != dump(config):
        raise UserError(f"{config.run_dir}: holds a run of other settings; choose run_name=NAME")
