"""Tables of ALiBi biases: wherever a token lies, a kernel reads its distance to the query at its place (K-9)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention.biases import BiasTable
from host.attention.partition import Partition

pytestmark = pytest.mark.quick

partitions = st.builds(Partition, st.integers(1, 9), st.sampled_from(["block", "interleave"]))


@st.composite
def tables(draw):
    """A table for as many tokens as the parts have room for, as `contexts` makes it."""
    partition = draw(partitions)
    capacity = partition.part_capacity(draw(st.integers(1, 60)))
    return BiasTable(partition, capacity * partition.parts)


@given(table=tables(), data=st.data())
def test_every_token_finds_its_distance(table, data):
    places = table.partition.over(table.max_tokens)
    position = data.draw(st.integers(0, table.max_tokens - 1))
    distances = table.distances()
    assert (distances.dtype, distances.nbytes) == (np.int64, table.nbytes)
    for part in range(table.partition.parts):
        own = places.positions(part, table.max_tokens)
        seen = own[own <= position]
        start = int(table.start(position, part))
        assert start % 8 == 0
        assert distances[start // 8 :][: len(seen)].tolist() == (position - seen).tolist()
        if len(seen):  # a DMA reads the biases of a whole group
            groups = -(-len(seen) // 8)
            assert start + 64 * groups <= table.nbytes
        else:
            assert start == 0


@given(table=tables())
def test_a_table_has_every_distance_once(table):
    """And no more: one entry per distance, and room for the rest of a group."""
    distances = table.distances().tolist()
    assert len(distances) == len(set(distances[:-8])) + 8
    assert set(distances) == set(range(table.stride * table.run_length))
    assert table.stride * table.run_length == table.max_tokens


@given(table=tables(), positions=st.lists(st.integers(0, 500), min_size=1, max_size=5))
def test_positions_and_parts_broadcast(table, positions):
    parts = np.arange(table.partition.parts)[:, None]
    positions = np.minimum(positions, table.max_tokens - 1)
    starts = table.start(positions, parts)
    assert starts.dtype == np.int64
    one_by_one = [[int(table.start(place, part)) for place in positions] for part in parts.ravel()]
    assert starts.tolist() == one_by_one


def test_runs_of_an_interleaved_table():
    """Three parts: distances 0, 3, 6 belong to the query's own part, 1, 4, 7 to the one before it, and so on."""
    table = BiasTable(Partition(3, "interleave"), 9)
    assert table.distances().tolist() == [6, 3, 0, 7, 4, 1, 8, 5, 2] + [0] * 8
    assert table.start(8, [0, 1, 2]).tolist() == [8 * 6, 8 * 3, 0]  # tokens 0, 1, 2 are 8, 7, 6 back
    assert table.start(1, [0, 1, 2]).tolist() == [8 * 5, 8 * 2, 0]  # part 2 has no token yet
