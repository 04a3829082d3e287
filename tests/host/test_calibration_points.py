"""The shipped calibration data, and the arithmetic of errors, groups and targets."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.calibration.errors import ComparedPoint, group_errors, grouped
from host.calibration.points import Point, calibration_points, group_of
from host.calibration.points import _point as point_of_row
from host.calibration.targets import Target, kernel_target

pytestmark = pytest.mark.quick

ROW = {
    "source": "somebody",
    "kernel": "vec",
    "dtype": "u16",
    "dpus": "1",
    "tasklets": "16",
    "config": "blocks_per_tasklet=256;block_elems=8",
    "metric": "dpu_launch wall",
    "value": "1.5",
    "unit": "ms",
    "kind": "measured",
}


def compared(value, modelled, kernel="vec"):
    point = point_of_row({**ROW, "kernel": kernel, "value": str(value)}, line=2)
    return ComparedPoint(point=point, model="automatic", modelled=modelled)


def test_every_row_of_the_file_is_there():
    points = calibration_points()
    assert len(points) == 395
    assert Counter(map(group_of, points)) == {"vec": 55, "red": 38, "scan": 26, "attention": 15, "transfers": 261}
    assert Counter(point.kind for point in points) == {"measured": 174, "literature": 5, "fit": 216}
    assert len({point.name for point in points}) == len(points)


def test_a_row_is_typed():
    first = calibration_points()[0]
    assert first == Point(
        source="tud-ccc/cnm-cost-model UPMEM/Vecadd/output/vectorop.csv",
        kernel="vec",
        dtype="u16",
        nr_dpus=1,
        nr_tasklets=1,
        config=first.config,
        metric="dpu_launch wall",
        value=0.875,
        unit="ms",
        kind="measured",
    )
    assert (first.size("blocks_per_tasklet"), first.size("block_elems")) == (256, 8)
    assert first.name == "vec u16, 1 tasklet, 256 x 8"
    assert [point.nr_tasklets for point in calibration_points() if group_of(point) == "transfers"] == [None] * 261


@pytest.mark.parametrize(("column", "value"), [("kind", "guess"), ("unit", "s"), ("kernel", "gemm")])
def test_unknown_words_are_refused(column, value):
    with pytest.raises(ValueError, match=rf"line 7: .*{value}.*Correct the line"):
        point_of_row({**ROW, column: value}, 7)


def test_errors_of_a_group():
    errors = group_errors([compared(100, 110), compared(200, 160), compared(10, 10)])
    assert errors.size == 3
    assert errors.mean == pytest.approx(0.1)
    assert errors.bias == pytest.approx(-0.1 / 3)
    assert errors.worst.point.value == 200
    assert errors.worst_error == pytest.approx(0.2)


def test_a_group_has_points():
    with pytest.raises(ValueError, match="errors of 0 points"):
        group_errors([])


@given(st.lists(st.tuples(st.floats(0.1, 1e3), st.floats(0.1, 1e3)), min_size=1))
def test_bias_mean_and_worst_are_in_order(pairs):
    errors = group_errors([compared(*pair) for pair in pairs])
    assert abs(errors.bias) <= errors.mean * (1 + 1e-9)
    assert errors.mean <= errors.worst_error * (1 + 1e-9)


def test_groups_keep_every_point_in_order():
    points = [compared(1, 1), compared(2, 2, "red"), compared(3, 3)]
    groups = grouped(points, lambda one: one.point.kernel)
    assert groups == {"vec": (points[0], points[2]), "red": (points[1],)}


@pytest.mark.parametrize(
    ("target", "is_met"),
    [
        (Target(), True),
        (Target(mean=0.125), True),
        (Target(mean=0.12), False),
        (Target(worst=0.25), True),
        (Target(worst=0.24), False),
        (Target(mean=0.125, worst=0.24), False),
    ],
)
def test_a_target_limits_mean_and_worst(target, is_met):
    errors = group_errors([compared(128, 128), compared(128, 160)])
    assert (errors.mean, errors.worst_error) == (0.125, 0.25)
    assert target.is_met(errors) is is_met


def test_targets_say_what_they_ask():
    assert str(kernel_target("automatic")) == "mean 6 %, worst 15 %"
    assert str(kernel_target("listing")) == "mean 2 %"
