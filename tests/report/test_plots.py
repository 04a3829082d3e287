"""Plots, read back from their axes, and their files."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from timelines import HARDWARE, add_launch, add_transfer, attention_step, counters_of

from pim_runtime.counters import Counter
from pim_runtime.report.breakdown import reason_times
from pim_runtime.report.canvas import save_plot
from pim_runtime.report.plots import Curve, breakdown_plot, heat_map_plot, roofline_plot, speedup_plot
from pim_runtime.report.roofline import roofline
from pim_runtime.timeline import Timeline
from pim_runtime.timing import dpu_kernel_cycles

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def step():
    """A timeline of 150 DPUs in three ranks."""
    return attention_step()


def caption(figure):
    return figure.get_supxlabel()


def texts(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_bars_are_the_times_of_the_timeline(step):
    figure = breakdown_plot(step.rows, HARDWARE)
    (axes,) = figure.axes
    assert texts(axes.yaxis) == ["write query", "launch scores", "read output"]
    widths = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}
    assert list(widths) == ["launch", "compute", "DMA", "barrier", "transfer setup", "transfer"]
    for bars, (_, time_ps) in zip(widths.values(), reason_times(step.rows).items(), strict=True):
        assert sum(bars) == pytest.approx(time_ps / 1e6, rel=1e-12)
    ends = [max(bar.get_x() + bar.get_width() for bars in axes.containers for bar in (bars[row],)) for row in range(3)]
    assert ends == pytest.approx([row.duration_ps / 1e6 for row in step.rows[1:]])
    assert axes.get_xlabel() == "time (us)"
    assert caption(figure).startswith("Modelled on profile upmem-v1a")


def test_commands_of_one_kind_share_a_bar():
    timeline = Timeline(HARDWARE)
    for _ in range(3):
        add_transfer(timeline, "push", "query", 8, 64)
    (axes,) = breakdown_plot(timeline.rows, HARDWARE).axes
    assert texts(axes.yaxis) == ["write query (3 times)"]
    assert [bars.get_label() for bars in axes.containers] == ["transfer setup", "transfer"]


def test_the_roofline_has_its_point_below_its_roof(step):
    (point,) = roofline(step.rows, HARDWARE)
    figure = roofline_plot([point], HARDWARE)
    (axes,) = figure.axes
    own, largest, kernel = axes.lines
    for line, bandwidth in ((own, point.bandwidth), (largest, point.best_bandwidth)):
        x, y = line.get_data()
        np.testing.assert_allclose(y * 1e6, np.minimum(point.ceiling_per_s, x * bandwidth))
        assert point.ceiling_per_s / bandwidth in x  # where the roof bends
    assert kernel.get_xdata() == [point.intensity]
    assert kernel.get_ydata() == [point.instructions_per_s / 1e6]
    assert kernel.get_label() == "scores, 16 tasklets: limited by the DMA engine"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "350 MHz x min(1, tasklets / 11)" in caption(figure)


def test_the_heat_map_has_every_dpu_at_its_place():
    timeline = Timeline(HARDWARE)
    counters = counters_of(100, extra_slots=lambda dpu, tasklet: 10 * dpu)
    row = add_launch(timeline, "scores", counters, first_dpu=70)
    figure = heat_map_plot(row, HARDWARE)
    axes = figure.axes[0]
    grid = axes.images[0].get_array()
    assert grid.shape == (2, 64)
    assert grid.mask.sum() == 28
    assert grid.mask[0, :6].all()
    np.testing.assert_array_equal(grid.compressed(), dpu_kernel_cycles(counters, HARDWARE))
    assert axes.images[0].get_extent() == [-0.5, 63.5, 2.5, 0.5]  # ranks 1 and 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("DPU in its rank", "rank")
    assert "of 100 DPUs" in caption(figure)


def test_equal_dpus_and_idle_ones_have_a_heat_map(tmp_path):
    timeline = Timeline(HARDWARE)
    for phases in (({Counter.SLOTS: 5},), ({},)):
        row = add_launch(timeline, "kernel", counters_of(3, phases=phases))
        save_plot(heat_map_plot(row, HARDWARE), tmp_path / "map.png")
        assert len(heat_map_plot(row, HARDWARE).axes[1].get_yticks()) == 1
    assert "No DPU took a cycle" in caption(heat_map_plot(row, HARDWARE))


def test_curves_say_their_origin():
    curves = [
        Curve(name="CPU / UPMEM", origin="published", points=((2, 0.5), (4, 1.5))),
        Curve(name="CPU / DPUs", origin="modelled", points=((2, 0.25),)),
    ]
    figure = speedup_plot(curves, title="int8", caption="Published: somewhere.")
    (axes,) = figure.axes
    _, published, modelled = axes.lines
    assert published.get_xydata().tolist() == [[2, 0.5], [4, 1.5]]
    assert modelled.get_xydata().tolist() == [[2, 0.25]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "CPU / UPMEM (published)", "CPU / DPUs (modelled)",
    ]  # fmt: skip
    assert published.get_linestyle() != modelled.get_linestyle()
    assert texts(axes.xaxis) == ["2", "4"]
    assert caption(figure) == "Published: somewhere."


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_plot_is_the_same_file(step, tmp_path, suffix):
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        save_plot(breakdown_plot(step.rows, HARDWARE), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith(b"<?xml" if suffix == ".svg" else b"\x89PNG")


def test_what_cannot_be_plotted_is_refused(step):
    with pytest.raises(ValueError, match="no command took"):
        breakdown_plot(step.rows[:1], HARDWARE)
    with pytest.raises(ValueError, match="no kernel moves a byte"):
        roofline_plot([], HARDWARE)
    with pytest.raises(ValueError, match="write query is no launch"):
        heat_map_plot(step.rows[1], HARDWARE)


def test_without_matplotlib_the_remedy_is_named(step, monkeypatch):
    real_import = builtins.__import__

    def without_matplotlib(name, *arguments):
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError(name=name)
        return real_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    for plot in (breakdown_plot, lambda rows, hardware: heat_map_plot(rows[2], hardware)):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'pim-runtime\[report\]'"):
            plot(step.rows, HARDWARE)
