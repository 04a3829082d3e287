"""Placement of joining requests: who gets which DPU, and that nobody who fits is turned away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention.placement import Room, place_heads
from host.attention.pools import Pool

pytestmark = pytest.mark.quick

dpus_with_room = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=6)


def room_of(dpus):
    slots, blocks = np.array(dpus, np.int64).T
    return Room(slots, blocks)


def place(room, *needs, heads):
    placed = place_heads(room, np.array(needs), heads=heads)
    return None if placed is None else placed.tolist()


def test_fewest_contexts_then_fewest_blocks_then_the_first():
    assert place(room_of([(2, 9), (3, 1), (3, 2), (3, 2)]), 1, heads=4) == [[2], [3], [1], [0]]


def test_the_largest_part_chooses_first():
    assert place(room_of([(1, 2), (2, 1), (3, 1)]), 1, 2, heads=1) == [[2, 0]]


def test_the_parts_of_a_head_are_on_different_dpus():
    assert place(room_of([(9, 9), (1, 1), (1, 0)]), 1, 1, heads=1) == [[0, 1]]
    assert place(room_of([(9, 9), (1, 1), (1, 0)]), 1, 1, heads=2) is None


@given(dpus_with_room, st.integers(0, 4), st.integers(1, 6))
def test_whole_heads_are_placed_exactly_if_there_is_room(dpus, need, heads):
    there_is = sum(min(slots, blocks // need if need else slots) for slots, blocks in dpus)
    assert (place(room_of(dpus), need, heads=heads) is not None) == (heads <= there_is)


@given(dpus_with_room, st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(1, 4))
def test_what_is_placed_fits_and_leaves_the_room_as_it_was(dpus, needs, heads):
    room = room_of(dpus)
    placed = place_heads(room, np.array(needs), heads=heads)
    assert all((ours == theirs).all() for ours, theirs in zip(room, room_of(dpus), strict=True))
    if placed is None:
        return
    assert placed.shape == (heads, len(needs))
    assert all(len(set(head)) == len(needs) for head in placed.tolist())
    for dpu, (slots, blocks) in enumerate(dpus):
        assert (placed == dpu).sum() <= slots
        assert ((placed == dpu) * np.array(needs)).sum() <= blocks


def test_a_pool_gives_the_lowest_places_first():
    pool = Pool(5)
    assert (pool.take(3), len(pool)) == ([0, 1, 2], 2)
    pool.give([1, 0])
    assert pool.take(3) == [0, 1, 3]


def test_a_pool_takes_memory_for_used_places_only():
    pool = Pool(10**15)
    pool.give(pool.take(3))
    assert (pool.take(4), len(pool)) == ([0, 1, 2, 3], 10**15 - 4)


def test_a_pool_gives_all_or_nothing():
    pool = Pool(2)
    with pytest.raises(ValueError, match="3 places wanted, 2 of 2 are free"):
        pool.take(3)
    assert len(pool) == 2
