"""Trees of costs: leaves add up, whatever overlaps, and a whole is bound by its longest leaf."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.machines.cost import Cost, averaged, in_sequence, overlapped, repeated

pytestmark = pytest.mark.quick

BOUNDS = ("compute", "unit bandwidth", "link bandwidth", "link latency", "controller")

leaf = st.builds(
    Cost,
    name=st.sampled_from("abc"),
    seconds=st.integers(0, 1000),
    bound_by=st.sampled_from(BOUNDS),
    moved_bytes=st.integers(0, 1000),
    transfers=st.integers(0, 1000),
    operations=st.integers(0, 1000),
    joules=st.integers(0, 1000),
)
trees = st.recursive(
    leaf,
    lambda parts: st.lists(parts, min_size=1, max_size=4).flatmap(
        lambda chosen: st.sampled_from(
            (in_sequence("whole", chosen), overlapped("whole", chosen, seconds=7, rule="the slower one"))
        )
    ),
    max_leaves=12,
)


@given(trees)
def test_what_leaves_move_adds_up_in_the_whole(cost):
    leaves = list(cost.leaves)
    for quantity in ("moved_bytes", "transfers", "operations", "joules"):
        assert getattr(cost, quantity) == sum(getattr(part, quantity) for part in leaves)
    assert cost.bound_by == max(leaves, key=lambda part: part.seconds).bound_by
    assert sum(cost.seconds_by(bound) for bound in BOUNDS) == sum(part.seconds for part in leaves)


@given(trees, st.integers(1, 100))
def test_a_repeated_cost_is_as_if_it_were_in_sequence(cost, times):
    once, again = repeated(cost, times), in_sequence("again", [cost] * times)
    assert once.seconds == again.seconds
    assert (once.moved_bytes, once.transfers, once.joules) == (again.moved_bytes, again.transfers, again.joules)
    assert once.bound_by == cost.bound_by
    assert [part.name for part in once.leaves] == [part.name for part in cost.leaves]


def test_parts_are_found_by_name():
    inner = in_sequence("inner", [Cost(name="link", seconds=2, bound_by="link latency", transfers=3)])
    cost = in_sequence("token", [replace(inner, name="weights"), inner])
    assert cost.part("weights", "link").transfers == 3
    with pytest.raises(KeyError, match="'token' has no part 'kv', it has weights, inner"):
        cost.part("kv")
    with pytest.raises(KeyError, match="'link' has no part 'x', it has none"):
        cost.part("inner", "link", "x")


def test_a_rule_gives_the_seconds_of_what_overlaps():
    parts = [Cost(name=name, seconds=s, bound_by="compute") for name, s in (("gpu", 3), ("pim", 5))]
    cost = overlapped("iteration", parts, seconds=5, rule="the slower one")
    assert (cost.seconds, cost.overlap) == (5, "the slower one")
    assert in_sequence("iteration", parts).overlap == ""


def test_nothing_has_no_cost():
    with pytest.raises(ValueError, match="cost 'token' has no parts"):
        in_sequence("token", [])


@given(trees, st.integers(1, 5))
def test_the_mean_of_equal_costs_is_that_cost(cost, times):
    assert averaged([cost] * times) == cost


@given(trees)
def test_the_mean_lies_in_the_middle_of_all_parts(cost):
    mean = averaged([cost, repeated(cost, 3)])
    for found, expected in zip(mean.leaves, repeated(cost, 2).leaves, strict=True):
        assert (found.seconds, found.moved_bytes, found.joules) == pytest.approx(
            (expected.seconds, expected.moved_bytes, expected.joules)
        )
    assert mean.seconds == pytest.approx(2 * cost.seconds)


def test_trees_of_different_parts_have_no_mean():
    one = Cost(name="one", seconds=1, bound_by="compute")
    with pytest.raises(ValueError, match="trees of different parts have no mean"):
        averaged([in_sequence("whole", [one]), in_sequence("whole", [replace(one, name="other")])])
    with pytest.raises(ValueError, match="give at least one"):
        averaged([])
