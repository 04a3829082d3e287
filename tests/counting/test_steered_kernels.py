"""Any control flow counts alike in both engines, on any number of threads, and does the same as without counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.steered import NR_CODES, NR_NUMBERS, NR_OPERATIONS, steered
from small_kernels import launched

from pim_runtime import EngineOptions
from pim_runtime.counters import NR_COUNTERS, Counter

NR_DPUS = 3
CODES = st.builds(lambda operation, k: operation | k << 4, st.integers(0, NR_OPERATIONS - 1), st.integers(0, 15))


def outcome(codes, seed, nr_tasklets, **options):
    """(rows, measured, lines, bytes left in WRAM variables)."""
    numbers = np.random.default_rng(seed).integers(-(1 << 40), 1 << 40, (NR_DPUS, 24 * NR_NUMBERS))
    inputs = {"codes": np.array(codes, np.int32), "numbers": numbers >> np.arange(NR_DPUS)[:, None] * 15}
    result, left = launched(steered, inputs, EngineOptions(**options), nr_dpus=NR_DPUS, nr_tasklets=nr_tasklets)
    lines = [(row.line, row.counts.tolist()) for row in result.lines.rows]
    return result.counters.rows, lines, {name: rows.tolist() for name, rows in left.items()}


@settings(max_examples=40)
@given(
    codes=st.lists(st.lists(CODES, min_size=NR_CODES, max_size=NR_CODES), min_size=NR_DPUS, max_size=NR_DPUS),
    seed=st.integers(0, 1 << 16),
    nr_tasklets=st.sampled_from([1, 2, 4, 11]),
)
def test_counts_do_not_depend_on_who_runs_the_kernel(codes, seed, nr_tasklets):
    rows, lines, left = outcome(codes, seed, nr_tasklets, engine="interpreted", timing="exact")
    for threads in (1, 2, 1):
        again = outcome(codes, seed, nr_tasklets, engine="compiled", timing="exact", threads=threads)
        np.testing.assert_array_equal(again[0], rows)
        assert again[1:] == (lines, left)
    for engine in ("interpreted", "compiled"):
        _, no_lines, uncounted = outcome(codes, seed, nr_tasklets, engine=engine, timing="off")
        assert (no_lines, uncounted) == ([], left)

    by_line = np.sum([counts for _, counts in lines], axis=0) if lines else np.zeros(NR_COUNTERS, np.int64)
    totals = rows.sum(axis=(0, 1, 2))
    totals[Counter.BARRIERS] = by_line[Counter.BARRIERS]
    assert by_line.tolist() == totals.tolist()


@pytest.mark.parametrize("timing", ["sample:1", "sample:2", "static"])
def test_engines_measure_on_the_same_dpus(timing):
    codes = np.random.default_rng(3).integers(0, 1 << 8, (NR_DPUS, NR_CODES)) % 14
    codes = (codes | np.arange(NR_CODES)[::-1] << 4).tolist()
    interpreted = outcome(codes, 5, 4, engine="interpreted", timing=timing)
    compiled = outcome(codes, 5, 4, engine="compiled", timing=timing)
    np.testing.assert_array_equal(interpreted[0], compiled[0])
    assert interpreted[1:] == compiled[1:]
