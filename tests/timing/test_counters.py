"""The layout of a counter row, the shapes that LaunchCounters accepts, and that patterns do not show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.counters import NR_COUNTERS, VARIABLE_PARTS, Counter, LaunchCounters

pytestmark = pytest.mark.quick


def test_columns_are_those_that_kernels_write():
    assert [counter.name for counter in Counter] == [
        "SLOTS",
        "STATED",
        "MUL16",
        "MUL16_LONG",
        "MUL32",
        "MUL32_STEPS",
        "MUL64",
        "UDIV32",
        "SDIV32",
        "DIV32_VARIABLE",
        "DIV64",
        "DIV64_STEPS",
        "READS",
        "READ_BYTES",
        "WRITES",
        "WRITE_BYTES",
        "LOCKS",
        "SYNCS",
        "ALLOCS",
        "BARRIERS",
    ]
    assert [int(counter) for counter in Counter] == list(range(NR_COUNTERS))


def test_a_data_dependent_part_belongs_to_operations_that_are_always_counted():
    operations = {operation for of_part in VARIABLE_PARTS.values() for operation in of_part}
    assert operations.isdisjoint(VARIABLE_PARTS)


def test_sizes_and_totals():
    rows = np.arange(2 * 3 * 4 * NR_COUNTERS, dtype=np.int64).reshape(2, 3, 4, NR_COUNTERS)
    counters = LaunchCounters.of(rows)
    assert (counters.nr_dpus, counters.nr_phases, counters.nr_tasklets) == (2, 3, 4)
    assert counters.total(Counter.READS) == sum(NR_COUNTERS * row + 12 for row in range(24))


def test_barriers_are_those_that_any_tasklet_left():
    rows = np.zeros((2, 3, 2, NR_COUNTERS), np.int64)
    rows[1, 0, :, Counter.BARRIERS] = 1
    rows[1, 1, 0, Counter.BARRIERS] = 1  # the other tasklet had ended
    rows[1, 2, :, Counter.BARRIERS] = 5, 4  # the last phase of very many
    assert LaunchCounters.of(rows).barriers.tolist() == [0, 7]


@st.composite
def rows_with_repeats(draw):
    nr_dpus = draw(st.integers(1, 8))
    rows = np.random.default_rng(draw(st.integers(0, 2**32))).integers(-3, 10**12, (3, 2, 3, NR_COUNTERS))
    return rows[draw(st.lists(st.integers(0, 2), min_size=nr_dpus, max_size=nr_dpus))]


@given(rows_with_repeats())
def test_equal_dpus_share_a_pattern_and_nothing_else_shows_it(rows):
    counters = LaunchCounters.of(rows)
    assert len(counters.patterns) == len({row.tobytes() for row in rows})
    assert counters.rows.tolist() == rows.tolist()
    assert [counters.total(counter) for counter in Counter] == rows.sum(axis=(0, 1, 2)).tolist()
    assert counters.barriers.tolist() == rows[..., Counter.BARRIERS].max(axis=2).sum(axis=1).tolist()
    assert counters.measured.all()


@given(rows_with_repeats(), st.randoms(use_true_random=False))
def test_patterns_do_not_depend_on_the_order_of_dpus(rows, random):
    order = random.sample(range(len(rows)), len(rows))
    counters, shuffled = LaunchCounters.of(rows), LaunchCounters.of(rows[order])
    assert shuffled.patterns.tolist() == counters.patterns.tolist()
    assert shuffled.pattern_of.tolist() == counters.pattern_of[order].tolist()


def test_a_dpu_that_was_not_measured_is_never_taken_for_one_that_was():
    counters = LaunchCounters.of(np.zeros((3, 1, 1, NR_COUNTERS), np.int64), np.array([True, False, True]))
    assert counters.measured[counters.pattern_of].tolist() == [True, False, True]
    assert len(counters.patterns) == 2


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, NR_COUNTERS),
        (1, 1, 1, NR_COUNTERS - 1),
        (0, 1, 1, NR_COUNTERS),
        (1, 0, 1, NR_COUNTERS),
        (1, 1, 0, NR_COUNTERS),
    ],
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="one row per tasklet and phase"):
        LaunchCounters.of(np.zeros(shape, np.int64))


def test_a_sample_of_other_dpus_is_refused():
    with pytest.raises(ValueError, match=r"`measured` has shape \(3,\), but rows has 2 DPUs: give one per DPU"):
        LaunchCounters.of(np.zeros((2, 1, 1, NR_COUNTERS), np.int64), np.ones(3, np.bool_))


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_counters_are_int64(dtype):
    with pytest.raises(TypeError, match=r"astype\(np.int64\)"):
        LaunchCounters.of(np.zeros((1, 1, 1, NR_COUNTERS), dtype))
