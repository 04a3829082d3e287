"""Counters of phases: every count lands between the barriers where it happened."""

from __future__ import annotations

import numpy as np
import pytest
from small_kernels import EXACT, HARDWARE, amounts, launched

from pim_runtime import DpuProgram, DpuSet, Machine
from pim_runtime.counters import Counter
from pim_runtime.device import (
    barrier_wait,
    charge,
    int32,
    me,
)

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_every_phase_gets_what_ran_in_it(rounds):
    """Before, between and behind barriers; a loop around a barrier carries its counts into the right phase."""
    program = DpuProgram("phases", nr_tasklets=3)
    given, values, together = (
        program.host("given", int32),
        program.wram("values", int32, 3),
        program.barrier("together"),
    )

    @program.kernel
    def kernel(t):
        view = values.array(t)
        charge(t, 1000)
        for i in range(given.load(t)):
            charge(t, 10 * (i + 1) + me(t))
            for _ in range(i):
                view[me(t)] += 1
            yield barrier_wait(t, together)
            charge(t, 100)
        charge(t, 5000)

    (result, _) = launched(program, {"given": np.array([[rounds]], np.int32)})
    found = result.counters.rows[0, :, :, Counter.STATED]
    expected = []
    for tasklet in range(3):
        phases = [1000] + [0] * rounds
        for i in range(rounds):
            phases[i] += 10 * (i + 1) + tasklet
            phases[i + 1] += 100
        phases[rounds] += 5000
        expected.append(phases)
    assert found.T.tolist() == expected
    assert result.counters.nr_phases == rounds + 1
    # In the inner loop: load, add and store of values[me], its address in front of it, 2 to close it.
    one_more = np.diff(result.counters.rows[0, :, 0, Counter.SLOTS][1:rounds])
    assert one_more.tolist() == [3 + 2] * max(0, rounds - 2)


def test_conditional_yields_split_the_rest_of_a_function():
    program = DpuProgram("conditional")
    given, alone = program.host("given", int32), program.barrier("alone")

    @program.kernel
    def kernel(t):
        charge(t, 1)
        if given.load(t) > 0:
            charge(t, 2)
            yield barrier_wait(t, alone)
            charge(t, 4)
        charge(t, 8)
        yield barrier_wait(t, alone)
        charge(t, 16)

    def stated_slots(number):
        result, _ = launched(program, {"given": np.array([[number]], np.int32)})
        return result.counters.rows[0, :, 0, Counter.STATED].tolist()

    assert stated_slots(0) == [1 + 8, 16]
    assert stated_slots(1) == [1 + 2, 4 + 8, 16]


def test_counters_of_a_second_launch_start_at_zero():
    program = DpuProgram("repeated")
    given = program.host("given", int32)

    @program.kernel
    def kernel(t):
        for _ in range(given.load(t)):
            charge(t, 1)

    with DpuSet(1, machine=Machine(HARDWARE), options=EXACT) as dpus:
        dpus.load(program)
        counts = []
        for number in (7, 7, 2):
            dpus.copy("given", np.array([[number]], np.int32))
            counts.append(amounts(dpus.exec()[0])[Counter.STATED])
    assert counts == [7, 7, 2]
