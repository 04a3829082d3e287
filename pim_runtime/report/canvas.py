"""What all plots share: an empty figure, its caption, logarithmic axes, colours, and the file that it becomes.

The one module that uses matplotlib, and without its global state.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from ..output_file import replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["add_caption", "logarithmic", "new_figure", "save_plot", "series_colours"]

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito, 2008
CAPTION_WIDTH = 120  # characters of a line


def save_plot(figure: Figure, path: Path) -> None:
    """Write a figure as .svg or .png; equal figures give equal files. Raises OutputError if it cannot be written."""
    from matplotlib import rc_context

    # Without the salt the ids of an SVG are random; without the date they are all that changes.
    with rc_context({"svg.hashsalt": "pim"}), replaced(path) as file:
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=150, metadata=metadata)


def new_figure(width_inches: float, height_inches: float) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes. Raises ModuleNotFoundError with the remedy if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plots need matplotlib: pip install 'pim-runtime[report]'", name=error.name
        ) from error
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def logarithmic(axes: Axes) -> None:
    """Both axes logarithmic, with plain numbers at 1, 2 and 5 of every decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def add_caption(figure: Figure, text: str) -> None:
    """Where the numbers come from, below the axes."""
    figure.supxlabel(textwrap.fill(text, CAPTION_WIDTH), fontsize=7, color="#555555")


def series_colours(count: int) -> list[str]:
    """Colours of so many series, in order; told apart by readers who do not see all colours."""
    return [SERIES[index % len(SERIES)] for index in range(count)]
