"""Scores of a variant table, worked out by all ranks together, and the files that keep them."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from composer.core import State
from composer.utils import dist

from glm_composer.config import VariantTableConfig
from glm_composer.evaluation.predict import Predictor, evaluating
from glm_composer.evaluation.scores import Values, score_variants
from glm_composer.evaluation.table import VariantWindows
from glm_composer.training.composer_model import GenomicModel
from glm_composer.training.parallel import whole


def score_table(
    model: GenomicModel, variants: VariantWindows, config: VariantTableConfig
) -> dict[str, Values]:
    """Score every variant exactly once over all ranks. Call it on each of them.

    Ranks take turns at blocks of one batch each, whose content depends on the table alone, so that
    a variant's score does not depend on how many ranks there are. They take no longer than they
    would with equal shares: a share is rounded up to whole batches in any case.

    Returns:
        float32 [n] by score, in the order of the settings; on all ranks.
    """
    blocks = variants.blocks(config.batch_size)
    mine = blocks[dist.get_global_rank() :: dist.get_world_size()]
    predictor = Predictor(
        model.embed, model.model.decoder, config.batch_size, causal=model.model.causal
    )
    with whole(model), evaluating(model):
        parts = [
            score_variants(
                predictor,
                variants.windows[rows],
                variants.ref[rows],
                variants.alt[rows],
                config.scores,
                strands=config.strands,
            )
            for rows in mine
        ]
    scores = {name: np.empty(len(variants), dtype=np.float32) for name in config.scores}
    for rank, found in enumerate(dist.all_gather_object(parts)):
        for rows, block in zip(blocks[rank :: dist.get_world_size()], found, strict=True):
            for name, values in block.items():
                scores[name][rows] = values
    return scores


def moment(state: State) -> str:
    """Where training is, as `ba1000`."""
    return f"ba{state.timestamp.batch.value}"


def about(
    name: str, config: VariantTableConfig, variants: VariantWindows, *, model: str, digest: str
) -> dict[str, str]:
    """What a file of scores says of itself, for `write_table`.

    Args:
        name: of the table.
        config: its settings.
        variants: what was scored.
        model: which one, as RUN/ba1000 or RUN/CHECKPOINT.
        digest: of its weights, see `weights_digest`.
    """
    return {
        "table": name,
        "model": model,
        "model_sha256": digest.removeprefix("sha256:"),
        "scores": ",".join(config.scores),
        "strands": config.strands,
        "window": str(variants.windows.shape[1]),
        "variants": config.variants,
        "genome": config.genome,
        "genome_sha256": variants.genome_sha256,
    }


def write_table(path: Path, table: pl.DataFrame, about: Mapping[str, str]) -> None:
    """Write a scored table as Parquet that is whole or not there, replacing an earlier one.

    Args:
        path: of the file; its directory is made.
        table: the variants' columns and those of scores.
        about: what the scores are of, kept as the file's key-value metadata.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".partial")
    table.write_parquet(aside, metadata=dict(about))
    os.replace(aside, path)
