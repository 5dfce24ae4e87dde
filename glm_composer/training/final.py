"""What is measured when a run is over, or of a checkpoint at any later time."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from composer.utils import dist
from torch import Tensor

from glm_composer import registry
from glm_composer.config import Config
from glm_composer.data.batches import BatchIds
from glm_composer.data.dataset import read_batch
from glm_composer.data.objective import Asked
from glm_composer.data.prepare import Prepare
from glm_composer.evaluation import baselines
from glm_composer.evaluation.held_out import held_out_losses
from glm_composer.evaluation.metrics import summarize
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import Values
from glm_composer.evaluation.scores.likelihood import site_ratio
from glm_composer.evaluation.table import VariantWindows
from glm_composer.models.digest import weights_digest
from glm_composer.sequence import PAD, Bytes, encode
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.inputs import check_data, open_split
from glm_composer.training.scoring import about, score_table, write_table
from glm_composer.training.tables import load_tables

Tables = dict[str, baselines.ContextTable]
# Windows prepared at a time.
_AT_ONCE = 4096


def evaluate_run(config: Config, model: GenomicModel, out: Path, checkpoint: str) -> None:
    """Measure held-out loss and variant tables, beside baselines fitted on the training split.

    Rank 0 writes into the directory `out`: for each variant table `NAME.parquet`, its rows on the
    reported chromosomes with the table's first score of the model (`model`) and of each baseline,
    and its other scores by their names; then `summary.json` with `held_out` (nats by predictor)
    and `tables` (table -> figures by predictor, and by other score; null where one is not
    defined). Call it on all ranks.

    Args:
        config: of the run.
        model: with the weights to measure.
        out: directory of the results.
        checkpoint: what these weights are called, as `ba1000`.
    """
    window = check_data(config)
    tables, scores = {}, {}
    for name, variants in load_tables(config, window).items():
        settings = config.evaluation.tables[name]
        tables[name] = variants.take(variants.on(settings.report_chroms))
        scores[name] = score_table(model, tables[name], settings)
    if dist.get_global_rank() != 0:
        return
    digest = weights_digest(model.model)
    known: Tables = {}
    summary: dict[str, Any] = {"tables": {}}
    if getattr(config.objective, "causal", False):
        summary["no_held_out"] = _why_nothing_held_out(config)
        print(f"{config.evaluation.report_split}: {summary['no_held_out']}", flush=True)
    else:
        known = baselines.fit_all(_windows(config, config.data.train_split, window)[0])
        summary |= _held_out(config, model, window, known)
    for name, variants in tables.items():
        settings = config.evaluation.tables[name]
        scored, figures = _compare(variants, scores[name], known)
        called = f"{config.run_name}/{checkpoint}"
        facts = about(name, settings, variants, model=called, digest=digest)
        write_table(out / f"{name}.parquet", scored, facts)
        summary["tables"][name] = figures
    _write_summary(summary, out)


def _why_nothing_held_out(config: Config) -> str:
    return (
        "no comparison with context tables, which fill in masked bases from both sides: "
        f"objective.name '{config.objective.name}' learns the next base, whose held-out loss "
        f"is {config.data.eval_split}/loss"
    )


def _held_out(config: Config, model: GenomicModel, window: int, known: Tables) -> dict[str, Any]:
    """`held_out` of the summary; nothing where the split is not there."""
    split, batch_size = config.evaluation.report_split, config.device_eval_batch_size
    if not config.data.remote and not (Path(config.data.path) / split).exists():
        return {}
    windows, ids = _windows(config, split, window)
    predictor = Predictor(model.embed, model.model.decoder, batch_size, causal=model.model.causal)
    with evaluating(model):
        losses = held_out_losses(
            predictor.everywhere, windows, ids, known, config.evaluation.mask_rate, batch_size
        )
    return {"held_out": {"split": split, **losses}}


def _write_summary(summary: dict[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    aside = out / "summary.json.partial"
    aside.write_text(json.dumps(_without_nan(summary), indent=2, allow_nan=False) + "\n")
    os.replace(aside, out / "summary.json")


def _without_nan(value: Any) -> Any:
    """The same with null for figures that are not defined; JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


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


def _compare(
    variants: VariantWindows, scores: dict[str, Values], known: Tables
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The scored table, and its figures: by predictor of the first score, and by other score."""
    first, *others = scores
    compared = {"model": scores[first], **_of_baselines(variants, first, known)}
    columns = {**compared, **{name: scores[name] for name in others}}
    scored = variants.table.with_columns(**{k: pl.Series(v) for k, v in columns.items()})
    figures = {
        "chroms": sorted(scored["chrom"].unique().to_list()),
        "figures": {name: summarize(scored, values) for name, values in compared.items()},
    }
    if others:
        figures["others"] = {name: summarize(scored, scores[name]) for name in others}
    return scored, figures


def _of_baselines(variants: VariantWindows, name: str, known: Tables) -> dict[str, Values]:
    """A score of each baseline; of none where it takes more than likelihoods at the site."""
    score = registry.scores.get(name)(False) if known else None
    if score is None or score.measure is not site_ratio:
        return {}
    windows = encode(variants.windows)
    centre = windows.shape[1] // 2
    return {
        baseline: score.finish(
            baselines.variant_llr(table, windows, centre, variants.ref, variants.alt)
        )
        for baseline, table in known.items()
    }
