"""Phases add up to the kernel, and a phase holds each of its tasklets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timelines import HARDWARE, counters_of

from pim_runtime.counters import NR_COUNTERS, Counter, LaunchCounters
from pim_runtime.timing.kernel import duration_ps, kernel_ticks
from pim_runtime.timing.phases import phase_ticks

pytestmark = pytest.mark.quick


@st.composite
def any_counters(draw):
    """Rows with few of most things, and barriers that everybody or nobody leaves."""
    shape = tuple(draw(st.integers(1, most)) for most in (3, 4, 24))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, 2000, (*shape, NR_COUNTERS)) * (generator.random((*shape, NR_COUNTERS)) < 0.3)
    rows[..., Counter.BARRIERS] = generator.integers(0, 2, (*shape[:2], 1))
    return LaunchCounters.of(rows.astype(np.int64))


@settings(max_examples=60)
@given(any_counters())
def test_phases_add_up_to_the_kernel(counters):
    phases, kernel = phase_ticks(counters, HARDWARE), kernel_ticks(counters, HARDWARE)
    for part in ("compute", "dma", "barrier"):
        np.testing.assert_array_equal(getattr(phases, part).sum(axis=1), getattr(kernel, part))
    assert (phases.alone.max(axis=2) <= phases.compute + phases.dma).all()


def test_a_tasklet_alone():
    ticks = phase_ticks(
        counters_of(1, 1, phases=({Counter.SLOTS: 5, Counter.READS: 1, Counter.READ_BYTES: 8},)), HARDWARE
    )
    assert ticks.alone.tolist() == [[[(6 * 11 + 58) * 10_000 + 8 * 5_350]]]
    assert (ticks.compute + ticks.dma).tolist() == ticks.alone[..., 0].tolist()


@pytest.mark.parametrize(("ticks", "expected_ps"), [(0, 0), (35, 10), (1, 0), (2, 1), (3_500_000, 1_000_000)])
def test_ticks_are_rounded_to_picoseconds(ticks, expected_ps):
    assert duration_ps(ticks, HARDWARE) == expected_ps
