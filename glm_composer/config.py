"""The settings of a training run: one dataclass a section, the one home of every default.

Names at the top are Composer's and llm-foundry's own. `settings.load(Config, path, overrides)`
reads a file and refuses what cannot work before anything heavy is imported or done.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
)

from glm_composer.registry import callbacks, models, objectives, optimizers, schedules
from glm_composer.settings import named, named_each

Precision = Literal["fp32", "amp_bf16", "pure_bf16"]
Interval = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(ba|ep)$")]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(ba|ep|sp|tok)$")]
Moment = Annotated[str, StringConstraints(pattern=r"^([0-9]+(ba|ep)|[0-9]*\.?[0-9]+dur)$")]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """One of several streams to train on.

    Attributes:
        path: dataset directory that a conversion wrote.
        remote: as `data.remote`.
        split: its split to train on.
        proportion: windows of this stream for so many of the others'; or points [TIME, PROPORTION]
            that straight lines join over training, TIME as `1000ba`, `2ep` or `0.5dur`.
    """

    path: NonEmpty
    remote: str | None = None
    split: str = "train"
    proportion: NonNegativeFloat | list[tuple[Moment, NonNegativeFloat]] = 1.0

    def __post_init__(self) -> None:
        if self.proportion == []:
            raise ValueError("proportion must have at least one point")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train on.

    Attributes:
        path: dataset directory that a conversion wrote.
        remote: where the dataset lies, if elsewhere (`s3://bucket/dataset`, `hf://`, `gs://`); its
            shards are then fetched into `path` when they are needed, a little ahead.
        cache_limit: bytes that fetched shards of a split may take; null for no limit.
        validate_hash: compare every shard with its hash when it is first read.
        download_retry: attempts to fetch a file, with growing pauses.
        download_timeout: seconds without an answer after which an attempt has failed.
        train_split: split to train on.
        streams: several streams to train on instead, by name; `path` is then what is evaluated.
        epoch_windows: windows of an epoch of several streams, rounded up to whole batches; null
            for as many as they have together.
        eval_split: split whose loss is logged during training.
        train_windows: train on only so many windows, evenly spaced, the same every epoch; null
            for all.
        eval_windows: use only its first so many windows; null for all.
        window: bases a model sees, at most the stored length; null for that length. Training crops
            stored windows at random, evaluation crops their middle. Where stored lengths vary,
            shorter windows stay as they are, and batches are padded.
        soft_mask_weight: loss weight of soft-masked (lower-case) positions in training.
        eval_soft_mask_weight: the same in evaluation.
        reverse_complement: turn half of the training windows over.
        shuffle: draw a new order every epoch.
        prepare_on_device: crop, turn over and corrupt windows on the device that trains, where
            the loader only moves bytes, and not ahead of time on the CPU; auto does on a GPU. The
            batches are the same.
    """

    path: NonEmpty
    remote: str | None = None
    cache_limit: PositiveInt | None = None
    validate_hash: bool = False
    download_retry: PositiveInt = 7
    download_timeout: PositiveFloat = 60.0
    train_split: str = "train"
    streams: dict[str, StreamConfig] = field(default_factory=dict)
    epoch_windows: PositiveInt | None = None
    eval_split: str = "validation"
    train_windows: PositiveInt | None = None
    eval_windows: PositiveInt | None = None
    window: PositiveInt | None = None
    soft_mask_weight: NonNegativeFloat = 0.01
    eval_soft_mask_weight: NonNegativeFloat = 0.0
    reverse_complement: bool = True
    shuffle: bool = True
    prepare_on_device: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        for name in self.streams:
            _check_plain("streams", name)
        if self.streams and self.train_windows:
            raise ValueError("train_windows is for a single stream; give epoch_windows instead")
        if self.epoch_windows and not self.streams:
            raise ValueError("epoch_windows is for several streams; give train_windows instead")


@dataclass(frozen=True, kw_only=True)
class VariantTableConfig:
    """A table of labelled variants, scored during training.

    Attributes:
        variants: Parquet or TSV file with TraitGym's columns.
        genome: indexed FASTA of the variants' assembly.
        interval: how often to score it during training.
        chroms: score only variants on these chromosomes during training; null for all.
        report_chroms: score only variants on these for the final report; null for all.
        score: which score the metrics are computed of.
        window: bases around each variant; null for the training window.
        strands: average both strands, or read only the forward one.
        batch_size: windows a forward pass.
        allow_mismatch: drop variants whose reference allele is not the genome's instead of
            refusing.
    """

    variants: str
    genome: str
    interval: Interval = "1000ba"
    chroms: list[str] | None = None
    report_chroms: list[str] | None = None
    score: Literal["LLR.minus.score", "absLLR.plus.score"] = "LLR.minus.score"
    window: PositiveInt | None = None
    strands: Literal["both", "forward"] = "both"
    batch_size: PositiveInt = 128
    allow_mismatch: bool = False


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to measure besides the loss.

    Attributes:
        tables: variant tables by name; metrics are logged as `eval/NAME/METRIC`.
        report_split: split on which the final report compares the model with the baselines.
        mask_rate: fraction of its bases that are masked, all as [MASK], for that comparison.
        baseline_windows: training windows the baselines are fitted on, evenly spaced.
    """

    tables: dict[str, VariantTableConfig] = field(default_factory=dict)
    report_split: str = "test"
    mask_rate: Annotated[float, Ge(0.01), Le(0.99)] = 0.15
    baseline_windows: PositiveInt = 50_000

    def __post_init__(self) -> None:
        for name in self.tables:
            _check_plain("tables", name)


@dataclass(frozen=True, kw_only=True)
class EMAConfig:
    """A moving average of the weights, which evaluation and the final report then take.

    Attributes:
        decay: share of the average that each step keeps, like 0.999; null for no average.
    """

    decay: Annotated[float, Gt(0), Lt(1)] | None = None


@dataclass(frozen=True, kw_only=True)
class LoggersConfig:
    """Where metrics go; `metrics.jsonl` in the run directory is always written.

    Attributes:
        tensorboard: write TensorBoard events.
        wandb: log to Weights & Biases (WANDB_MODE=offline keeps it on this machine).
        wandb_project: its project.
        progress_bar: show one on the console.
    """

    tensorboard: bool = True
    wandb: bool = False
    wandb_project: str = "glm-composer"
    progress_bar: bool = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """A training run.

    Attributes:
        run_name: names the run's directory.
        runs_dir: parent of all run directories.
        init_from: start from these weights instead of random ones, with a fresh optimizer and at
            step 0: a checkpoint, a run's directory for its latest one, a file of `glm import-gpn`,
            or a GPN checkpoint directory. A run that goes on from its own checkpoint ignores it.
        seed: of initialisation, order, strands and corruption.
        max_duration: length of the run, as `20ba`, `2ep`, `1000000sp` or `1000000000tok`.
        precision: `amp_bf16` computes in bf16 under autocast, on any device that can; `pure_bf16`
            also keeps weights, gradients and optimizer state in bf16, half the memory, but
            updates below 1/256 of a weight are lost: for fitting in, not for learning well.
        compile: compile the model with torch.compile.
        parallelism: `ddp` gives every rank the whole model; `fsdp2` cuts weights, gradients and
            optimizer state over the ranks, for models that do not fit otherwise.
        ledger: append the sample ids of every global batch to `ledger.jsonl` in the run's
            directory, 6 MB a million windows; `glm data audit` proves from it what was seen.
        deterministic: refuse operations that are not reproducible bit for bit.
        global_train_batch_size: windows a step over all ranks.
        device_train_microbatch_size: windows a forward pass on each rank; null for all at once,
            `auto`, on a GPU, for as many as fit.
        gradient_clipping: largest norm of the gradient; null for no clipping.
        save_interval: how often to save a checkpoint; one is saved at the end in any case.
        save_num_checkpoints_to_keep: the last so many are kept.
        autoresume: go on from the run's latest checkpoint, if there is one.
        force_resume: go on also where the data, the seed, the global batch or the objective have
            changed since; the position in the epoch is kept, counted in windows.
        eval_interval: how often to measure the loss on the evaluation split.
        device_eval_batch_size: windows a forward pass in that evaluation.
        model: the network; `name` chooses it.
        objective: what the network learns; `name` chooses it.
        data: what it learns from.
        optimizer: `name` chooses it.
        scheduler: learning-rate schedule; `name` chooses it.
        ema: moving average of the weights.
        evaluation: variant tables and the final report.
        loggers: where metrics go.
        callbacks: more callbacks, by name.
    """

    run_name: Name
    runs_dir: str = "runs"
    init_from: NonEmpty | None = None
    seed: Annotated[int, Ge(0), Lt(2**64)] = 17
    max_duration: Duration = "1ep"
    precision: Precision = "amp_bf16"
    compile: bool = False
    parallelism: Literal["ddp", "fsdp2"] = "ddp"
    ledger: bool = False
    deterministic: bool = False
    global_train_batch_size: PositiveInt = 256
    device_train_microbatch_size: PositiveInt | Literal["auto"] | None = None
    gradient_clipping: PositiveFloat | None = 1.0
    save_interval: Interval = "1ep"
    save_num_checkpoints_to_keep: PositiveInt = 3
    autoresume: bool = True
    force_resume: bool = False
    eval_interval: Interval = "1ep"
    device_eval_batch_size: PositiveInt = 128
    model: Any = named(models)
    objective: Any = named(objectives, "mlm")
    data: DataConfig
    optimizer: Any = named(optimizers, "adamw")
    scheduler: Any = named(schedules, "constant")
    ema: EMAConfig = field(default_factory=EMAConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    loggers: LoggersConfig = field(default_factory=LoggersConfig)
    callbacks: dict[str, Any] = named_each(callbacks)

    @property
    def run_dir(self) -> Path:
        """The run's own directory."""
        return Path(self.runs_dir) / self.run_name

    def rank_batch_size(self, ranks: int) -> int:
        """Windows a step on each of `ranks` ranks.

        Raises:
            ValueError: the global batch does not divide into ranks x micro-batches.
        """
        batch, micro = self.global_train_batch_size, self.device_train_microbatch_size
        if batch % ranks:
            raise ValueError(
                f"global_train_batch_size ({batch}) must be a multiple of the {ranks} ranks"
            )
        if isinstance(micro, int) and (batch // ranks) % micro:
            raise ValueError(
                f"global_train_batch_size ({batch}) must be a multiple of ranks ({ranks}) x "
                f"device_train_microbatch_size ({micro})"
            )
        return batch // ranks

    def __post_init__(self) -> None:
        self.rank_batch_size(int(os.environ.get("WORLD_SIZE", "1")))
        if self.parallelism == "fsdp2" and self.device_train_microbatch_size == "auto":
            # Ranks that run out of memory apart would wait for each other's weights for ever.
            raise ValueError(
                "device_train_microbatch_size=auto does not work with parallelism=fsdp2; "
                "give a number of windows"
            )
        for key in ("warmup", "decay"):
            value = getattr(self.scheduler, key, "0ba")
            if not re.fullmatch(r"\d+(ba|ep|sp|tok)|\d*\.?\d+dur", str(value)):
                raise ValueError(
                    f"scheduler.{key} = '{value}': expected a duration like 1000ba or 0.1dur"
                )
        self._check_direction()

    def _check_direction(self) -> None:
        """Check that what is asked of the model is what it can know without having seen it."""
        objective, causal = self.objective.name, getattr(self.model, "causal", False)
        if not getattr(self.objective, "causal", False):
            if causal:
                raise ValueError(
                    f"model.causal is true, but objective.name '{objective}' asks for bases from "
                    "both sides; set model.causal to false or objective.name to clm"
                )
            return
        if not causal:
            where = "set it to true"
            if not hasattr(self.model, "causal"):
                where = f"which model.name '{self.model.name}' lacks; choose transformer"
            raise ValueError(
                f"objective.name '{objective}' asks for the next base, which any other than a "
                f"causal model sees: it needs model.causal, {where}"
            )
        for name in self.evaluation.tables:
            raise ValueError(
                f"evaluation.tables.{name} scores variants at masked positions, which "
                f"objective.name '{objective}' never learns; leave it out ({name}: null)"
            )


def _check_plain(key: str, name: str) -> None:
    # It names files and metrics.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"{key}: '{name}' is not a plain name (letters, digits, . _ -)")
