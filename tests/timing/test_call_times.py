"""Times of host calls by a table: every published point, and what happens between and beyond them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.hardware import load_profile
from pim_runtime.quantities import CallTimes
from pim_runtime.timing import transfer_costs
from pim_runtime.timing.call_times import call_ps

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")  # with the transfers of cnm-2025
MODES = ("push", "pull", "broadcast")
MIB = 1 << 20
PS_PER_MS = 10**9
SIZES = (8, 512, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, MIB, 8 * MIB)
# Milliseconds of one call: DPUs, then a time for each of SIZES. Regressions of hardware runs with an error of 7 to 9 %
# (relative rms): github.com/tud-ccc/cnm-cost-model, CppPredictor/src/ScatterGatherCm.cpp, to about three digits.
PUBLISHED_MS = {
    "push": """
           1  .0162  .0164  .0171  .0197  .0303  .0768  .282  1.10  8.75
           8  .0166  .0172  .0178  .0214  .0358  .0916  .320  1.24  24.3
          64  .0203  .0276  .0266  .0393  .0901   .317  1.51  13.1   118
         128  .0332  .0455  .0540  .0700   .177   .676  5.71  28.0   236
         256  .0421  .0560  .0646  .0826   .203   .721  7.17  33.6   280
         512  .0833   .116   .135   .173   .471   2.93  17.3  71.4   560
        1024   .123   .154   .174   .214   .575   4.20  21.9  82.6   649
        2048   .201   .228   .252   .297   .784   6.95  27.4   114   920
    """,
    "pull": """
           1  .0219  .0238  .0243  .0369  .0873  .288  1.09  4.30  33.3
           8  .0238  .0260  .0282  .0416  .0950  .309  1.16  4.66  53.2
          64  .0326  .0532  .0741   .139   .356  1.22  4.83  28.7   242
         128  .0415  .0971   .115   .189   .598  2.23  12.5  57.9   476
         256  .0538   .118   .132   .235   .682  2.47  14.6  62.6   510
         512  .0991   .225   .241   .450   1.35  6.29  32.8   130  1035
        1024   .136   .266   .290   .544   1.47  7.90  42.8   161  1265
        2048   .201   .342   .387   .690   2.28  13.4  57.1   199  1365
    """,
    "broadcast": """
           1  .0178  .0180  .0187  .0213  .0316  .0768  .274  1.12  9.49
           8  .0176  .0183  .0189  .0229  .0387   .102  .355  1.37  10.8
          64  .0194  .0271  .0261  .0397  .0944   .313  1.19  4.69  37.4
         128  .0303  .0439  .0444  .0711   .178   .603  2.31  9.12  72.7
         256  .0346  .0507  .0518  .0799   .192   .643  2.44  9.65  76.9
         512  .0669  .0997   .104   .154   .390   1.33  5.11  20.2   161
        1024  .0877   .122   .127   .183   .474   1.64  6.29  24.9   199
        2048   .152   .183   .173   .243   .556   1.81  6.81  26.8   214
    """,
}


def table_of(mode) -> CallTimes:
    return getattr(HARDWARE.transfer, mode).call_times


def one_call_ps(mode, nr_dpus, bytes_per_dpu):
    nr_ranks = -(-nr_dpus // 64)
    costs = transfer_costs(
        mode=mode, nr_dpus=nr_dpus, nr_ranks=nr_ranks, bytes_per_dpu=bytes_per_dpu, hardware=HARDWARE
    )
    return sum(cost.duration_ps for cost in costs)


def published(mode):
    """(DPUs, bytes per DPU, printed milliseconds) of every cell."""
    for line in PUBLISHED_MS[mode].strip().splitlines():
        nr_dpus, *cells = line.split()
        for size, cell in zip(SIZES, cells, strict=True):
            yield int(nr_dpus), size, Decimal(cell)


# --- the points -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_published_point_is_met_to_its_last_digit(mode):
    cells = list(published(mode))
    assert len(cells) == 72
    for nr_dpus, size, printed in cells:
        half_a_digit = Decimal(1).scaleb(printed.as_tuple().exponent) / 2
        modelled_ms = Decimal(one_call_ps(mode, nr_dpus, size)) / PS_PER_MS
        assert abs(modelled_ms - printed) <= half_a_digit, (nr_dpus, size)


@pytest.mark.parametrize("mode", MODES)
def test_every_point_of_the_profile_is_met_to_the_picosecond(mode):
    table = table_of(mode)
    assert table.bytes_per_dpu == SIZES
    for nr_dpus, row in zip(table.dpus, table.times, strict=True):
        for size, time_ms in zip(SIZES, row, strict=True):
            assert one_call_ps(mode, nr_dpus, size) == time_ms * PS_PER_MS


# --- between them ---------------------------------------------------------------------------------------------------

GRID = CallTimes((1, 4), (16, 64), ((Decimal(1), Decimal(4)), (Decimal(9), Decimal(36))))


@pytest.mark.parametrize(
    ("nr_dpus", "bytes_per_dpu", "expected_ms"),
    [(1, 32, 2), (1, 48, 3), (4, 32, 18), (2, 16, 3), (2, 64, 12), (2, 32, 6), (1, 63, Fraction(63, 16))],
)
def test_times_are_interpolated_in_logarithms(nr_dpus, bytes_per_dpu, expected_ms):
    # Proportional to the bytes; 9 times as long for 4 times the DPUs, 3 times for twice.
    time_ps = call_ps(GRID, nr_dpus=nr_dpus, bytes_per_dpu=bytes_per_dpu)
    assert abs(time_ps - expected_ms * PS_PER_MS) < Fraction(1, 10**6)


@given(st.sampled_from(MODES), st.integers(1, 2048), st.integers(8, 8 * MIB))
def test_a_time_lies_between_those_of_the_four_points_around_it(mode, nr_dpus, size):
    table = table_of(mode)
    rows = [index for index, (low, high) in enumerate(pairwise(table.dpus)) if low <= nr_dpus <= high]
    columns = [index for index, (low, high) in enumerate(pairwise(SIZES)) if low <= size <= high]
    around = [table.times[r][c] for r in range(rows[0], rows[-1] + 2) for c in range(columns[0], columns[-1] + 2)]
    assert min(around) * PS_PER_MS <= one_call_ps(mode, nr_dpus, size) <= max(around) * PS_PER_MS


@given(st.sampled_from(MODES), st.integers(1, 2560), st.integers(1, 1 << 26), st.integers(1, 1 << 20))
def test_more_bytes_take_less_time_only_where_the_published_points_do(mode, nr_dpus, size, more):
    falls = {
        (low, high)
        for row in table_of(mode).times
        for (low, before), (high, after) in pairwise(zip(SIZES, row, strict=True))
        if after < before
    }
    assert falls <= {(512, 1 << 10)}  # push and broadcast, 64 and 2048 DPUs
    if any(size < high and low < size + more for low, high in falls):
        return
    assert one_call_ps(mode, nr_dpus, size) <= one_call_ps(mode, nr_dpus, size + more)


# --- beyond them ----------------------------------------------------------------------------------------------------


def test_a_call_of_fewer_bytes_than_the_table_takes_its_shortest_time():
    assert one_call_ps("pull", 64, 1) == one_call_ps("pull", 64, 8) == 32_580_000


def test_beyond_the_last_size_every_byte_costs_what_the_last_ones_did():
    # 1.102 ms for 1 MiB, 8.753 ms for 8 MiB: 1.093 ms per further MiB
    assert one_call_ps("push", 1, 9 * MIB) == 8_753_000_000 + 1_093_000_000
    assert one_call_ps("push", 1, 64 * MIB) == 8_753_000_000 + 56 * 1_093_000_000
    assert one_call_ps("push", 8, 9 * MIB) == 24_290_000_000 + (24_290_000_000 - 1_236_000_000 + 3) // 7


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [8, 1 << 10, 8 * MIB, 64 * MIB])
def test_beyond_the_last_dpus_the_bandwidth_of_all_together_stays(mode, size):
    assert 2048 * one_call_ps(mode, 2560, size) == 2560 * one_call_ps(mode, 2048, size)


@pytest.mark.parametrize(("serial", "parallel"), [("serial_to", "push"), ("serial_from", "pull")])
def test_serial_copies_cost_a_call_of_one_dpu_each(serial, parallel):
    assert one_call_ps(serial, 100, 1 << 14) == 100 * one_call_ps(parallel, 1, 1 << 14)


@given(st.sampled_from(MODES), st.integers(1, 2560), st.integers(1, 1 << 26))
def test_the_setup_is_the_time_of_the_smallest_call(mode, nr_dpus, size):
    nr_ranks = -(-nr_dpus // 64)
    setup, transfer = transfer_costs(
        mode=mode, nr_dpus=nr_dpus, nr_ranks=nr_ranks, bytes_per_dpu=size, hardware=HARDWARE
    )
    assert (setup.reason, transfer.reason) == ("transfer_setup", "transfer")
    assert setup.duration_ps == one_call_ps(mode, nr_dpus, 8)
    assert transfer.duration_ps >= 0
