"""A plot of time against tokens: a plateau while something is read once, then a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .canvas import add_caption, logarithmic, new_figure, series_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plateau_plot"]


def plateau_plot(points: Sequence[tuple[float, float]], *, crossing: float, title: str, caption: str) -> Figure:
    """Points (tokens, milliseconds) in the order of tokens, both axes logarithmic, and where memory stops to bound.

    Raises ValueError for no points.
    """
    if not points:
        raise ValueError("no points: a plot of time against tokens needs at least one")
    figure, axes = new_figure(8, 5)
    x, y = zip(*points, strict=True)
    line, mark = series_colours(2)
    axes.plot(x, y, "-o", markersize=4, color=line)
    axes.axvline(crossing, linestyle="--", linewidth=1, color=mark, label=f"crossover: {crossing:,.1f} tokens")
    logarithmic(axes)
    beside = axes.get_xaxis_transform()  # x in tokens, y from 0 to 1
    axes.text(crossing, 0.97, "bound by memory   ", transform=beside, ha="right", va="top", fontsize=9)
    axes.text(crossing, 0.97, "   bound by compute", transform=beside, ha="left", va="top", fontsize=9)
    axes.set_xlabel("tokens")
    axes.set_ylabel("time (ms)")
    axes.set_title(title)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="center left", fontsize=8, facecolor="white", edgecolor="none", framealpha=1)
    add_caption(figure, caption)
    return figure
