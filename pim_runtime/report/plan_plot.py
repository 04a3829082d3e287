"""A plot of design points: what a step takes against what a machine gives, and the SLO between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .canvas import add_caption, logarithmic, new_figure, series_colours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DesignPoint", "plan_plot"]


class DesignPoint(NamedTuple):
    """One design of a machine: milliseconds of a step, and tokens per second of all its requests."""

    machine: str
    step_ms: float
    tokens_per_s: float


def plan_plot(points: Sequence[DesignPoint], *, slo_ms: float | None, title: str) -> Figure:
    """Every design as a dot, machines by colour, both axes logarithmic; better is to the left and above.

    Raises ValueError for no points.
    """
    if not points:
        raise ValueError("no points: a plot of designs needs at least one")
    figure, axes = new_figure(8, 5.5)
    machines = list(dict.fromkeys(point.machine for point in points))
    for machine, colour in zip(machines, series_colours(len(machines)), strict=True):
        chosen = [point for point in points if point.machine == machine]
        x, y = [point.step_ms for point in chosen], [point.tokens_per_s for point in chosen]
        axes.plot(x, y, ".", markersize=4, alpha=0.6, color=colour, label=f"{machine}: {len(chosen):,} designs")
    if slo_ms is not None:
        axes.axvline(slo_ms, linestyle="--", linewidth=1, color="#777777", label=f"SLO: {slo_ms:g} ms")
    logarithmic(axes)
    axes.set_xlabel("time between two tokens of a request (ms)")
    axes.set_ylabel("tokens per second of all requests")
    axes.set_title(title)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, facecolor="white", edgecolor="none", framealpha=1)
    add_caption(figure, "Modelled. A dot is a partition or a schedule with a batch.")
    return figure
