"""The largest batch under a limit, for steps of any shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.machines.batch_search import largest_batch
from host.machines.capacity import MachineCapacityError

pytestmark = pytest.mark.quick


def search(times, slo_s, **options):
    return largest_batch(lambda batch: times[batch - 1], fits=len(times), slo_s=slo_s, what="a machine", **options)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=40), st.floats(0.01, 1))
def test_the_largest_that_meets_the_limit(times, slo_s):
    found = search(times, slo_s)
    meeting = [batch for batch, seconds in enumerate(times, start=1) if seconds <= slo_s]
    assert found.batch == max(meeting, default=1)
    assert found.slo_violated == (not meeting)
    assert found.step_s == times[found.batch - 1]
    assert (found.limited_by == "capacity") == (len(times) in meeting)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=40), st.floats(0.01, 1))
def test_a_bound_from_below_changes_nothing(times, slo_s):
    # The least of what comes later never falls, and is never above the step itself.
    least = [min(times[index:]) for index in range(len(times))]
    assert search(times, slo_s, least_s=lambda batch: least[batch - 1]) == search(times, slo_s)


def test_without_a_limit_capacity_decides():
    found = search([3.0, 1.0, 2.0], None)
    assert (found.batch, found.step_s, found.limited_by, found.slo_violated) == (3, 2.0, "capacity", False)


@pytest.mark.parametrize("slo_s", [0.0, -1.0, float("nan")])
def test_limits_that_are_none(slo_s):
    with pytest.raises(ValueError, match="must be positive"):
        search([1.0], slo_s)


def test_no_request_fits():
    with pytest.raises(MachineCapacityError, match="a machine: not even one request fits"):
        search([], 1.0)
