"""Time of launches: hand-computed closed forms, published measurements, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from counter_rows import BARRIER, counters_of, launches, scan, vecadd
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_runtime.counters import Counter, LaunchCounters
from pim_runtime.hardware import load_profile
from pim_runtime.timing import dpu_kernel_cycles, launch_costs

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")


def parts_ps(counters, hardware=HARDWARE, nr_ranks=1):
    costs = launch_costs(counters, nr_ranks=nr_ranks, hardware=hardware)
    assert [cost.reason for cost in costs] == ["launch", "compute", "dma", "barrier"]
    return tuple(cost.duration_ps for cost in costs)


def cycles(counters, hardware=HARDWARE):
    return dpu_kernel_cycles(counters, hardware).tolist()


# --- the three bounds of a phase ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nr_tasklets", "expected_cycles"), [(1, 11_000), (10, 11_000), (11, 11_000), (12, 12_000)])
def test_throughput_saturates_at_eleven_tasklets(nr_tasklets, expected_cycles):
    assert cycles(counters_of([[{Counter.SLOTS: 1000}] * nr_tasklets])) == [expected_cycles]


def test_one_tasklet_waits_for_its_own_dmas():
    one = counters_of([[{Counter.READS: 1, Counter.READ_BYTES: 8}]])
    assert cycles(one) == [74]  # ceil(11 + 58 + 0.535 * 8)
    assert parts_ps(one)[1:3] == (31_429, 177_943)  # 11 and 62.28 cycles at 350 MHz


def test_many_tasklets_wait_for_the_engine():
    writes = counters_of([[{Counter.WRITES: 10, Counter.WRITE_BYTES: 20_480}] * 16])
    assert cycles(writes) == [160 * 335 // 10 + 16 * 20_480 * 545 // 1000 + 1]  # 160 * (33.5 + 0.545 * 2048), up


def test_a_dma_loads_the_pipeline_with_two_and_a_half_slots():
    tasklet = {Counter.SLOTS: 1000, Counter.READS: 4, Counter.READ_BYTES: 32}
    assert cycles(counters_of([[tasklet] * 20])) == [20 * (1000 + 4) + 20 * 4 * 3 // 2]


def test_phases_add_up_each_with_its_own_bound():
    compute, memory = {Counter.SLOTS: 1000}, {Counter.READS: 1, Counter.READ_BYTES: 2048}
    assert cycles(counters_of([[compute], [memory]])) == [11_000 + 1165]  # 11 + 58 + 0.535 * 2048 = 1164.68
    assert cycles(counters_of([[compute, {}], [{}, compute]])) == [22_000]
    assert cycles(counters_of([[compute, compute], [{}, {}]])) == [11_000]


# --- barriers and launch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nr_tasklets", "expected_cycles"),
    [(1, 110), (2, 265), (3, 432), (4, 599), (8, 1282), (12, 2072), (16, 2861), (17, 3172), (20, 4105), (24, 5349)],
)
def test_barrier_is_interpolated_between_the_measured_points(nr_tasklets, expected_cycles):
    assert cycles(counters_of([[BARRIER] * nr_tasklets])) == [expected_cycles]  # 2071.5 at 12 is rounded up


def test_a_barrier_has_the_price_of_those_that_waited_for_it():
    half = [BARRIER] * 8 + [{}] * 8
    assert cycles(counters_of([half])) == [1282]
    assert cycles(counters_of([half, [BARRIER] * 16, [BARRIER] + [{}] * 15])) == [1282 + 2861 + 110]


def test_the_last_phase_of_very_many_ends_with_several_barriers_of_mean_size():
    assert cycles(counters_of([[{Counter.BARRIERS: 3}] * 8])) == [3 * 1282]
    assert cycles(counters_of([[{Counter.BARRIERS: 4}] * 2 + [{Counter.BARRIERS: 2}] * 4])) == [4 * 599]


def test_too_many_tasklets_are_refused():
    with pytest.raises(ValueError, match=r"25 tasklets .* 1 to 24"):
        parts_ps(counters_of([[{}] * 25]))


@pytest.mark.parametrize(
    ("nr_tasklets", "nr_ranks", "expected_ps"), [(1, 1, 46_900_000), (16, 1, 75_400_000), (24, 40, 870_600_000)]
)
def test_launch_grows_with_tasklets_and_further_ranks(nr_tasklets, nr_ranks, expected_ps):
    assert parts_ps(counters_of([[{}] * nr_tasklets]), nr_ranks=nr_ranks) == (expected_ps, 0, 0, 0)


def test_a_launch_on_no_rank_is_refused():
    with pytest.raises(ValueError, match="Pass nr_ranks >= 1"):
        parts_ps(counters_of([[{}]]), nr_ranks=0)


def test_parts_are_rounded_half_up_once():
    slow = HARDWARE.with_values({"pipeline.clock_mhz": 64, "pipeline.reissue_cycles": 1})
    assert parts_ps(counters_of([[{Counter.SLOTS: 1}]]), slow)[1] == 15_625
    assert parts_ps(counters_of([[{Counter.SLOTS: 1}]]), slow.with_values({"pipeline.clock_mhz": 128}))[1] == 7_813


# --- published measurements -----------------------------------------------------------------------------------------


def test_vecadd_of_sixteen_tasklets_is_bound_by_the_pipeline():
    compute_cycles = 16 * 256 * (9 * 16 + 16 + 3 * 3 // 2) + 16 * 256 // 2  # 164.5 cycles per block
    assert parts_ps(vecadd(16, 256, 16, 2)) == (75_400_000, compute_cycles * 1_000_000 // 350, 0, 8_174_286)


def test_vecadd_of_one_tasklet_is_bound_by_its_own_latency():
    # 1760 cycles for 160 slots per block; stalls 2 * (58 + 0.535 * 32) + 34 + 0.535 * 32 = 201.36 cycles
    assert parts_ps(vecadd(1, 256, 16, 2)) == (46_900_000, 1_287_314_286, 147_280_457, 314_286)


def test_scan_is_bound_by_the_pipeline_and_then_by_the_engine():
    # Pass 1: 329 + 1.5 slots against 317.65 cycles of DMA. Pass 2: 461 + 3 slots against 317.6496 + 312.54 = 630.1896.
    per_block_ticks = 3_305_000 + 6_301_896
    assert cycles(scan(16, 256, 64, 8)) == [-(-16 * 256 * per_block_ticks // 10_000) + 2 * 2861]


@pytest.mark.parametrize(
    ("kernel", "shape", "measured_ms"),
    [
        (vecadd, (1, 256, 16, 2), 1.482333),
        (vecadd, (1, 256, 256, 2), 19.448333),
        (vecadd, (16, 256, 8, 2), 1.676667),
        (vecadd, (16, 256, 16, 2), 2.007333),
        (vecadd, (16, 1024, 16, 2), 7.78),
        (vecadd, (16, 8192, 64, 2), 223.757),
        (vecadd, (16, 256, 256, 2), 27.389667),
        (vecadd, (16, 256, 32, 8), 6.259),
        (scan, (1, 256, 256, 4), 22.111),
        (scan, (16, 256, 32, 8), 6.280667),
        (scan, (16, 256, 64, 8), 11.329667),
        (scan, (16, 256, 256, 4), 30.470667),
    ],
)
def test_published_launch_times_are_met_within_half_a_percent(kernel, shape, measured_ms):
    """Launch times of one DPU on hardware: github.com/tud-ccc/cnm-cost-model, UPMEM/{Vecadd,Scan}/output."""
    modelled_ps = sum(parts_ps(kernel(*shape)))
    assert abs(modelled_ps - measured_ms * 1e9) < 0.005 * measured_ms * 1e9


# --- what must and must not matter ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(launches(), st.randoms(use_true_random=False))
def test_the_order_of_dpus_and_tasklets_does_not_matter(counters, random):
    dpus = random.sample(range(counters.nr_dpus), counters.nr_dpus)
    tasklets = random.sample(range(counters.nr_tasklets), counters.nr_tasklets)
    shuffled = LaunchCounters.of(counters.rows[dpus][:, :, tasklets])
    assert parts_ps(shuffled) == parts_ps(counters)
    assert cycles(shuffled) == [cycles(counters)[dpu] for dpu in dpus]


@settings(max_examples=30)
@given(launches())
def test_an_idle_dpu_does_not_matter(counters):
    idle = np.zeros_like(counters.rows[:1])
    larger = LaunchCounters.of(np.concatenate([idle, counters.rows]))
    assert parts_ps(larger) == parts_ps(counters)
    assert cycles(larger) == [0, *cycles(counters)]


@settings(max_examples=60)
@given(launches(), st.sampled_from([c for c in Counter if c is not Counter.BARRIERS]), st.integers(1, 10**6), st.data())
def test_more_of_anything_never_takes_less_time(counters, counter, more, data):
    rows = counters.rows.copy()
    rows[(*(data.draw(st.integers(0, size - 1)) for size in rows.shape[:3]), counter)] += more
    grown = LaunchCounters.of(rows)
    assert all(after >= before for before, after in zip(cycles(counters), cycles(grown), strict=True))


@settings(max_examples=30)
@given(launches())
def test_the_slowest_dpu_sets_the_time(counters):
    each = [sum(parts_ps(LaunchCounters.of(counters.rows[[dpu]]))) for dpu in range(counters.nr_dpus)]
    assert abs(sum(parts_ps(counters)) - max(each)) <= 3  # each kernel part is rounded by half a picosecond


def test_equally_slow_dpus_are_told_apart_by_their_parts():
    hardware = HARDWARE.with_values({"dma.read_stall.setup_cycles": 0, "dma.read_stall.cycles_per_byte": 11})
    computes, reads = {Counter.SLOTS: 9}, {Counter.READS: 1, Counter.READ_BYTES: 8}
    for dpus in ([[computes]], [[reads]]), ([[reads]], [[computes]]):
        assert cycles(counters_of(*dpus), hardware) == [99, 99]
        assert parts_ps(counters_of(*dpus), hardware)[1:3] == (282_857, 0)


def test_prices_follow_the_profile():
    counters = vecadd(16, 256, 16, 2)
    faster = HARDWARE.with_values({"pipeline.clock_mhz": 700})
    assert parts_ps(counters, faster)[1] * 2 == parts_ps(counters)[1]
    assert cycles(counters, faster) == cycles(counters)
