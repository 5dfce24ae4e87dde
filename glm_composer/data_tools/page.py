"""A dataset's figures as one HTML file, in the style of a run's report."""

from collections.abc import Sequence

import numpy as np

from glm_composer.conversion.manifest import Manifest
from glm_composer.data_tools.leakage import Leakage, SplitLeakage
from glm_composer.data_tools.stats import BINS, GroupStats, Stats
from glm_composer.data_tools.terminal import (
    LEAKAGE_COLUMNS,
    PAIR_COLUMNS,
    STATS_COLUMNS,
    leakage_row,
    pair_rows,
    stats_row,
)
from glm_composer.report.blocks import figure, folded, grid, section, table
from glm_composer.report.charts import Series, line_chart
from glm_composer.report.document import document
from glm_composer.report.markup import Markup, tag

# More rows of species or assemblies are folded.
_OPEN_ROWS = 12
# Classes of the page's style that hold a colour.
_COLOURS = 7
# Unrelated windows share a k-mer or two; the curve begins beyond them.
_FIRST_PERCENT = 5


def page(manifest: Manifest, stats: Stats | None, leakage: Leakage | None) -> str:
    """Return the page of a dataset as HTML; what is None is left out."""
    made = f"made {manifest.created} by glm_composer {manifest.code_version}"
    return document(
        manifest.name,
        tag(
            "header",
            tag("h1", f"Dataset {manifest.name}"),
            tag("p", f"windows of {_lengths(manifest, stats)} · {made}"),
        ),
        _stats_section(stats) if stats is not None else None,
        _leakage_section(leakage) if leakage is not None else None,
    )


def _lengths(manifest: Manifest, stats: Stats | None) -> str:
    return stats.lengths if stats is not None else f"{manifest.window_length:,} bases"


def _stats_section(stats: Stats) -> Markup:
    return section(
        "Composition",
        table(STATS_COLUMNS, [stats_row(group) for group in stats.splits], words=3),
        tag(
            "p",
            "Overlapping windows count their bases each time. GC is a share of A, C, G and T, all "
            "else of all letters; N stands for every other IUPAC code as well; soft-masked is "
            "lower case.",
            class_="remark",
        ),
        grid(
            _spread(
                stats,
                "gc",
                "GC of windows",
                "GC, %",
                "Windows of each split by their share of G and C.",
            ),
            _spread(
                stats,
                "soft_masked",
                "Soft-masked bases of windows",
                "soft-masked, %",
                "Windows of each split by their share of lower-case letters.",
            ),
            _spread(
                stats,
                "length",
                "Lengths of windows",
                f"bases, % of {stats.window_length:,}",
                "Windows of each split by their length.",
            )
            if stats.varies
            else None,
        ),
        _groups("species", stats.species, stats),
        _groups("assembly", stats.assemblies, stats),
    )


def _groups(kind: str, groups: Sequence[GroupStats], stats: Stats) -> Sequence[Markup] | Markup:
    if len(groups) == len(stats.splits):
        return []
    drawn = table(STATS_COLUMNS, [stats_row(group) for group in groups], words=3)
    if len(groups) > _OPEN_ROWS:
        return folded(f"{len(groups):,} rows by {kind}", drawn)
    return [tag("h3", f"By {kind}"), drawn]


def _spread(stats: Stats, kind: str, title: str, x_label: str, caption: str) -> Markup:
    counts = np.array([getattr(spread, kind) for spread in stats.distributions], dtype=np.float64)
    share = 100 * counts / np.maximum(1.0, counts.sum(axis=1, keepdims=True))
    held = np.flatnonzero(counts.sum(axis=0))
    if held.max(initial=0) == 0:
        return figure(title, tag("p", "None at all, in any window."), caption)
    x = np.linspace(0, 100, BINS + 1)
    series = [
        Series(label=spread.split, x=x, y=line, colour=f"p{place % _COLOURS}")
        for place, (spread, line) in enumerate(zip(stats.distributions, share, strict=True))
    ]
    limits = float(x[max(0, held[0] - 1)]), float(x[min(BINS, held[-1] + 1)])
    chart = line_chart(series, title=title, x_label=x_label, y_label="windows, %", x_limits=limits)
    return figure(title, chart, caption, series)


def _leakage_section(found: Leakage) -> Markup:
    near = [
        tag(
            "li",
            f"{split.split}: {split.near:,} of {split.windows:,} windows "
            f"({split.near / max(1, split.windows):.1%})",
        )
        for split in found.splits
    ]
    return section(
        "Leakage from train",
        tag(
            "p",
            f"Held-out windows of whose distinct {found.k}-mers one single window of "
            f"'{found.train}' ({found.train_windows:,} windows) holds at least "
            f"{found.threshold:.0%}:",
        ),
        tag("ul", near),
        table(LEAKAGE_COLUMNS, [leakage_row(split) for split in found.splits]),
        grid(_curve(found), _explanation(found)),
        [_pairs(found, split) for split in found.splits if split.worst],
    )


def _explanation(found: Leakage) -> Markup:
    k = found.k
    kept = ", ".join(f"{(1 - share) ** k:.0%} at {share:.0%}" for share in (0.01, 0.05, 0.1))
    said = (
        "Case and strand do not count. Copies are equal base for base. All other figures are "
        f"estimated from one in {found.scale} {k}-mers. A copy that differs in a share d of its "
        f"bases keeps (1 - d)^{k} of them: {kept}. Windows with few of them, or with those of "
        "frequent repeats only, are not compared."
    )
    return tag("div", tag("p", said, class_="remark"))


def _curve(found: Leakage) -> Markup:
    series = [
        Series(
            label=split.split,
            x=np.arange(_FIRST_PERCENT, 101),
            y=100 * np.array(split.at_least[_FIRST_PERCENT:]),
            colour=f"p{place % _COLOURS}",
        )
        for place, split in enumerate(found.splits, start=1)
    ]
    chart = line_chart(
        series,
        title="Held-out windows by what train holds of them",
        x_label=f"{found.k}-mers in the nearest train window, at least, %",
        y_label="held-out windows, %",
    )
    caption = "Share of held-out windows of which a train window holds at least so much."
    return figure("How alike the nearest train window is", chart, caption, series)


def _pairs(found: Leakage, split: SplitLeakage) -> list[Markup]:
    return [
        tag("h3", f"{split.split}: the windows most alike"),
        table(PAIR_COLUMNS, pair_rows(split), words=2),
        tag(
            "p",
            f"Estimated and exact: share of the window's {found.k}-mers that the train window "
            "holds. Identical bases: in the best alignment without gaps. Coordinates are 0-based "
            "and half-open.",
            class_="remark",
        ),
    ]
