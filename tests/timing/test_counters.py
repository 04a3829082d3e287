"""The layout of a counter row, and the shapes that a LaunchCounters accepts."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters


def test_columns_are_those_that_kernels_write():
    assert [counter.name for counter in Counter] == [
        "SLOTS",
        "READS",
        "READ_BYTES",
        "WRITES",
        "WRITE_BYTES",
        "LOCKS",
        "SYNCS",
        "ALLOCS",
    ]
    assert [int(counter) for counter in Counter] == list(range(NR_COUNTERS))


def test_sizes_and_totals():
    rows = np.arange(2 * 3 * 4 * NR_COUNTERS, dtype=np.int64).reshape(2, 3, 4, NR_COUNTERS)
    counters = LaunchCounters(rows=rows, barriers=np.array([2, 2]))
    assert (counters.nr_dpus, counters.nr_phases, counters.nr_tasklets) == (2, 3, 4)
    assert counters.total(Counter.READS) == sum(8 * row + 1 for row in range(24))


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
        LaunchCounters(rows=np.zeros(shape, np.int64), barriers=np.zeros(shape[0], np.int64))


def test_barriers_of_other_dpus_are_refused():
    with pytest.raises(ValueError, match="one count per DPU"):
        LaunchCounters(rows=np.zeros((2, 1, 1, NR_COUNTERS), np.int64), barriers=np.zeros(3, np.int64))


@pytest.mark.parametrize(("rows_dtype", "barriers_dtype"), [(np.int32, np.int64), (np.int64, np.float64)])
def test_counters_are_int64(rows_dtype, barriers_dtype):
    with pytest.raises(TypeError, match=r"astype\(np.int64\)"):
        LaunchCounters(rows=np.zeros((1, 1, 1, NR_COUNTERS), rows_dtype), barriers=np.zeros(1, barriers_dtype))
