"""Stacked bars and curves, read back from their axes."""

from __future__ import annotations

import pytest

from pim_runtime.report.bars import grouped_bars_plot, stacked_bars_plot
from pim_runtime.report.curves import curves_plot

pytestmark = pytest.mark.quick


def test_bars_are_the_parts_of_their_wholes():
    bars = {"first": {"a": 1.0, "b": 2.0}, "second": {"b": 3.0, "c": 4.0}}
    (axes,) = stacked_bars_plot(bars, title="Parts", axis="time (s)", caption="Modelled.").axes
    assert [label.get_text() for label in axis_labels(axes)] == ["first", "second"]
    widths = {drawn.get_label(): [bar.get_width() for bar in drawn] for drawn in axes.containers}
    assert widths == {"a": [1, 0], "b": [2, 3], "c": [0, 4]}
    starts = {drawn.get_label(): [bar.get_x() for bar in drawn] for drawn in axes.containers}
    assert starts == {"a": [0, 0], "b": [1, 0], "c": [3, 3]}
    assert axes.get_xlabel() == "time (s)"


def test_each_number_is_shown_once():
    bars = {"alone": {"a": 2.0, "b": 0.0}, "shared": {"a": 1.0, "b": 3.0}}
    (axes,) = stacked_bars_plot(bars, title="", axis="", caption="").axes
    assert sorted(text.get_text().strip() for text in axes.texts if text.get_text()) == ["1", "2", "3", "4"]


def test_groups_have_their_numbers_side_by_side():
    groups = {"first": {"a": 1.0, "b": 2.0}, "second": {"b": 3.0}}
    (axes,) = grouped_bars_plot(groups, title="Groups", axis="times", caption="Modelled.").axes
    assert [label.get_text() for label in axes.xaxis.get_ticklabels()] == ["first", "second"]
    heights = {drawn.get_label(): [bar.get_height() for bar in drawn] for drawn in axes.containers}
    assert heights == {"a": [1], "b": [2, 3]}
    centres = {drawn.get_label(): [bar.get_center()[0] for bar in drawn] for drawn in axes.containers}
    assert centres["a"] == pytest.approx([-0.2])
    assert centres["b"] == pytest.approx([0.2, 1.2])
    assert axes.get_ylabel() == "times"


def axis_labels(axes):
    return axes.yaxis.get_ticklabels()


def test_curves_keep_their_points_and_zero_has_a_place():
    points = {"one": [(0.0, 100.0), (1e-6, 90.0), (1e-3, 1.0)], "two": [(0.0, 80.0), (1e-3, 2.0)]}
    marks = {"one": ("knee", 1e-5)}
    figure = curves_plot(points, title="", x_axis="lambda (s)", y_axis="", caption="Modelled.", marks=marks)
    (axes,) = figure.axes
    lines = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
    assert {name: lines[name] for name in points} == points
    assert [x for x, _ in lines["knee"]] == [1e-5, 1e-5]
    assert [line.get_color() for line in axes.lines][:2] == [axes.lines[0].get_color()] * 2
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "log")
    assert axes.get_xlim()[0] == 0
    assert axes.get_ylim()[1] > 100
    assert figure.get_supxlabel() == "Modelled."


def test_a_narrow_range_is_linear_and_begins_at_zero():
    (axes,) = curves_plot({"one": [(1.0, 2.0), (3.0, 4.0)]}, title="", x_axis="", y_axis="", caption="").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert (axes.get_xlim()[0], axes.get_ylim()[0]) == (0, 0)


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="nothing to stack"):
        stacked_bars_plot({}, title="", axis="", caption="")
    with pytest.raises(ValueError, match="nothing to compare"):
        grouped_bars_plot({"one": {}}, title="", axis="", caption="")
    with pytest.raises(ValueError, match="nothing to draw"):
        curves_plot({"one": []}, title="", x_axis="", y_axis="", caption="")
