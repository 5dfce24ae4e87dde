"""A region as a figure for a paper: the model's sequence logo above its map of variant effects.

Long regions are broken into lines, so that letters stay readable on a printed page. The same
input gives the same bytes.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from glm_composer import sequence
from glm_composer.evaluation.sites import letter_heights
from glm_composer.sequence import Bytes
from glm_composer.serving.regions import Region

Floats = NDArray[np.float32]

LONGEST = 1_000
"""Positions of the longest region that is drawn."""

_BASES = "ACGT"
# The colours of most logos; letters tell them apart for everybody.
_COLOURS = ("#109648", "#255c99", "#e09f1f", "#d62839")
_PER_LINE = 100
# Inches. A line of 100 positions is as wide as a page of two columns.
_WIDE, _WIDEST_CELL = 6.5, 0.2
_LEFT, _RIGHT, _ABOVE, _BELOW = 0.62, 0.3, 0.42, 0.46
_LOGO, _ROW, _GAP, _TICKS = 0.72, 0.105, 0.05, 0.34
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "svg.hashsalt": "glm_composer",
}


def save_picture(
    stem: Path, region: Region, bases: Bytes, expected: Floats, *, remark: str
) -> None:
    """Draw a region and write it as PNG (300 dots an inch) and SVG.

    Args:
        stem: path of the files, without their endings.
        region: at most `LONGEST` positions.
        bases: its reference, ASCII uint8 [n].
        expected: log-probabilities of a, c, g, t at its positions, float32 [n, 4] in nats; NaN
            where there are none.
        remark: which model, and how it was asked; the second line of the title.
    """
    with rc_context(_STYLE):
        figure = draw(region, bases, expected, remark=remark)
        # Dates would make equal pictures differ.
        figure.savefig(f"{stem}.png", dpi=300, metadata={"Software": "glm_composer"})
        figure.savefig(f"{stem}.svg", metadata={"Date": None, "Creator": "glm_composer"})


def draw(region: Region, bases: Bytes, expected: Floats, *, remark: str) -> Figure:
    """Return the figure of a region, see `save_picture`."""
    per_line = min(len(region), _PER_LINE)
    cell = min(_WIDE / per_line, _WIDEST_CELL)
    line = _LOGO + _GAP + 4 * _ROW + _TICKS
    lines = range(0, len(region), per_line)
    # Titles and the key need room, however short the region.
    width = max(_LEFT + per_line * cell + _RIGHT, 5.6)
    height = _ABOVE + len(lines) * line + _BELOW
    figure = Figure(figsize=(width, height))
    heights = letter_heights(expected)
    effects = _effects(bases, expected)
    highest = float(heights.sum(1).max()) * 1.05 or 1.0
    limit = float(np.nanmax(np.abs(effects), initial=0.0)) or 1.0
    for i, first in enumerate(lines):
        part = slice(first, min(first + per_line, len(region)))
        top = height - _ABOVE - i * line
        across = (_LEFT, (part.stop - first) * cell)
        logo = _axes(figure, across, top - _LOGO, _LOGO)
        _draw_logo(logo, heights[part], highest)
        below = _axes(figure, across, top - _LOGO - _GAP - 4 * _ROW, 4 * _ROW)
        mesh = _draw_map(below, bases[part], effects[part], limit, region.start + first, cell)
    figure.text(_LEFT / width, 1 - 0.09 / height, _title(region), va="top", size=8, weight="bold")
    figure.text(_LEFT / width, 1 - 0.25 / height, remark, va="top", size=6.5, color="#444444")
    figure.text(
        _LEFT / width,
        0.36 / height,
        f"position on {region.contig}, 1-based; letters of the map: reference",
        va="center",
        size=6.5,
    )
    key = _axes(figure, (width - _RIGHT - 1.5, 1.5), 0.33, 0.09)
    bar = figure.colorbar(mesh, cax=key, orientation="horizontal")
    bar.outline.set_linewidth(0.6)
    bar.ax.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    bar.ax.tick_params(labelsize=6, pad=1.5)
    bar.set_label("LLR of alt over ref, nats", size=6.5, labelpad=1.5)
    return figure


def _title(region: Region) -> str:
    place = f"{region.contig}:{region.start + 1:,}-{region.end:,}"
    return place if region.name == str(region) else f"{region.name}, {place}"


def _effects(bases: Bytes, expected: Floats) -> Floats:
    """Log-likelihood ratios [n, 4] of each base over the reference; NaN for the reference."""
    ids = sequence.encode(bases).astype(np.intp)
    ref = np.clip(ids - sequence.FIRST_BASE, 0, 3)[:, None]
    effects = expected - np.take_along_axis(expected, ref, axis=1)
    np.put_along_axis(effects, ref, np.nan, axis=1)
    return effects


def _axes(figure: Figure, across: tuple[float, float], bottom: float, height: float) -> Axes:
    """Axes at a place in inches: (left, width), bottom, height."""
    whole_width, whole_height = figure.get_size_inches()
    left, width = across
    return figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    )


def _draw_logo(axes: Axes, heights: Floats, highest: float) -> None:
    # The most probable letter on top.
    order = np.argsort(heights, axis=1)
    tops = np.cumsum(np.take_along_axis(heights, order, axis=1), axis=1)
    below = np.empty_like(heights)
    np.put_along_axis(below, order, tops - np.take_along_axis(heights, order, axis=1), axis=1)
    for base, (letter, colour) in enumerate(zip(_BASES, _COLOURS, strict=True)):
        # What is thinner than a dot only makes the file large.
        at = np.flatnonzero(heights[:, base] > highest / 500)
        corners = np.stack([at + 0.04, below[at, base]], axis=1)
        sizes = np.stack([np.full(len(at), 0.92), heights[at, base]], axis=1)
        _draw_letters(axes, letter, corners, sizes, colour)
    axes.set_xlim(0, len(heights))
    axes.set_ylim(0, highest)
    axes.set_xticks([])
    axes.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=6, pad=1.5)
    axes.set_ylabel("information\n(bits)", size=6.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_map(
    axes: Axes, bases: Bytes, effects: Floats, limit: float, start: int, cell: float
) -> Any:
    n = len(effects)
    axes.set_facecolor("#ececec")
    mesh = axes.pcolormesh(
        np.arange(n + 1),
        np.arange(5),
        effects.T[::-1],
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        edgecolors="white",
        linewidth=0.2,
    )
    ids = sequence.encode(bases)
    # Letters of one shape, also where cells are wide.
    wide = 0.6 * min(1.0, _ROW / cell)
    for base, letter in enumerate(_BASES):
        at = np.flatnonzero(ids == sequence.FIRST_BASE + base)
        corners = np.stack([at + (1 - wide) / 2, np.full(len(at), 3.2 - base)], axis=1)
        _draw_letters(axes, letter, corners, np.tile([wide, 0.6], (len(at), 1)), "#555555")
    axes.set_xlim(0, n)
    axes.set_ylim(0, 4)
    axes.set_yticks(3.5 - np.arange(4), list(_BASES))
    axes.set_ylabel("alt", size=6.5)
    axes.tick_params(axis="y", length=0, labelsize=6, pad=1.5)
    _label_positions(axes, start, n, cell)
    return mesh


def _label_positions(axes: Axes, start: int, n: int, cell: float) -> None:
    """Ticks at round 1-based positions, each in the middle of its column."""
    label = 0.05 * len(f"{start + n:,}") + 0.08  # inches
    step = next((step for step in (1, 2, 5, 10) if step * cell >= label), 20)
    positions = np.arange(start + 1, start + n + 1)
    round_ones = positions[positions % step == 0]
    axes.xaxis.set_major_locator(FixedLocator((round_ones - start - 0.5).tolist()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{round(x + start + 0.5):,}"))
    axes.tick_params(axis="x", labelsize=6, pad=1.5)


def _draw_letters(
    axes: Axes, letter: str, corners: NDArray[Any], sizes: NDArray[Any], colour: str
) -> None:
    """One letter at many places, as a single path.

    Args:
        axes: to draw on, in their units.
        letter: to draw.
        corners: lower left corners [n, 2].
        sizes: widths and heights [n, 2].
        colour: of them all.
    """
    if not len(corners):
        return
    unit, codes = _outline(letter)
    vertices = (unit * sizes[:, None] + corners[:, None]).reshape(-1, 2)
    path = Outline(vertices, np.tile(codes, len(corners)))
    axes.add_patch(PathPatch(path, facecolor=colour, linewidth=0))


@cache
def _outline(letter: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vertices [k, 2], stretched to the unit square, and codes [k] of a letter's outline."""
    drawn = TextPath((0, 0), letter, size=1, prop=FontProperties("DejaVu Sans", weight="bold"))
    low, high = drawn.get_extents().get_points()
    # Where an outline is closed, its vertex is not looked at, and may lie anywhere.
    return (np.clip(drawn.vertices, low, high) - low) / (high - low), drawn.codes
