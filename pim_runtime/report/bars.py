"""Stacked bars: what the parts of a few wholes are, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .canvas import add_caption, new_figure, series_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["stacked_bars_plot"]

SMALLEST_LABEL = 0.07  # of the longest bar; shorter parts have no room for a number


def stacked_bars_plot(bars: Mapping[str, Mapping[str, float]], *, title: str, axis: str, caption: str) -> Figure:
    """A bar for each whole, of its parts in their order; a part has one colour in all bars.

    axis: what is stacked, with its unit. Raises ValueError for no bars.
    """
    if not bars:
        raise ValueError("there is nothing to stack: pass at least one bar")
    figure, axes = new_figure(9, 1.9 + 0.5 * len(bars))
    names = list(dict.fromkeys(part for parts in bars.values() for part in parts))
    wholes = [sum(parts.values()) for parts in bars.values()]
    longest = max(wholes)
    left = [0.0] * len(bars)
    for name, colour in zip(names, series_colours(len(names)), strict=True):
        widths = [parts.get(name, 0.0) for parts in bars.values()]
        drawn = axes.barh(range(len(bars)), widths, left=left, color=colour, label=name)
        # A bar of one part has its number at its end.
        inside = [SMALLEST_LABEL * longest <= width < whole for width, whole in zip(widths, wholes, strict=True)]
        shown = [f"{width:.3g}" if fits else "" for width, fits in zip(widths, inside, strict=True)]
        axes.bar_label(drawn, shown, label_type="center", color="white", fontsize=8)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for index, whole in enumerate(wholes):
        axes.annotate(f" {whole:.4g}", (whole, index), va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), list(bars))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * longest or 1)
    axes.set_xlabel(axis)
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    add_caption(figure, caption)
    return figure
