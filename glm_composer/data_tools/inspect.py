"""What a dataset holds, and one window of it in full, as text."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glm_composer.conversion.manifest import read_manifest
from glm_composer.data_tools.rows import Split, letters, open_splits, show
from glm_composer.data_tools.window import (
    KEPT,
    MASKED,
    View,
    as_prepared,
    as_stored,
    lines,
)
from glm_composer.errors import UserError
from glm_composer.sequence import FIRST_BASE, Bytes, encode, is_soft_masked

if TYPE_CHECKING:
    from glm_composer.data.prepare import Prepare

# Sources an overview lists.
_SHOWN = 5


def overview(directory: Path) -> Iterator[str]:
    """Yield lines about a dataset: where it comes from, its splits, and each one's ends.

    Raises:
        UserError: there is no dataset, or its manifest, an index or a shard cannot be read.
    """
    splits = open_splits(directory)
    manifest = next(iter(splits.values())).manifest
    varies = any(split.shards.length is None for split in splits.values())
    up_to = "up to " if varies else ""
    yield f"{manifest.name}: windows of {up_to}{manifest.window_length:,} bases"
    yield f"made {manifest.created} by glm_composer {manifest.code_version}"
    for source in manifest.sources[:_SHOWN]:
        package = " ".join(filter(None, (source.package, source.version)))
        known = ", ".join(filter(None, (package, source.licence)))
        yield f"from {source.assembly}: {source.file}{f' ({known})' if known else ''}"
    if len(manifest.sources) > _SHOWN:
        yield f"from {len(manifest.sources) - _SHOWN:,} more files, see manifest.json"
    for split in splits.values():
        contigs = sum(contig.split == split.name for contig in manifest.contigs)
        ends = split.shards.gather(np.array([0, len(split.shards) - 1]))
        yield ""
        yield f"{split.name}: {len(split.shards):,} windows, contigs of its own: {contigs:,}"
        for sample, row in zip((0, len(split.shards) - 1), ends, strict=True):
            yield f"  sample {sample:,}: {show(split.locus(row))}"


def describe_window(
    directory: Path, name: str, sample: int, prepare: "Prepare | None", epoch: int
) -> Iterator[str]:
    """Yield lines about one window: its place, its bases, and what is asked of a model.

    Args:
        directory: of the dataset.
        name: of the split.
        sample: id of the window, from 0.
        prepare: makes it what a model sees; None shows it as it is stored.
        epoch: 0-based, for `prepare`.

    Raises:
        UserError: no such dataset, split or sample.
    """
    split = _open_split(directory, name)
    row = split.shards.gather(np.array([sample]))[0]
    locus, sequence = split.locus(row), letters(row)
    yield f"{name} {sample:,} of {len(split.shards):,}: {show(locus)}, 0-based, half-open"
    yield _composition(sequence)
    view = as_stored(sequence)
    if prepare is not None:
        view = as_prepared(sequence, sample, epoch, prepare, split.shards.length is None)
        yield _corruption(view, epoch, prepare)
    yield ""
    for bases, marks in lines(view, locus):
        yield bases
        if marks:
            yield marks


def preparation(
    directory: Path, split: str, config: "Path | None" = None, seed: int | None = None
) -> "Prepare":
    """Return what a run does with the windows of a split, as it trains on it or evaluates.

    Args:
        directory: of the dataset.
        split: what the run's configuration names for training, or any other.
        config: of the run; None for masked language modelling with all settings' defaults.
        seed: instead of the run's, in training; evaluation always has seed 0.

    Raises:
        UserError: the configuration cannot be read, trains on several streams, or asks for
            longer windows than there are.
    """
    from glm_composer.config import Config, DataConfig
    from glm_composer.data.objectives.mlm import MLMConfig
    from glm_composer.data.prepare import Prepare
    from glm_composer.registry import objectives
    from glm_composer.settings import load

    data, asked, run_seed = DataConfig(path=str(directory)), MLMConfig(), Config.seed
    if config is not None:
        run = load(Config, config)
        if run.data.streams:
            raise UserError(
                f"{config}: trains on several streams, in which samples have other ids; only "
                "runs on one can be shown"
            )
        data, asked, run_seed = run.data, run.objective, run.seed
    if getattr(asked, "causal", False):
        raise UserError(
            f"{config}: objective.name '{asked.name}' hides no bases that could be shown; leave "
            "out the configuration"
        )
    objective = objectives.get(asked.name)(asked)
    stored = read_manifest(directory).window_length
    window = data.window or stored
    if window > stored:
        raise UserError(
            f"{config}: data.window ({window}) is longer than the windows of {directory}, which "
            f"have {stored} bases"
        )
    if split != data.train_split:
        return Prepare(objective, 0, window, data.eval_soft_mask_weight)
    return Prepare(
        objective,
        run_seed if seed is None else seed,
        window,
        data.soft_mask_weight,
        random_crop=True,
        random_strand=data.reverse_complement,
    )


def _open_split(directory: Path, name: str) -> Split:
    splits = open_splits(directory)
    if name not in splits:
        raise UserError(f"{directory}: no split '{name}'; it has {', '.join(splits)}")
    return splits[name]


def _composition(sequence: Bytes) -> str:
    counts = np.bincount(encode(sequence), minlength=FIRST_BASE + 4)
    a, c, g, t = counts[FIRST_BASE:].tolist()
    known, soft_masked = a + c + g + t, int(is_soft_masked(sequence).sum())
    gc = f"{(c + g) / known:.1%}" if known else "n/a"
    return (
        f"A {a:,}  C {c:,}  G {g:,}  T {t:,}  N {len(sequence) - known:,}; GC {gc}; "
        f"soft-masked (lower case) {soft_masked:,}, {soft_masked / len(sequence):.1%}"
    )


def _corruption(view: View, epoch: int, prepare: "Prepare") -> str:
    marks = view.marks or ""
    asked = len(marks) - marks.count(" ")
    masked, kept = marks.count(MASKED), marks.count(KEPT)
    strand = "reverse complement" if view.turned else "as stored"
    return (
        f"seed {prepare.seed}, epoch {epoch}: {len(view.letters):,} bases, {strand}; {asked:,} "
        f"asked for ({asked / len(view.letters):.1%}): {masked:,} masked ({MASKED}), "
        f"{asked - masked - kept:,} another base (the letter below), {kept:,} left ({KEPT})"
    )
