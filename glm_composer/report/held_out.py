"""Held-out loss of the trained model beside baselines, on the same masked positions."""

import math

from glm_composer.report.blocks import figure, grid, predictor_colour, section, table
from glm_composer.report.dots import Dot, dot_chart
from glm_composer.report.markup import Markup, tag
from glm_composer.report.numbers import best_baseline, number, readable
from glm_composer.report.record import MODEL, HeldOut, Run

COLUMNS = ("predictor", "nats/base", "bits/base", "perplexity", "nats above model")


def held_out_rows(held_out: HeldOut) -> list[tuple[str, ...]]:
    """Cells of a table of losses, highest first: COLUMNS."""
    model = held_out.nats[MODEL]
    return [
        (
            readable(name),
            number(nats, 4),
            number(nats / math.log(2), 4),
            # exp overflows far above any loss that means something.
            number(math.exp(nats) if nats < 100 else math.nan, 3),
            "" if name == MODEL or not math.isfinite(nats - model) else f"{nats - model:+.4f}",
        )
        for name, nats in _highest_first(held_out)
    ]


def _highest_first(held_out: HeldOut) -> list[tuple[str, float]]:
    # A loss that is not a number comes first: it is no better than any.
    return sorted(
        held_out.nats.items(), key=lambda item: -item[1] if math.isfinite(item[1]) else -math.inf
    )


def held_out_verdict(held_out: HeldOut) -> str:
    """One sentence: the model against the best baseline."""
    best = best_baseline(held_out.nats, lowest=True)
    if best is None:
        return "no baseline to compare with"
    rest = f"the best baseline, {readable(best)} ({number(held_out.nats[best], 4)})"
    difference = held_out.nats[best] - held_out.nats[MODEL]
    if not math.isfinite(difference):
        return f"not comparable with {rest}"
    side = "below" if difference > 0 else "above"
    return f"{number(abs(difference), 4)} nats {side} {rest}"


def held_out_section(run: Run) -> Markup | None:
    """Loss beside the baselines' on the same positions; None where it was not measured."""
    held_out = run.held_out
    if held_out is None:
        return None
    rate = run.setting("evaluation.mask_rate")
    share = "" if rate is None else f"{rate:.0%} of its bases, "
    asked = (
        f"{number(held_out.positions, 0)} positions of the {held_out.split} split, {share}"
        "chosen at random and the same for all."
    )
    names = [name for name, _ in _highest_first(held_out)]
    cells = table(COLUMNS, held_out_rows(held_out), emphasised=names.index(MODEL))
    return section(
        "Held-out loss",
        tag(
            "p",
            f"Held-out loss of the model: {number(held_out.nats[MODEL], 4)} nats per base, ",
            f"{held_out_verdict(held_out)}. {asked} ",
            "The tables see the true neighbours of every position; the model sees [MASK] in place "
            "of those that were chosen too. Lower is better.",
        ),
        grid(
            _chart(run, held_out),
            tag("div", cells, _about_baselines()),
        ),
    )


def _chart(run: Run, held_out: HeldOut) -> Markup | None:
    finite = [(name, nats) for name, nats in _highest_first(held_out) if math.isfinite(nats)]
    if not finite:
        return None
    dots = [
        Dot(
            label=readable(name),
            value=nats,
            text=number(nats, 4),
            colour=predictor_colour(run.predictors, name),
        )
        for name, nats in finite
    ]
    model = held_out.nats[MODEL]
    chart = dot_chart(
        dots,
        title="Held-out loss of the model and its baselines",
        x_label="nats per base (axis does not start at 0)",
        mark=model if math.isfinite(model) else None,
    )
    return figure("Model and baselines", chart, "Dashed: the model. Read positions, not lengths.")


def _about_baselines() -> Markup:
    return tag(
        "p",
        "Baselines count bases by their neighbours over the training windows and both strands: "
        "an order-k Markov chain sees k on the left, a context table k+k sees k on either side. "
        "1 nat is 1.4427 bits; perplexity is exp(nats), 4 for a uniform guess.",
        class_="remark",
    )
