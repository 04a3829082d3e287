"""Curves over one quantity, such as a rate over a bandwidth, with marks where something changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .canvas import add_caption, new_figure, series_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves_plot"]

SPREAD = 50  # largest over smallest of what is drawn, from which on an axis is logarithmic


def curves_plot(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    x_axis: str,
    y_axis: str,
    caption: str,
    marks: Mapping[str, float] | None = None,
) -> Figure:
    """A line for each name through its points, and a vertical line at each of `marks`.

    An axis that spans decades is logarithmic, below its smallest positive point linear, so that 0 has a place.
    Raises ValueError for no points.
    """
    if not any(curves.values()):
        raise ValueError("there is nothing to draw: pass at least one point")
    figure, axes = new_figure(8, 5)
    for (name, points), colour in zip(curves.items(), series_colours(len(curves)), strict=True):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, marker="o", markersize=4, color=colour, label=name)
    colours = series_colours(len(curves) + len(marks or {}))[len(curves) :]
    for (name, at), colour in zip((marks or {}).items(), colours, strict=True):
        axes.axvline(at, color=colour, linewidth=1, linestyle="--", label=name)
    points = [point for drawn in curves.values() for point in drawn]
    for scale, values in ((axes.set_xscale, [x for x, _ in points]), (axes.set_yscale, [y for _, y in points])):
        positive = [value for value in values if value > 0]
        if positive and max(positive) > SPREAD * min(positive):
            scale("symlog", linthresh=min(positive))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_axis)
    axes.set_ylabel(y_axis)
    axes.set_title(title)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, facecolor="white", edgecolor="none", framealpha=1)
    add_caption(figure, caption)
    return figure
