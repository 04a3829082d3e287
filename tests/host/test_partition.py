"""Partitions of a context: every token has one place, order is kept, ranges agree with counting token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention.partition import Partition, PartitionLayout, Placement

pytestmark = pytest.mark.quick

layouts = st.sampled_from(["block", "interleave"])


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    return Partition(draw(st.integers(1, 9)), draw(layouts)).over(draw(st.integers(1, 40)))


@given(placement=placements(), data=st.data())
def test_every_token_is_in_one_place_and_order_is_kept(placement: Placement, data: st.DataObject) -> None:
    tokens = data.draw(st.integers(0, placement.max_tokens))
    held = [placement.positions(part, tokens) for part in range(placement.parts)]
    assert sorted(np.concatenate(held).tolist()) == list(range(tokens))
    for part, positions in enumerate(held):
        assert len(positions) == placement.tokens_before(tokens, part) <= placement.capacity
        assert (placement.owner(positions) == part).all()
        assert placement.local(positions).tolist() == list(range(len(positions)))


@given(placement=placements(), data=st.data())
def test_ranges_agree_with_counting(placement: Placement, data: st.DataObject) -> None:
    first, end = sorted(data.draw(st.tuples(*[st.integers(0, placement.max_tokens)] * 2)))
    ranges = placement.local_range(first, end, np.arange(placement.parts))
    for part in range(placement.parts):
        visible = [j for j in range(first, end) if placement.owner(j) == part]
        everything = placement.positions(part, placement.max_tokens)
        assert everything[ranges.first[part] : ranges.end[part]].tolist() == visible


@given(placement=placements(), data=st.data())
def test_rows_arrive_where_positions_say(placement: Placement, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, placement.max_tokens))
    count = data.draw(st.integers(0, placement.max_tokens - first))
    rows = np.arange(first, first + count).reshape(1, -1, 1) * np.ones((2, 1, 3), np.int64)
    split = placement.split_rows(rows, first)
    assert len(split) == placement.parts
    for part, (local_first, part_rows) in enumerate(split):
        assert part_rows.shape == (2, part_rows.shape[1], 3)
        positions = part_rows[1, :, 2]
        assert (placement.owner(positions) == part).all()
        assert placement.local(positions).tolist() == list(range(local_first, local_first + len(positions)))
    assert sum(part.rows.shape[1] for part in split) == count


@given(placement=placements())
def test_appending_token_by_token_fills_the_parts_without_gaps(placement: Placement) -> None:
    held = [0] * placement.parts
    for position in range(placement.max_tokens):
        for part, (first, rows) in enumerate(placement.split_rows(np.zeros((1, 1)), position)):
            assert first == held[part]
            held[part] += len(rows)
    assert max(held) == placement.capacity


def test_layouts_by_example() -> None:
    assert Partition(3).over(8).owner(np.arange(8)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert Partition(3, "interleave").over(8).owner(np.arange(8)).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert Partition(3).part_capacity(8) == 3
    assert Partition() == Partition(1, "block")


@pytest.mark.parametrize(("parts", "layout"), [(0, "block"), (-1, "interleave"), (2, "blocks")])
def test_impossible_partitions_are_refused(parts: int, layout: PartitionLayout) -> None:
    with pytest.raises(ValueError, match=r"parts|layout"):
        Partition(parts, layout)


def test_positions_and_parts_that_do_not_exist_are_refused() -> None:
    placement = Partition(2).over(6)
    for outside in (-1, 6):
        with pytest.raises(ValueError, match="0 to 5"):
            placement.owner([0, outside])
        with pytest.raises(ValueError, match="0 to 5"):
            placement.local(outside)
    with pytest.raises(ValueError, match="0 to 6"):
        placement.local_range(0, 7, 0)
    with pytest.raises(ValueError, match="0 to 6"):
        placement.split_rows(np.zeros((4, 2)), 3)
    for outside in (-1, 2):
        with pytest.raises(ValueError, match="0 to 1"):
            placement.positions(outside, 3)
    with pytest.raises(ValueError, match="at least 1"):
        Partition(2).over(0)
