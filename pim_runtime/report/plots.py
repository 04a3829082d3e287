"""Plots of what the other reports compute: breakdown, roofline, heat map of the DPUs, speed-up.

Every function returns a figure of its own; `canvas` saves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..hardware import Hardware
from ..timeline import REASONS, Row
from ..timing import LaunchWork, dpu_kernel_cycles
from ..timing.cost import PS_PER_US, Reason
from .breakdown import reason_name, reason_times
from .canvas import add_caption, logarithmic, new_figure, series_colours
from .roofline import RooflinePoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curve", "breakdown_plot", "heat_map_plot", "roofline_plot", "speedup_plot"]

# Told apart by readers who do not see all colours (Okabe and Ito, Color Universal Design, 2008).
COLOURS: dict[Reason, str] = {
    "launch": "#999999",
    "compute": "#0072B2",
    "dma": "#E69F00",
    "barrier": "#CC79A7",
    "transfer_setup": "#56B4E9",
    "transfer": "#009E73",
}
LINE_STYLES = {"published": "--", "modelled": "-", "measured here": ":"}
SMALLEST_LABEL = 0.07  # of the longest bar; shorter parts have no room for a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A named line. origin: "published", "modelled" or "measured here". points: (x, y), in the order of x."""

    name: str
    origin: str
    points: tuple[tuple[float, float], ...]


def breakdown_plot(rows: Sequence[Row], hardware: Hardware) -> Figure:
    """Stacked bars of the time by reason, in microseconds: one for each kind of command, in the order of the rows.

    Raises ValueError if no row takes time.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.duration_ps:
            groups.setdefault(f"{row.operation} {row.what}", []).append(row)
    if not groups:
        raise ValueError("no command took modelled time, so there is nothing to plot. Pass rows with a price.")
    figure, axes = new_figure(9, 1.7 + 0.42 * len(groups))
    times = [reason_times(group) for group in groups.values()]
    totals = np.array([sum(of.values()) for of in times]) / PS_PER_US
    left = np.zeros(len(groups))
    for reason in REASONS:
        widths = np.array([of[reason] for of in times]) / PS_PER_US
        if widths.any():
            bars = axes.barh(range(len(groups)), widths, left=left, color=COLOURS[reason], label=reason_name(reason))
            shown = [f"{width:,.0f}" if width >= SMALLEST_LABEL * totals.max() else "" for width in widths]
            axes.bar_label(bars, shown, label_type="center", color="white", fontsize=8)
            left += widths
    for index, total in enumerate(totals):
        axes.annotate(f" {total:,.1f}", (total, index), va="center", fontsize=8)
    axes.set_yticks(range(len(groups)), [_times(name, len(group)) for name, group in groups.items()])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * totals.max())
    axes.set_xlabel("time (us)")
    axes.set_title("Where the time goes")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False)
    add_caption(figure, f"Modelled on profile {hardware.name}. A launch has the parts of its slowest DPU.")
    return figure


def roofline_plot(points: Sequence[RooflinePoint], hardware: Hardware) -> Figure:
    """The instruction roofline of a DPU with kernels under it, both axes logarithmic, without kernels that have no DMA.

    Raises ValueError if no kernel has a DMA.
    """
    drawn = [point for point in points if point.mram_bytes]
    if not drawn:
        raise ValueError("no kernel moves a byte between MRAM and WRAM, so none has a place under a roofline")
    figure, axes = new_figure(8, 5.2 + 0.55 * len(drawn))
    knees = [
        point.ceiling_per_s / bandwidth for point in drawn for bandwidth in (point.bandwidth, point.best_bandwidth)
    ]
    reach = [*(point.intensity for point in drawn), *knees]
    for point, colour in zip(drawn, series_colours(len(drawn)), strict=True):
        for bandwidth, style, what in (
            (point.bandwidth, "-", f"its DMAs, {point.dma_bytes_mean:,.0f} B on average"),
            (point.best_bandwidth, ":", f"DMAs of {hardware.dma.max_bytes:,} B"),
        ):
            x = np.array([min(reach) / 4, point.ceiling_per_s / bandwidth, max(reach) * 4])
            roof = np.minimum(point.ceiling_per_s, x * bandwidth) / 1e6
            label = f"roof with {what}: {bandwidth / 1e6:,.0f} MB/s"
            axes.plot(x, roof, style, color=colour, linewidth=1.2, label=label)
        label = f"{point.name}, {point.nr_tasklets} tasklets: limited by the {point.limit}"
        axes.plot([point.intensity], [point.instructions_per_s / 1e6], "o", color=colour, label=label)
    logarithmic(axes)
    axes.set_xlabel("intensity (instructions per MRAM byte)")
    axes.set_ylabel("instructions per second of one DPU (millions)")
    axes.set_title("Instruction roofline")
    axes.grid(which="major", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), fontsize=8, frameon=False)
    clock, reissue = hardware.pipeline.clock_mhz, hardware.pipeline.reissue_cycles
    add_caption(
        figure,
        f"Modelled on profile {hardware.name}: the slowest DPU. "
        f"Pipeline: {clock} MHz x min(1, tasklets / {reissue}). Slopes: occupancy of the DMA engine.",
    )
    return figure


def heat_map_plot(row: Row, hardware: Hardware) -> Figure:
    """Kernel cycles of every DPU of a launch: ranks down, DPUs of a rank across; DPUs that did not run stay white.

    Raises ValueError for a command that is no launch.
    """
    if not isinstance(row.work, LaunchWork):
        raise ValueError(
            f"{row.operation} {row.what} is no launch, so it has no kernel cycles. Pass the row of a launch."
        )
    cycles = np.concatenate([dpu_kernel_cycles(counters, hardware) for counters in row.work.counters])
    first_rank, grid = _by_rank(cycles, row.first_dpu, hardware.geometry.dpus_per_rank)
    figure, axes = new_figure(9, 1.9 + min(6.0, 0.16 * len(grid)))
    extent = (-0.5, grid.shape[1] - 0.5, first_rank + len(grid) - 0.5, first_rank - 0.5)
    image = axes.imshow(grid, aspect="auto", interpolation="nearest", cmap="viridis", extent=extent)
    axes.set_xlabel("DPU in its rank")
    axes.set_ylabel("rank")
    axes.set_title(f"Kernel cycles of every DPU: {row.what}")
    axes.locator_params(axis="y", integer=True)
    slowest, mean = int(cycles.max()), float(cycles.mean())
    # Around a single value the bar would show a range that no DPU is in.
    ticks = [slowest] if slowest == cycles.min() else None
    figure.colorbar(image, label="cycles", format="{x:,.0f}", ticks=ticks)
    add_caption(
        figure,
        f"Modelled on profile {hardware.name}. The slowest of {len(cycles):,} DPUs takes {slowest:,} cycles, "
        f"{slowest / mean:.3f} times the mean."
        if mean
        else f"Modelled on profile {hardware.name}. No DPU took a cycle.",
    )
    return figure


def speedup_plot(curves: Sequence[Curve], *, title: str, caption: str) -> Figure:
    """Speed-up against batch, both axes logarithmic; above 1 the DPUs win. A curve says its origin in the legend."""
    figure, axes = new_figure(8, 5)
    axes.axhline(1, color="#777777", linewidth=0.8)
    for curve, colour in zip(curves, series_colours(len(curves)), strict=True):
        x, y = zip(*curve.points, strict=True)
        style = LINE_STYLES.get(curve.origin, "-.")
        axes.plot(x, y, style, marker="o", markersize=4, color=colour, label=f"{curve.name} ({curve.origin})")
    batches = sorted({x for curve in curves for x, _ in curve.points})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(batches, [f"{batch:g}" for batch in batches])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("batch (requests that decode together)")
    axes.set_ylabel("speed-up (times)")
    axes.set_title(title)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, facecolor="white", edgecolor="none", framealpha=1)
    add_caption(figure, caption)
    return figure


def _by_rank(values: NDArray[np.int64], first_dpu: int, per_rank: int) -> tuple[int, NDArray[np.float64]]:
    """The first rank, and values by [rank, DPU of the rank]; NaN where there is no DPU of the launch."""
    first_rank, skipped = divmod(first_dpu, per_rank)
    grid = np.full((-(-(skipped + len(values)) // per_rank), per_rank), np.nan)
    grid.reshape(-1)[skipped : skipped + len(values)] = values
    return first_rank, grid


def _times(name: str, count: int) -> str:
    return name if count == 1 else f"{name} ({count:,} times)"
