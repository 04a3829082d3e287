"""The instruction roofline: ceilings by hand, and that no kernel is above them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timelines import HARDWARE, add_launch, attention_step, counters_of

from pim_runtime.counters import Counter
from pim_runtime.report.roofline import dma_bytes_per_s, roofline
from pim_runtime.timeline import Timeline

pytestmark = pytest.mark.quick


def point_of(*counters):
    timeline = Timeline(HARDWARE)
    add_launch(timeline, "kernel", *counters)
    (point,) = roofline(timeline.rows, HARDWARE)
    return point


def test_pure_compute_reaches_the_ceiling():
    point = point_of(counters_of(1, 11, phases=({Counter.SLOTS: 1000},)))
    assert (point.instructions, point.mram_bytes, point.intensity) == (11_000, 0, math.inf)
    assert point.instructions_per_s == point.ceiling_per_s == point.roof_per_s == 350e6
    assert (point.limit, point.dma_bytes_mean) == ("pipeline", 0)


@pytest.mark.parametrize(("nr_tasklets", "ceiling"), [(1, 350e6 / 11), (4, 4 * 350e6 / 11), (11, 350e6), (24, 350e6)])
def test_the_ceiling_saturates_at_the_reissue_distance(nr_tasklets, ceiling):
    point = point_of(counters_of(1, nr_tasklets, phases=({Counter.SLOTS: 7},)))
    assert point.ceiling_per_s == pytest.approx(ceiling, rel=1e-15)
    assert point.instructions_per_s == pytest.approx(ceiling, rel=1e-15)


def test_pure_dma_reaches_the_slope():
    reads = {Counter.READS: 100, Counter.READ_BYTES: 100 * 2048}
    point = point_of(counters_of(1, 16, phases=(reads,)))
    assert point.limit == "DMA engine"
    assert point.dma_bytes_mean == 2048
    assert point.bandwidth == pytest.approx(2048 * 350e6 / (38.2 + 0.5458 * 2048))
    assert point.best_bandwidth == pytest.approx(point.bandwidth)
    assert point.instructions_per_s == pytest.approx(point.roof_per_s, rel=1e-12)


def test_small_dmas_lower_the_slope():
    writes = {Counter.WRITES: 100, Counter.WRITE_BYTES: 800}
    point = point_of(counters_of(1, 16, phases=(writes,)))
    assert point.bandwidth == pytest.approx(8 * 350e6 / (33.5 + 0.545 * 8))
    assert point.best_bandwidth == pytest.approx(2048 * 350e6 / (33.5 + 0.545 * 2048))


def test_the_slowest_dpu_stands_for_a_launch_and_launches_add_up():
    counters = counters_of(3, 2, phases=({Counter.SLOTS: 10},), extra_slots=lambda dpu, tasklet: dpu)
    timeline = Timeline(HARDWARE)
    for _ in range(2):
        add_launch(timeline, "kernel", counters, counters_of(1, 2, phases=({Counter.SLOTS: 3},)))
    add_launch(timeline, "other", counters_of(1, 1, phases=({Counter.SLOTS: 3},)))
    add_launch(timeline, "nothing", counters_of(1, 1, phases=({},)))
    kernel, other = roofline(timeline.rows, HARDWARE)
    assert (kernel.name, kernel.nr_tasklets, kernel.instructions) == ("kernel", 2, 2 * 2 * 12)
    assert (other.name, other.nr_tasklets, other.instructions) == ("other", 1, 3)


def test_commands_without_a_kernel_have_no_point():
    assert [point.name for point in roofline(attention_step().rows, HARDWARE)] == ["scores"]
    assert roofline([], HARDWARE) == ()


@settings(max_examples=60)
@given(st.integers(1, 24), st.integers(0, 500), st.integers(1, 60), st.sampled_from([8, 64, 1024, 2048]), st.booleans())
def test_no_kernel_is_above_its_roof(nr_tasklets, slots, dmas, size, uneven):
    phases = ({Counter.SLOTS: slots, Counter.READS: dmas, Counter.READ_BYTES: dmas * size, Counter.BARRIERS: 1},)
    point = point_of(counters_of(1, nr_tasklets, phases=phases, extra_slots=lambda dpu, tasklet: uneven * tasklet * 9))
    assert point.instructions_per_s <= point.roof_per_s * (1 + 1e-12)
    assert point.bandwidth <= point.best_bandwidth * (1 + 1e-12)


def test_bandwidth_of_the_specification():
    published = {8: (66, 74), 64: (306, 328), 512: (564, 573), 2048: (620, 623)}  # MB/s, timing model, section 5.3
    for size, expected in published.items():
        np.testing.assert_allclose([rate / 1e6 for rate in dma_bytes_per_s(HARDWARE, size)], expected, atol=0.7)


@pytest.mark.parametrize("size", [0, 4, 12, 2056])
def test_sizes_that_no_dma_has_are_refused(size):
    with pytest.raises(ValueError, match="8 to 2048 bytes in steps of 8"):
        dma_bytes_per_s(HARDWARE, size)
