"""Data-dependent counters of DPUs outside the sample: exact means by phase, or what the profile assumes."""

from __future__ import annotations

import numpy as np
import pytest
from counter_rows import counters_of
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.counters import NR_COUNTERS, VARIABLE_PARTS, Counter, LaunchCounters
from pim_runtime.hardware import load_profile
from pim_runtime.timing import dpu_kernel_cycles
from pim_runtime.timing.variable import completed_patterns

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")


def completed(counters):
    """Rows of every DPU after completion, [nr_dpus, nr_phases, nr_tasklets, NR_COUNTERS]."""
    return completed_patterns(counters, HARDWARE)[counters.pattern_of]


def muls(count, steps=0):
    return {Counter.MUL32: count, Counter.MUL32_STEPS: steps}


def test_each_phase_has_the_mean_of_its_own_sample():
    sampled, other = [[muls(4, 12)], [muls(2, 20)]], [[muls(8)], [muls(3)]]
    assert completed(counters_of(sampled, other, measured=[True, False]))[1, :, 0, Counter.MUL32_STEPS].tolist() == [
        24,
        30,
    ]


def test_the_mean_is_that_of_all_sampled_dpus_and_tasklets():
    light, heavy = [[muls(1, 0), muls(1, 2)]], [[muls(2, 10), muls(0)]]
    counters = counters_of(light, light, heavy, [[muls(6), muls(3)]], measured=[True, True, True, False])
    assert completed(counters)[3, 0, :, Counter.MUL32_STEPS].tolist() == [14, 7]  # 14 steps of 6 multiplies


def test_a_phase_without_a_sample_has_the_mean_of_the_launch():
    counters = counters_of([[muls(4, 12)], [{}]], [[muls(4)], [muls(5)]], measured=[True, False])
    assert completed(counters)[1, :, 0, Counter.MUL32_STEPS].tolist() == [12, 15]


@pytest.mark.parametrize(
    ("operation", "part", "each"),
    [
        (Counter.MUL16, Counter.MUL16_LONG, 1),  # 100 % of the multiplies
        (Counter.MUL32, Counter.MUL32_STEPS, 15),  # 16 steps, one of them in the base
        (Counter.UDIV32, Counter.DIV32_VARIABLE, 15),
        (Counter.SDIV32, Counter.DIV32_VARIABLE, 15),
        (Counter.DIV64, Counter.DIV64_STEPS, 16),
    ],
)
def test_without_any_sample_the_profile_assumes(operation, part, each):
    counters = counters_of([[{operation: 7}]], measured=[False])
    assert completed(counters)[0, 0, 0, part] == 7 * each


def test_an_assumed_share_is_rounded_half_up():
    shares = {
        percent: HARDWARE.with_values({"instructions.assumed_mul16_long_percent": percent}) for percent in (49, 50)
    }
    counters = counters_of([[{Counter.MUL16: 1}]], measured=[False])
    assert {
        percent: int(completed_patterns(counters, hardware)[0, 0, 0, Counter.MUL16_LONG])
        for percent, hardware in shares.items()
    } == {49: 0, 50: 1}


def test_short_divisions_have_a_negative_mean():
    short = {Counter.UDIV32: 2, Counter.DIV32_VARIABLE: -6}
    counters = counters_of([[short]], [[{Counter.UDIV32: 5}]], measured=[True, False])
    assert completed(counters)[1, 0, 0, Counter.DIV32_VARIABLE] == -15
    assert dpu_kernel_cycles(counters, HARDWARE).tolist() == [11 * 12, 11 * 30]


def test_what_was_measured_stays():
    counters = counters_of([[muls(4, 12)]], [[muls(4, 100)]], [[muls(4)]], measured=[True, True, False])
    assert completed(counters)[:, 0, 0, Counter.MUL32_STEPS].tolist() == [12, 100, 56]
    everything = counters_of([[muls(4, 12)]], [[muls(4)]])
    assert completed_patterns(everything, HARDWARE) is everything.patterns


def test_a_dpu_that_works_like_the_sample_counts_like_the_sample():
    counters = counters_of([[muls(3, 7)]], [[muls(3)]], measured=[True, False])
    assert completed(counters)[1].tolist() == completed(counters)[0].tolist()


def test_means_of_large_counts_are_exact():
    count, steps = 10**12 + 39, 10**13 + 7
    counters = counters_of([[muls(count, steps)]], [[muls(count)]], measured=[True, False])
    assert completed(counters)[1, 0, 0, Counter.MUL32_STEPS] == steps


@st.composite
def samples(draw):
    """Counters of 2 to 6 DPUs, at least one of them outside the sample, without data-dependent counts."""
    nr_dpus = draw(st.integers(2, 6))
    shape = (nr_dpus, draw(st.integers(1, 2)), draw(st.integers(1, 3)), NR_COUNTERS)
    rows = np.random.default_rng(draw(st.integers(0, 2**32))).integers(0, draw(st.sampled_from([2, 50, 10**6])), shape)
    measured = np.array(draw(st.lists(st.booleans(), min_size=nr_dpus, max_size=nr_dpus)))
    measured[draw(st.integers(0, nr_dpus - 1))] = False
    for index in np.flatnonzero(~measured):
        rows[index][..., list(VARIABLE_PARTS)] = 0
    return rows, measured


@given(samples())
def test_only_unknown_counts_are_filled_in(sample):
    rows, measured = sample
    filled = completed(LaunchCounters.of(rows, measured))
    known = [counter for counter in Counter if counter not in VARIABLE_PARTS]
    assert filled[measured].tolist() == rows[measured].tolist()
    assert filled[..., known].tolist() == rows[..., known].tolist()


@given(samples(), st.randoms(use_true_random=False))
def test_the_order_of_dpus_does_not_matter(sample, random):
    rows, measured = sample
    order = random.sample(range(len(rows)), len(rows))
    shuffled = LaunchCounters.of(rows[order], measured[order])
    assert completed(shuffled).tolist() == completed(LaunchCounters.of(rows, measured))[order].tolist()


@given(samples())
def test_a_mean_is_off_by_no_more_than_the_rounding(sample):
    rows, measured = sample
    filled = completed(LaunchCounters.of(rows, measured))
    for part, operations in VARIABLE_PARTS.items():
        done = rows[..., operations].sum(axis=3)
        for phase in range(rows.shape[1]):
            of_sample, parts = int(done[measured, phase].sum()), int(rows[measured, phase, :, part].sum())
            if of_sample:
                errors = filled[~measured, phase, :, part] * of_sample - done[~measured, phase] * parts
                assert (2 * np.abs(errors) <= of_sample).all()
