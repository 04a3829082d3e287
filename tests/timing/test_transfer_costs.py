"""Time of host transfers by a line: hand-computed, published points, monotony. And what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.hardware import load_profile
from pim_runtime.timing import transfer_costs

HARDWARE = load_profile("seed-2023")  # all its links are lines
MIB = 1 << 20


def parts_ps(mode, nr_dpus, nr_ranks, bytes_per_dpu):
    costs = transfer_costs(
        mode=mode, nr_dpus=nr_dpus, nr_ranks=nr_ranks, bytes_per_dpu=bytes_per_dpu, hardware=HARDWARE
    )
    assert [cost.reason for cost in costs] == ["transfer_setup", "transfer"]
    return tuple(cost.duration_ps for cost in costs)


def effective_gb_per_s(profile, mode, nr_dpus, bytes_per_dpu):
    costs = transfer_costs(
        mode=mode,
        nr_dpus=nr_dpus,
        nr_ranks=-(-nr_dpus // 64),
        bytes_per_dpu=bytes_per_dpu,
        hardware=load_profile(profile),
    )
    return nr_dpus * bytes_per_dpu * 1000 / sum(cost.duration_ps for cost in costs)


def ps(total_bytes, gb_per_s):
    """Picoseconds of `total_bytes` at a decimal number of GB/s, rounded half up."""
    return int(Fraction(total_bytes * 1000) / Fraction(gb_per_s) + Fraction(1, 2))


@pytest.mark.parametrize(
    ("mode", "setup_ps", "gb_per_s"),
    [
        ("push", 100_000_000, "5.3017"),  # 80 + 20 us;     5.043 + 0.2587
        ("pull", 100_000_000, "2.7176"),  # 80 + 20 us;    2.486 + 0.2316
        ("broadcast", 100_000_000, "14.4"),  # 80 + 20 us;   12.271 + 2.129
    ],
)
def test_one_full_rank(mode, setup_ps, gb_per_s):
    assert parts_ps(mode, 64, 1, 8 * MIB) == (setup_ps, ps(64 * 8 * MIB, gb_per_s))


@pytest.mark.parametrize(
    ("mode", "nr_ranks", "gb_per_s"),
    [
        ("push", 31, "13.0627"),
        ("push", 32, "13.19205"),
        ("push", 40, "13.19205"),  # knee at 31.5 ranks
        ("pull", 23, "7.8128"),
        ("pull", 24, "7.9286"),
        ("pull", 40, "7.9286"),  # knee at 23.5 ranks
        ("broadcast", 31, "78.27"),
        ("broadcast", 32, "80.399"),
        ("broadcast", 40, "80.399"),
    ],
)
def test_bandwidth_grows_with_the_ranks_up_to_a_knee(mode, nr_ranks, gb_per_s):
    assert parts_ps(mode, 64 * nr_ranks, nr_ranks, MIB)[1] == ps(64 * nr_ranks * MIB, gb_per_s)


@pytest.mark.parametrize(
    ("mode", "nr_dpus", "gb_per_s"),
    [
        ("push", 1, "0.972"),
        ("push", 5, "4.86"),
        ("push", 6, "5.3017"),
        ("pull", 1, "0.2456"),
        ("pull", 11, "2.7016"),
        ("pull", 12, "2.7176"),
    ],
)
def test_few_dpus_do_not_fill_a_rank(mode, nr_dpus, gb_per_s):
    assert parts_ps(mode, nr_dpus, 1, MIB)[1] == ps(nr_dpus * MIB, gb_per_s)


@pytest.mark.parametrize(("serial", "parallel"), [("serial_to", "push"), ("serial_from", "pull")])
def test_serial_copies_cost_one_call_per_dpu(serial, parallel):
    setup_ps, _ = parts_ps(parallel, 1, 1, 4096)
    gb_per_s = {"push": "0.972", "pull": "0.2456"}[parallel]
    assert parts_ps(serial, 100, 2, 4096) == (100 * setup_ps, ps(100 * 4096, gb_per_s))


@pytest.mark.parametrize("mode", ["push", "pull", "broadcast", "serial_to", "serial_from"])
def test_no_bytes_cost_nothing(mode):
    assert transfer_costs(mode=mode, nr_dpus=64, nr_ranks=1, bytes_per_dpu=0, hardware=HARDWARE) == ()


@pytest.mark.parametrize(
    ("mode", "nr_dpus", "gb_per_s"),
    [("push", 1, 0.33), ("pull", 1, 0.12), ("push", 64, 6.68), ("pull", 64, 4.74), ("broadcast", 64, 16.88)],
)
def test_the_bandwidths_of_prim_are_met(mode, nr_dpus, gb_per_s):
    """Gomez-Luna et al., arXiv 2105.03814, Fig. 10: 32 MB per DPU."""
    assert effective_gb_per_s("prim-2021", mode, nr_dpus, 32 * MIB) == pytest.approx(gb_per_s, rel=1e-3)


# GB/s with 1 to 40 ranks, 8 MiB per DPU, medians of 20 runs: github.com/derf/prim-benchmarks, Microbenchmarks/CPU-DPU.
DERF_PULLS = """
    2.96 2.76 3.87 4.1  4.1  4.46 3.74 3.6  4.05 4.6  5.07 4.74 4.98 5.51 6.08 6.52 6.99 7.4  7.72 8.17
    8.62 8.23 8.24 8.71 7.98 8.04 8.04 7.99 8.49 8.07 7.95 7.84 7.75 7.87 8.06 8.31 8.49 8.8  9.07 9.45
"""


def test_the_measured_pulls_of_derf_are_met_within_ten_percent_on_average():
    errors = [
        abs(effective_gb_per_s("derf-2025", "pull", 64 * nr_ranks, 8 * MIB) / float(measured) - 1)
        for nr_ranks, measured in enumerate(DERF_PULLS.split(), start=1)
    ]
    assert len(errors) == 40
    assert sum(errors) / 40 == pytest.approx(0.0754, abs=5e-4)
    assert max(errors) == pytest.approx(0.205, abs=5e-3)  # 8 ranks


@pytest.mark.parametrize(("mode", "gb_per_s"), [("push", 13.19), ("pull", 7.93), ("broadcast", 78.3)])
def test_the_whole_derf_machine(mode, gb_per_s):
    """Both plateaus of its fits; its broadcasts are those of the cnm machine, of which 32 ranks were measured."""
    assert effective_gb_per_s("derf-2025", mode, 2560, 8 * MIB) == pytest.approx(gb_per_s, rel=0.04)


@given(
    st.sampled_from(["push", "pull", "broadcast", "serial_to", "serial_from"]),
    st.integers(1, 2560),
    st.integers(1, 1 << 26),
    st.integers(1, 1 << 20),
)
def test_more_bytes_never_take_less_time(mode, nr_dpus, bytes_per_dpu, more):
    nr_ranks = -(-nr_dpus // 64)
    setup_ps, transfer_ps = parts_ps(mode, nr_dpus, nr_ranks, bytes_per_dpu)
    assert parts_ps(mode, nr_dpus, nr_ranks, bytes_per_dpu + more) >= (setup_ps, transfer_ps)


@given(st.sampled_from(["push", "pull", "broadcast"]), st.integers(2, 2560), st.integers(1, 1 << 26))
def test_one_call_for_all_never_takes_longer_than_a_call_each(mode, nr_dpus, bytes_per_dpu):
    one_setup_ps, one_transfer_ps = parts_ps(mode, 1, 1, bytes_per_dpu)
    together = sum(parts_ps(mode, nr_dpus, -(-nr_dpus // 64), bytes_per_dpu))
    assert together <= nr_dpus * (one_setup_ps + one_transfer_ps + 1)


@pytest.mark.parametrize(("nr_dpus", "nr_ranks"), [(0, 0), (0, 1), (1, 0), (65, 1), (1, 2)])
def test_dpus_that_do_not_fit_their_ranks_are_refused(nr_dpus, nr_ranks):
    with pytest.raises(ValueError, match="a rank has 1 to 64 DPUs"):
        transfer_costs(mode="push", nr_dpus=nr_dpus, nr_ranks=nr_ranks, bytes_per_dpu=8, hardware=HARDWARE)


def test_negative_bytes_are_refused():
    with pytest.raises(ValueError, match="-8 bytes"):
        transfer_costs(mode="push", nr_dpus=1, nr_ranks=1, bytes_per_dpu=-8, hardware=HARDWARE)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="'gather' is not one of push"):
        transfer_costs(mode="gather", nr_dpus=1, nr_ranks=1, bytes_per_dpu=8, hardware=HARDWARE)
