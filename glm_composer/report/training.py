"""How training went: losses, zero-shot AUPRC, throughput and learning rate over steps."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glm_composer.report.blocks import figure, grid, section
from glm_composer.report.charts import Level, Series, line_chart
from glm_composer.report.markup import Markup, tag
from glm_composer.report.numbers import number, running_mean, settled_limits
from glm_composer.report.record import Run

Floats = NDArray[np.float64]

THROUGHPUT = "throughput/tokens_per_sec"
MFU = "throughput/device/mfu"
# Smoothing reaches over this share of the curve.
_SMOOTHED = 40
_STEP = "step (optimizer updates)"


def training_section(run: Run) -> Markup | None:
    """Curves over steps; None where nothing was logged."""
    figures = [_losses(run), *_auprc(run), _throughput(run), _learning_rate(run)]
    drawn = [each for each in figures if each is not None]
    return section("Training", grid(drawn)) if drawn else None


def _losses(run: Run) -> Markup | None:
    steps, losses = run.metric("train/loss")
    split = str(run.setting("data.eval_split"))
    at, held_out = run.metric(f"{split}/loss")
    if not len(losses):
        return None
    if not np.isfinite(losses).any():
        return tag("p", f"Loss: none of {len(losses)} logged values is finite.", class_="note")
    width = len(losses) // _SMOOTHED | 1
    smooth = width > 1
    series = [
        Series(
            label="train, each step" if smooth else "train",
            x=steps,
            y=losses,
            colour="ink",
            kind="faint" if smooth else "line",
        )
    ]
    if smooth:
        mean = running_mean(losses, width)
        series.append(Series(label=f"train, mean of {width} steps", x=steps, y=mean, colour="ink"))
    if len(at):
        series.append(Series(label=split, x=at, y=held_out, colour="p0", kind="points"))
    uniform = math.log(4)
    limits = settled_limits(losses, np.append(held_out, uniform))
    chart = line_chart(
        series,
        title="Loss over training steps",
        x_label=_STEP,
        y_label="cross-entropy, nats per base",
        x_limits=_from_zero(steps),
        y_limits=limits,
        levels=[Level(value=uniform, label="uniform, ln 4")],
    )
    caption = "Weighted loss of the global batch at its masked positions; lower is better."
    return figure(
        "Loss", chart, caption + _beyond(losses, limits) + _not_finite(losses, held_out), series
    )


def _auprc(run: Run) -> list[Markup]:
    drawn = []
    for name in run.setting("evaluation.tables") or {}:
        steps, values = run.metric(f"eval/{name}/auprc")
        if not np.isfinite(values).any():
            continue
        _, errors = run.metric(f"eval/{name}/auprc_se")
        _, rates = run.metric(f"eval/{name}/base_rate")
        spread = errors if len(errors) == len(values) else None
        series = [
            Series(label="", x=steps, y=values, colour="p0"),
            Series(label="AUPRC", x=steps, y=values, colour="p0", kind="points", spread=spread),
        ]
        rate = float(rates[-1]) if len(rates) else math.nan
        levels = [Level(value=rate, label=f"base rate {rate:.3f}")]
        most = float(np.nanmax(values + (0 if spread is None else np.nan_to_num(spread))))
        chart = line_chart(
            series,
            title=f"AUPRC on {name} over training steps",
            x_label=_STEP,
            y_label="AUPRC",
            x_limits=_from_zero(run.metric("train/loss")[0], steps),
            y_limits=(0.0, min(1.0, max(most, rate if math.isfinite(rate) else 0.0) * 1.15)),
            levels=levels if math.isfinite(rate) else (),
        )
        caption = f"Zero-shot, {_variants_asked(run, name)}."
        if spread is not None:
            caption += " Bars: 1 SE."
        drawn.append(
            figure(f"AUPRC during training: {name}", chart, caption + _not_finite(values))
        )
    return drawn


def _variants_asked(run: Run, name: str) -> str:
    during, final = (
        run.setting(f"evaluation.tables.{name}.{key}") for key in ("chroms", "report_chroms")
    )
    where = f"variants on {', '.join(map(str, during))}" if during else "all variants"
    same = set(during or ()) == set(final or ())
    return where if same else f"{where}; the final figures are of others"


def _throughput(run: Run) -> Markup | None:
    steps, rates = run.metric(THROUGHPUT)
    if not np.isfinite(rates).any():
        return None
    typical = float(np.nanmedian(rates))
    unit, name = (1e6, "million bases/s") if typical >= 1e6 else (1e3, "thousand bases/s")
    chart = line_chart(
        [Series(label="throughput", x=steps, y=rates / unit, colour="p0")],
        title="Throughput over training steps",
        x_label=_STEP,
        y_label=name,
        x_limits=_from_zero(steps),
        y_limits=(0.0, float(np.nanmax(rates)) / unit * 1.1 or 1.0),
    )
    caption = (
        f"Mean over the last 20 steps, all devices together; median {number(typical, 0)} bases/s. "
        "Time for the validation loss is not counted, for variant scores and checkpoints it is."
    )
    return figure("Throughput", chart, caption + _not_finite(rates))


def _learning_rate(run: Run) -> Markup | None:
    name = next((key for row in run.metrics for key in row if key.startswith("lr-")), None)
    if name is None:
        return None
    steps, rates = run.metric(name)
    if not np.isfinite(rates).any():
        return None
    chart = line_chart(
        [Series(label="learning rate", x=steps, y=rates * 1e3, colour="p0")],
        title="Learning rate over training steps",
        x_label=_STEP,
        y_label="learning rate, thousandths",
        x_limits=_from_zero(steps),
    )
    schedule = run.setting("scheduler.name")
    return figure("Learning rate", chart, f"Schedule: {schedule}. Metric {name}.")


def _from_zero(*steps: Floats) -> tuple[float, float]:
    return 0.0, max(1.0, *(float(each.max()) for each in steps if len(each)))


def _beyond(losses: Floats, limits: tuple[float, float]) -> str:
    above = losses[np.isfinite(losses) & (losses > limits[1])]
    if not len(above):
        return ""
    plural = "s" if len(above) > 1 else ""
    return f" {len(above)} early step{plural}, up to {above.max():.2f} nats, lie above the axis."


def _not_finite(*values: Floats) -> str:
    count = sum(int((~np.isfinite(each)).sum()) for each in values)
    return f" {count} logged values are not finite and not drawn." if count else ""


def typical_throughput(run: Run) -> tuple[float, int]:
    """Median bases/s over all devices, and the number of steps it was logged at; NaN if never."""
    _, rates = run.metric(THROUGHPUT)
    return _median(rates), len(rates)


def typical_mfu(run: Run) -> float:
    """Median share of the device's measured matmul peak that training used; NaN if not logged."""
    return _median(run.metric(MFU)[1])


def _median(values: Sequence[float] | Floats) -> float:
    finite = np.asarray(values)[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan
