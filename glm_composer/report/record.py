"""What a run's directory holds, read once, with a list of what it lacks.

Nothing but the resolved configuration has to be there: a run that stopped early, was never
evaluated, or lost its dataset since still deserves a report of the rest.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from glm_composer.conversion.manifest import Manifest, read_manifest
from glm_composer.errors import UserError
from glm_composer.metrics_log import read_metrics

Floats = NDArray[np.float64]

MODEL = "model"
_NO_FIGURE = ("split", "positions")


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Cross-entropy of each predictor on the same masked positions.

    Attributes:
        split: of the dataset.
        positions: how many were asked.
        nats: predictor -> nats a base; `model` first.
    """

    split: str
    positions: int
    nats: dict[str, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredTable:
    """A variant table that was scored when the run was over.

    Attributes:
        name: of the table.
        chroms: chromosomes of the figures.
        figures: predictor -> what `metrics.summarize` returns; `model` first.
        others: other score of the model -> its figures.
        rows: variants on those chromosomes, with a column of scores for each predictor; None where
            the file is gone.
        total: variants on all chromosomes; 0 where the file is gone.
        card: the text beside the table that says what its labels mean.
        card_path: where that was found.
    """

    name: str
    chroms: list[str]
    figures: dict[str, dict[str, float]]
    others: dict[str, dict[str, float]]
    rows: pl.DataFrame | None
    total: int
    card: str | None
    card_path: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """A run as its directory tells of it.

    Attributes:
        directory: of the run.
        config: resolved settings, nested.
        config_text: the same as they were written.
        environment: command, versions, git commit; empty if unknown.
        metrics: objects with `step` and metrics by name, in order.
        held_out: losses beside the baselines'.
        tables: variant tables, scored.
        manifest: of the dataset trained on.
        missing: a sentence for everything this run could have had and has not.
    """

    directory: Path
    config: dict[str, Any]
    config_text: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    held_out: HeldOut | None
    tables: list[ScoredTable]
    manifest: Manifest | None
    missing: list[str]

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.setting("run_name") or self.directory.resolve().name)

    @property
    def predictors(self) -> list[str]:
        """Everything that was compared, `model` first, in one order for the whole report."""
        found = list(self.held_out.nats) if self.held_out else []
        names = [MODEL, *found, *(name for table in self.tables for name in table.figures)]
        return list(dict.fromkeys(names))

    def setting(self, key: str) -> Any:
        """Return a setting by its dotted key; None where this run has no such key."""
        return _setting(self.config, key)

    def metric(self, name: str) -> tuple[Floats, Floats]:
        """Steps [n] at which a metric was logged, and its values [n], which may be NaN."""
        found = [(row["step"], row[name]) for row in self.metrics if row.get(name) is not None]
        steps, values = zip(*found, strict=True) if found else ((), ())
        return np.array(steps, dtype=np.float64), np.array(values, dtype=np.float64)


def read_run(directory: str | Path, evaluation: Path | None = None) -> Run:
    """Read a run's directory.

    Args:
        directory: of the run.
        evaluation: directory of the measurements to read; None for those of the end of the run.

    Raises:
        UserError: it holds no run, or a file in it is damaged.
    """
    path = Path(directory)
    text, config = _read_config(path / "config.yaml")
    missing: list[str] = []
    environment = _read_json(path / "environment.json")
    if environment is None:
        missing.append("environment.json: date, git commit, versions and machine are unknown.")
    metrics = _read_metrics(path / "metrics.jsonl", missing)
    evaluation = evaluation or path / "evaluation"
    summary = _read_json(evaluation / "summary.json")
    if summary is None:
        missing.append(
            "evaluation/summary.json: the run stopped before its final evaluation. "
            f"`glm evaluate {directory}` measures held-out loss and variant scores."
        )
    held_out, tables = _read_evaluation(evaluation, summary or {}, config, missing)
    return Run(
        directory=path,
        config=config,
        config_text=text,
        environment=environment or {},
        metrics=metrics,
        held_out=held_out,
        tables=tables,
        manifest=_read_manifest(config, missing),
        missing=missing,
    )


def _read_config(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text()
        config = yaml.safe_load(text)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{path}: no such file; give the directory of a run, for instance runs/quickstart"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a mapping of settings; was it written by a run?")
    return text, config


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it to do without") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object; delete it to do without")
    return content


def _read_metrics(path: Path, missing: list[str]) -> list[dict[str, Any]]:
    if not path.exists():
        missing.append("metrics.jsonl: no curves over training.")
        return []
    rows = read_metrics(path)
    if not rows:
        missing.append("metrics.jsonl is empty: no curves over training.")
    elif not any("throughput/tokens_per_sec" in row for row in rows):
        missing.append("Throughput: it is logged from the 21st step on, and never was.")
    return rows


def _read_evaluation(
    directory: Path, summary: dict[str, Any], config: dict[str, Any], missing: list[str]
) -> tuple[HeldOut | None, list[ScoredTable]]:
    try:
        raw = summary.get("held_out")
        held_out = None
        if raw is not None:
            nats = _figures({k: v for k, v in raw.items() if k not in _NO_FIGURE})
            nats = {MODEL: nats.pop(MODEL), **nats}
            held_out = HeldOut(split=raw["split"], positions=int(raw["positions"]), nats=nats)
        elif summary:
            split = _setting(config, "evaluation.report_split")
            why = summary.get("no_held_out", f"the dataset had no split '{split}'")
            missing.append(f"Held-out loss: {why}.")
        tables = [
            _read_table(directory, name, table, config, missing)
            for name, table in summary.get("tables", {}).items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{directory / 'summary.json'}: not as `glm evaluate` writes it "
            f"({type(error).__name__}: {error}); run it again"
        ) from None
    if summary and not tables:
        missing.append("Variant scores: no table under evaluation.tables.")
    return held_out, tables


def _read_table(
    directory: Path, name: str, raw: dict[str, Any], config: dict[str, Any], missing: list[str]
) -> ScoredTable:
    figures = {name: _figures(raw["figures"][name]) for name in {MODEL: None, **raw["figures"]}}
    path = directory / f"{name}.parquet"
    rows, total = None, 0
    if path.exists():
        rows, total = _read_scores(path, list(figures), raw["chroms"])
    else:
        missing.append(
            f"evaluation/{path.name}: no curves, and nothing by consequence, for this table."
        )
    source = _setting(config, f"evaluation.tables.{name}.variants")
    card = Path(str(source)).with_suffix(".md")
    return ScoredTable(
        name=name,
        chroms=list(raw["chroms"]),
        figures=figures,
        others={name: _figures(each) for name, each in raw.get("others", {}).items()},
        rows=rows,
        total=total,
        card=card.read_text(errors="replace") if source and card.is_file() else None,
        card_path=str(card),
    )


def _figures(raw: dict[str, Any]) -> dict[str, float]:
    """Figures by name, NaN for null."""
    return {name: math.nan if each is None else float(each) for name, each in raw.items()}


def _read_scores(path: Path, predictors: list[str], chroms: list[str]) -> tuple[pl.DataFrame, int]:
    """Rows on these chromosomes, and how many there are on all."""
    try:
        rows = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    absent = [c for c in ("chrom", "label", *predictors) if c not in rows.columns]
    if absent:
        raise UserError(
            f"{path}: no column '{absent[0]}', which belongs to summary.json's figures; "
            "run `glm evaluate` again"
        )
    chosen = rows.filter(pl.col("chrom").is_in(chroms))
    if not len(chosen):
        raise UserError(
            f"{path}: no variant on {', '.join(chroms)}, the chromosomes of summary.json; "
            "run `glm evaluate` again"
        )
    return chosen, len(rows)


def _read_manifest(config: dict[str, Any], missing: list[str]) -> Manifest | None:
    path = _setting(config, "data.path")
    try:
        return read_manifest(str(path))
    except UserError as error:
        missing.append(f"Data provenance: {error}.")
        return None


def _setting(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
