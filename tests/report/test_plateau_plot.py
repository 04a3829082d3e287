"""The plot of a plateau and a line."""

from __future__ import annotations

import pytest

from pim_runtime.report.plateau_plot import plateau_plot

pytestmark = pytest.mark.quick
pytest.importorskip("matplotlib")


def test_points_and_crossing_are_drawn():
    figure = plateau_plot([(1, 2.0), (4, 2.0), (8, 4.0)], crossing=4.5, title="Times", caption="Modelled.")
    (axes,) = figure.axes
    line, mark = axes.get_lines()
    assert line.get_xydata().tolist() == [[1, 2], [4, 2], [8, 4]]
    assert list(mark.get_xdata()) == [4.5, 4.5]
    assert axes.get_legend().get_texts()[0].get_text() == "crossover: 4.5 tokens"
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_title()) == ("log", "log", "Times")
    assert figure.get_supxlabel() == "Modelled."


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        plateau_plot([], crossing=1.0, title="", caption="")
