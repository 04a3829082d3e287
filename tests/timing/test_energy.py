"""Energy from the thermal design power: hand-computed, linear, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.hardware import load_profile
from pim_runtime.timing import EnergyRange, dpu_energy

pytestmark = pytest.mark.quick

HARDWARE = load_profile("upmem-v1a")
PS_PER_S = 10**12


def test_a_dimm_for_a_second_is_its_thermal_design_power():
    energy = dpu_energy(nr_ranks=2, duration_ps=PS_PER_S, hardware=HARDWARE)
    assert energy == EnergyRange(lower_pj=19_200 * 10**9, upper_pj=23_040 * 10**9)  # 19.2 and 23.04 J for 128 DPUs


def test_both_powers_are_those_of_the_profile():
    hardware = HARDWARE.with_values({"power.dpu_watts": 0.000001, "power.dpu_watts_upper": 1})
    energy = dpu_energy(nr_ranks=1, duration_ps=7812, hardware=hardware)
    assert energy == EnergyRange(lower_pj=0, upper_pj=64 * 7812)  # 0.499968 pJ
    assert dpu_energy(nr_ranks=1, duration_ps=7813, hardware=hardware).lower_pj == 1  # 0.500032 pJ


@given(st.integers(1, 40), st.integers(0, 10**15), st.integers(0, 10**15))
def test_energy_grows_in_proportion_to_time(nr_ranks, first_ps, second_ps):
    first, second, both = (
        dpu_energy(nr_ranks=nr_ranks, duration_ps=duration_ps, hardware=HARDWARE)
        for duration_ps in (first_ps, second_ps, first_ps + second_ps)
    )
    assert abs(both.lower_pj - first.lower_pj - second.lower_pj) <= 1
    assert abs(both.upper_pj - first.upper_pj - second.upper_pj) <= 1
    assert both.lower_pj <= both.upper_pj


@pytest.mark.parametrize(("nr_ranks", "duration_ps"), [(0, 1), (1, -1)])
def test_nobody_and_negative_time_are_refused(nr_ranks, duration_ps):
    with pytest.raises(ValueError, match="Pass nr_ranks >= 1 and duration_ps >= 0"):
        dpu_energy(nr_ranks=nr_ranks, duration_ps=duration_ps, hardware=HARDWARE)
