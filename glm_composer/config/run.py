"""Settings of a whole run; names at the top are Composer's and llm-foundry's own."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import PositiveFloat, PositiveInt

from glm_composer.config.data import DataConfig
from glm_composer.config.evaluation import EvaluationConfig
from glm_composer.config.values import Duration, Interval, Name, NonEmpty, Precision
from glm_composer.errors import UserError
from glm_composer.registry import callbacks, models, objectives, optimizers, schedules, scores
from glm_composer.settings import named, named_each


@dataclass(frozen=True, kw_only=True)
class EMAConfig:
    """A moving average of the weights, which evaluation and the final report then take.

    Attributes:
        decay: share of the average that each step keeps, like 0.999; null for no average.
    """

    decay: Annotated[float, Gt(0), Lt(1)] | None = None


@dataclass(frozen=True, kw_only=True)
class SaveBestConfig:
    """The best checkpoint so far: saved right after an evaluation, and kept until a better comes.

    Attributes:
        metric: name of an evaluation's metric as in `metrics.jsonl`, like `validation/loss` or
            `eval/TABLE/auprc`; null for no best.
        direction: `minimize` or `maximize` it.
    """

    metric: NonEmpty | None = None
    direction: Literal["minimize", "maximize"] = "minimize"


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
        save_keep_interval: checkpoints at this interval are saved as well, and kept for good;
            null for none.
        save_best: the best by a metric is saved as well, and kept.
        save_upload: where to send each checkpoint as well, below `RUN_NAME/`, as `s3://` or an
            address of fsspec's; null for nowhere. What does not arrive does not end the run.
        autoresume: go on from the run's newest whole checkpoint, if there is one.
        force_resume: go on also where the data, the seed, the global batch or the objective have
            changed since; the position in the epoch is kept, counted in windows.
        rank_timeout: seconds that ranks wait for one that does not go on before they give the run
            up and name it; more than the longest pause there may be, as of a slow file system.
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
    save_keep_interval: Interval | None = None
    save_best: SaveBestConfig = field(default_factory=SaveBestConfig)
    save_upload: NonEmpty | None = None
    autoresume: bool = True
    force_resume: bool = False
    rank_timeout: PositiveFloat = 300.0
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
        self._check_scores()
        self._check_best()

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

    def _check_scores(self) -> None:
        """Check that the model can have the scores that are asked for."""
        for name, table in self.evaluation.tables.items():
            for score in table.scores:
                try:
                    scores.get(score)(getattr(self.model, "causal", False))
                except UserError as error:
                    raise ValueError(f"evaluation.tables.{name}.scores: {error}") from None

    def _check_best(self) -> None:
        """Check that the metric of the best checkpoint is one of an evaluation."""
        metric = self.save_best.metric
        groups = [self.data.eval_split, *(f"eval/{name}" for name in self.evaluation.tables)]
        if metric is not None and not any(metric.startswith(f"{each}/") for each in groups):
            listed = ", ".join(f"{each}/..." for each in groups)
            raise ValueError(
                f"save_best.metric '{metric}' is measured by no evaluation; there are {listed}"
            )
