"""Curves over one quantity, such as a rate over a bandwidth, with marks where something changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    marks: Mapping[str, tuple[str, float]] | None = None,
) -> Figure:
    """A line for each name through its points; marks: for a curve, the text and place of a vertical line.

    An axis that spans decades is logarithmic; a zero has its place on a linear piece at the end. No value is negative.
    Raises ValueError for no points.
    """
    if not any(curves.values()):
        raise ValueError("there is nothing to draw: pass at least one point")
    figure, axes = new_figure(8, 5)
    for (name, points), colour in zip(curves.items(), series_colours(len(curves)), strict=True):
        x, y = zip(*points, strict=True)
        axes.plot(x, y, marker="o", markersize=4, color=colour, label=name)
        if marks and name in marks:
            text, at = marks[name]
            axes.axvline(at, color=colour, linewidth=1, linestyle="--", label=text)
    points = [point for drawn in curves.values() for point in drawn]
    _scale([x for x, _ in points], axes.set_xscale, axes.set_xlim)
    _scale([y for _, y in points], axes.set_yscale, axes.set_ylim)
    axes.set_xlabel(x_axis)
    axes.set_ylabel(y_axis)
    axes.set_title(title)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, facecolor="white", edgecolor="none", framealpha=1)
    add_caption(figure, caption)
    return figure


def _scale(values: Sequence[float], set_scale: Callable[..., None], set_limits: Callable[..., object]) -> None:
    """A logarithmic axis for what spans decades, a linear one from 0 for everything else."""
    positive, margin = [value for value in values if value > 0], 1.05
    if not positive:
        return
    if max(positive) <= SPREAD * min(positive):
        set_limits(0, margin * max(positive))
    elif min(values) > 0:
        set_scale("log")
    else:
        set_scale("symlog", linthresh=min(positive))
        set_limits(0, 2 * max(positive))
