"""Loads, reuses and evictions of adjacent queries against a plain simulation, and bytes with padding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from host.machines.kv_placement import KvPruning
from host.sprint.kv_pruning import kv_pruning
from host.sprint.locality import adjacent_step, buffer_tokens, first_step, movement, overlap
from host.sprint.padding import Padding, dense_bytes, dense_loads, sprint_bytes

pytestmark = pytest.mark.quick

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 9)))
EXAMPLE = {2, 4, 5, 6, 11, 13}


def mask(*rows: set[int], tokens: int = 16) -> np.ndarray:
    return np.array([[j in row for j in range(tokens)] for row in rows])


def simulated(keep: np.ndarray, capacity: int, retention: str) -> tuple[list[list[set[int]]], ...]:
    """A list of resident tokens, least recently used first. Loads and reuses of each query."""
    buffer: list[int] = []
    loads, reuses, evicted = [], [], []
    for row in keep:
        kept = [j for j in range(len(row)) if row[j]]
        hits, misses = [j for j in kept if j in buffer], [j for j in kept if j not in buffer]
        before = set(buffer) | set(kept)
        if retention == "kept":
            buffer = [j for j in buffer if j in kept]
        for j in hits:
            buffer.remove(j)
            buffer.append(j)
        for j in misses:
            buffer.append(j)
            if len(buffer) > capacity:
                buffer.pop(0)
        loads.append(set(misses))
        reuses.append(set(hits))
        evicted.append(before - set(buffer))
    return loads, reuses, evicted


def sets(rows: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(row).tolist()) for row in rows]


@given(keep=MASKS, capacity=st.integers(0, 10), retention=st.sampled_from(["kept", "recent"]))
def test_movement_is_that_of_a_list_of_used_tokens(keep, capacity: int, retention) -> None:
    found = movement(keep, capacity_tokens=capacity, retention=retention)
    assert (sets(found.load), sets(found.reuse), sets(found.evict)) == simulated(keep, capacity, retention)
    assert np.array_equal(found.load ^ found.reuse, keep)
    assert not (found.load & found.reuse).any()
    assert np.array_equal(found.refetch[1:], found.load[1:] & keep[:-1])
    assert not found.refetch[0].any()


@given(keep=MASKS)
def test_room_for_all_gives_the_vectors_of_the_document(keep) -> None:
    found = movement(keep)
    assert not found.refetch.any()
    for t in range(len(keep)):
        step = adjacent_step(~keep[t - 1], ~keep[t]) if t else first_step(~keep[0])
        assert np.array_equal(found.load[t], step.load)
        assert np.array_equal(found.reuse[t], step.reuse)
        assert np.array_equal(found.evict[t], step.evict)
    assert np.array_equal(movement(keep, capacity_tokens=keep.shape[-1]).load, found.load)


@given(keep=MASKS, capacity=st.integers(0, 10))
def test_a_larger_buffer_or_retaining_never_loads_more(keep, capacity: int) -> None:
    kept, recent, larger = (
        np.count_nonzero(movement(keep, capacity_tokens=size, retention=retention).load)
        for size, retention in ((capacity, "kept"), (capacity, "recent"), (capacity + 1, "recent"))
    )
    assert larger <= recent <= kept


@given(masks=hnp.arrays(np.bool_, (3, 4, 7)), capacity=st.integers(0, 7))
def test_heads_do_not_meet(masks, capacity: int) -> None:
    together = movement(masks, capacity_tokens=capacity)
    for h in range(3):
        for all_heads, one in zip(together, movement(masks[h], capacity_tokens=capacity), strict=True):
            assert np.array_equal(all_heads[h], one)


def test_the_example_of_the_document() -> None:
    """Six keys for "the"; one of them goes and one comes for "more"."""
    after = EXAMPLE - {13} | {12}
    found = movement(mask(EXAMPLE, after))
    assert sets(found.load) == [EXAMPLE, {12}]
    assert sets(found.reuse) == [set(), EXAMPLE - {13}]
    assert sets(found.evict) == [set(), {13}]


def test_what_exceeds_the_buffer_is_loaded_again() -> None:
    found = movement(mask({0, 1, 2, 3}, {0, 1, 2, 3}, tokens=4), capacity_tokens=3)
    assert sets(found.load) == [{0, 1, 2, 3}, {0}]  # 0 was the least recently used
    assert sets(found.refetch) == [set(), {0}]


def test_measured_overlap() -> None:
    assert overlap(mask({0, 1}, {1, 2}, {1, 2})) == 3 / 4
    assert np.isnan(overlap(mask({0, 1})))
    assert np.isnan(overlap(mask({0}, set())))
    keep = np.random.default_rng(2).random((50, 40)) < 0.3
    loads = np.count_nonzero(movement(keep).load[1:])
    assert loads == pytest.approx((1 - overlap(keep)) * np.count_nonzero(keep[1:]))


def test_buffers_of_the_three_configurations() -> None:
    assert [buffer_tokens(kib * 1024, dim=64) for kib in (16, 32, 64)] == [128, 256, 512]
    assert buffer_tokens(127, dim=64) == 0
    for size, dim in ((-1, 64), (16, 0)):
        with pytest.raises(ValueError, match=r"-1 bytes|dim = 0"):
            buffer_tokens(size, dim=dim)


def test_thousands_of_tokens_and_hundreds_of_queries_are_exact_too() -> None:
    rng = np.random.default_rng(0)
    keep = rng.random((40, 2000)) < 0.1
    found = movement(keep, capacity_tokens=128)
    assert (sets(found.load), sets(found.reuse)) == simulated(keep, 128, "kept")[:2]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"keep": np.zeros((2, 3))}, TypeError, "keep is float64: it is bool"),
        ({"keep": np.zeros(3, np.bool_)}, ValueError, r"it must be \[..., queries, tokens\]"),
        ({"keep": mask({0}), "capacity_tokens": -1}, ValueError, "capacity_tokens = -1"),
        ({"keep": mask({0}), "retention": "fifo"}, ValueError, "retention = 'fifo': choose one of kept, recent"),
    ],
)
def test_movements_that_cannot_be(arguments, error, message: str) -> None:
    with pytest.raises(error, match=message):
        movement(**arguments)
    with pytest.raises(TypeError, match="pruning vector of type int64"):
        adjacent_step(np.zeros(3, np.int64), np.zeros(3, np.bool_))  # type: ignore[arg-type]


def test_no_query_and_no_kept_token_move_nothing() -> None:
    assert movement(np.zeros((0, 5), np.bool_)).load.shape == (0, 5)
    assert not any(part.any() for part in movement(np.zeros((3, 5), np.bool_), capacity_tokens=2))


def test_fractions_for_the_planner() -> None:
    keep = mask({0, 1}, {1, 2}, {1, 2}, tokens=4)
    assert kv_pruning(keep) == KvPruning(keep=Fraction(1, 2), load=Fraction(1, 2))
    assert kv_pruning(keep, capacity_tokens=None) == KvPruning(keep=Fraction(1, 2), load=Fraction(1, 4))
    with pytest.raises(ValueError, match="no query"):
        kv_pruning(keep[:0])


# ---- padding


def test_work_fraction_of_46_percent_padding() -> None:
    padding = Padding(valid=54, padded=100)
    assert padding.work_fraction == Fraction(2916, 10_000)
    assert float(padding.gain) == pytest.approx(3.4294, abs=1e-4)
    assert Padding(valid=7, padded=7).gain == 1


def test_padding_is_cut_off_and_put_back() -> None:
    padding, rows = Padding(valid=2, padded=3), np.arange(12).reshape(1, 3, 4)
    assert np.array_equal(padding.trimmed(rows), rows[:, :2])
    assert padding.untrimmed(np.ones((1, 2, 2), np.bool_)).tolist() == [[[True, True, False]] * 2 + [[False] * 3]]
    with pytest.raises(ValueError, match="there are 3 with padding"):
        padding.trimmed(rows[:, :2])
    with pytest.raises(ValueError, match=r"it must be \(2, 2\)"):
        padding.untrimmed(np.ones((3, 3), np.bool_))


@pytest.mark.parametrize(("valid", "padded"), [(0, 5), (6, 5), (-1, 3)])
def test_padding_that_cannot_be(valid: int, padded: int) -> None:
    with pytest.raises(ValueError, match=f"{valid} valid tokens of {padded}"):
        Padding(valid=valid, padded=padded)


@given(tokens=st.integers(0, 12), capacity=st.integers(0, 14))
def test_dense_loads_are_those_of_the_engine(tokens: int, capacity: int) -> None:
    moved = movement(np.ones((tokens, tokens), np.bool_), capacity_tokens=capacity)
    assert dense_loads(tokens, capacity_tokens=capacity) == np.count_nonzero(moved.load)


def test_bytes_of_the_three_modes() -> None:
    padding = Padding(valid=40, padded=60)
    baseline, masked = (dense_bytes(padding, mode, dim=16, capacity_tokens=8) for mode in ("baseline", "mask_only"))
    assert baseline == ((60 + 59 * 52) * 32, 60 * 16, 0)
    assert masked == ((40 + 39 * 32) * 32, 40 * 16, 0)
    keep = np.random.default_rng(0).random((40, 40)) < 0.1
    pruned = sprint_bytes(keep, dim=16, capacity_tokens=8)
    assert pruned.kv == 32 * np.count_nonzero(movement(keep, capacity_tokens=8).load)
    assert pruned.queries == masked.queries
    assert pruned.commands == 40 * (8 + 5)
    assert baseline.total > masked.total > pruned.total
    with pytest.raises(ValueError, match="one head at a time"):
        sprint_bytes(keep[None], dim=16, capacity_tokens=8)
    with pytest.raises(ValueError, match="neither is negative"):
        dense_loads(3, capacity_tokens=-1)
