"""What is measured when a run is over, or of a checkpoint at any later time."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from composer.utils import dist
from torch import Tensor

from glm_composer.config import Config
from glm_composer.data.batches import BatchIds
from glm_composer.data.dataset import read_batch
from glm_composer.data.objective import Asked
from glm_composer.data.prepare import Prepare
from glm_composer.evaluation import baselines
from glm_composer.evaluation.held_out import held_out_losses
from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import NAMED_SCORES
from glm_composer.evaluation.table import VariantWindows
from glm_composer.sequence import PAD, Bytes, encode
from glm_composer.training.callbacks.variants import distributed_llr
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.inputs import check_data, load_tables, open_split

Tables = dict[str, baselines.ContextTable]
# Windows prepared at a time.
_AT_ONCE = 4096


def evaluate_run(config: Config, model: GenomicModel, out: Path) -> None:
    """Measure held-out loss and variant tables, beside baselines fitted on the training split.

    Rank 0 writes into the directory `out`: for each variant table `NAME.parquet`, its rows on the
    reported chromosomes with a column of scores for the model and each baseline, then
    `summary.json` with `held_out` (nats by predictor) and `tables` (table -> figures by
    predictor). Call it on all ranks.
    """
    window = check_data(config)
    batch_size = config.device_eval_batch_size
    tables, scores = {}, {}
    for name, variants in load_tables(config, window).items():
        settings = config.evaluation.tables[name]
        tables[name] = variants.take(variants.on(settings.report_chroms))
        scores[name] = distributed_llr(model, tables[name], settings)
    if dist.get_global_rank() != 0:
        return
    summary: dict[str, Any] = {"tables": {}}
    report_split = config.evaluation.report_split
    if getattr(config.objective, "causal", False):
        # Nor has it variant tables, see `Config`: nothing asks for a baseline.
        why = (
            f"no comparison with context tables, which fill in masked bases from both sides: "
            f"objective.name '{config.objective.name}' learns the next base, whose held-out loss "
            f"is {config.data.eval_split}/loss"
        )
        print(f"{report_split}: {why}", flush=True)
        _write_summary({**summary, "no_held_out": why}, out)
        return
    known = baselines.fit_all(_windows(config, config.data.train_split, window)[0])
    if config.data.remote or (Path(config.data.path) / report_split).exists():
        windows, ids = _windows(config, report_split, window)
        predictor = Predictor(model.embed, model.model.decoder, batch_size)
        with evaluating(model):
            losses = held_out_losses(
                predictor.everywhere,
                windows,
                ids,
                known,
                config.evaluation.mask_rate,
                batch_size,
            )
        summary["held_out"] = {"split": config.evaluation.report_split, **losses}
    for name, variants in tables.items():
        scored = _with_scores(variants, scores[name], known, config.evaluation.tables[name].score)
        _write(out / f"{name}.parquet", scored.write_parquet)
        summary["tables"][name] = _figures(scored)
    _write_summary(summary, out)


def _write_summary(summary: dict[str, Any], out: Path) -> None:
    text = json.dumps(summary, indent=2) + "\n"
    _write(out / "summary.json", lambda path: Path(path).write_text(text))


def _windows(config: Config, split: str, window: int) -> tuple[Bytes, np.ndarray]:
    """Ids uint8 [n, window] of a split's windows, evenly thinned out, and their sample ids.

    The middle of longer windows; shorter ones are filled up with [PAD].
    """
    shards = open_split(config, split)
    count = min(len(shards), config.evaluation.baseline_windows)
    ids = np.linspace(0, len(shards) - 1, count).round().astype(np.int64)
    show = Prepare(_ask_nothing, 0, window, 1.0, fixed_width=True)
    parts = [
        show(read_batch(shards, BatchIds(part, 0)))["input_ids"].numpy()
        for part in np.array_split(ids, -(-count // _AT_ONCE))
    ]
    return np.concatenate(parts), ids


def _ask_nothing(ids: Tensor, keys: Tensor) -> Asked:
    return Asked(ids, torch.full_like(ids, PAD))


def _with_scores(
    variants: VariantWindows, scores: np.ndarray, known: Tables, score: str
) -> pl.DataFrame:
    transform = NAMED_SCORES[score]
    windows = encode(variants.windows)
    columns = {"model": transform(scores)}
    for name, table in known.items():
        llr = baselines.variant_llr(
            table, windows, windows.shape[1] // 2, variants.ref, variants.alt
        )
        columns[name] = transform(llr)
    return variants.table.with_columns(**{k: pl.Series(v) for k, v in columns.items()})


def _figures(scored: pl.DataFrame) -> dict[str, Any]:
    """Figures of each predictor."""
    predictors = scored.columns[scored.columns.index("model") :]
    return {
        "chroms": sorted(scored["chrom"].unique().to_list()),
        "figures": {name: summarize(scored, scored[name].to_numpy()) for name in predictors},
    }


def _write(path: Path, write: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    write(aside)
    os.replace(aside, path)
