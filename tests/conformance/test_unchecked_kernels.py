"""checks="off": correct programs do the same, rules are really gone, and only the compiled engine has it."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests import loops, memory
from kernels_for_tests.running import run

from pim_runtime import DpuFaultError, EngineOptions
from pim_runtime.device.faults import FaultCode

NR_DPUS = 3
OFF = EngineOptions(checks="off")
INT64_VIEWS = 3  # memory.through_views.view_kind


def values(seed, columns, dtype):
    return np.random.default_rng(seed).integers(-100, 100, (NR_DPUS, columns)).astype(dtype)


PROGRAMS = {
    "reduction": (
        memory.reduction,
        {"numbers": values(0, 24 * memory.BLOCK, np.int32), "limit": np.full((NR_DPUS, 1), 50, np.int32)},
    ),
    "loops": (
        loops.loops,
        {"which": np.array([[loops.WHILE], [loops.NESTED], [loops.BRIEF]], np.int32), "lengths": values(1, 2, int) % 9},
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("timing", ["exact", "off"])
def test_correct_programs_do_the_same(name, timing, hardware):
    program, inputs = PROGRAMS[name]
    with_rules, without = (
        run(program, EngineOptions(checks=checks, timing=timing), hardware, nr_dpus=NR_DPUS, inputs=inputs)
        for checks in ("on", "off")
    )
    for symbol, expected in with_rules.symbols.items():
        np.testing.assert_array_equal(without.symbols[symbol], expected, err_msg=symbol)
    assert without.counters == with_rules.counters
    assert without.timeline == with_rules.timeline


def test_a_broken_rule_is_not_noticed(dpus):
    """An index outside a view reaches the variable behind it, as on hardware."""
    source = values(2, memory.NR_ELEMENTS, np.int64)
    dpu_set = dpus(NR_DPUS, OFF)
    checked = dpus(NR_DPUS, EngineOptions())
    for used in (dpu_set, checked):
        used.load(memory.through_views)
        used.source = source
        used.access = np.full((NR_DPUS, 1), memory.STORE, np.int32)
        used.view_kind = np.full((NR_DPUS, 1), INT64_VIEWS, np.int32)
        used.first_index = np.full((NR_DPUS, 1), memory.NR_ELEMENTS, np.int32)
    with pytest.raises(DpuFaultError) as raised:
        checked.exec()
    assert {fault.code for fault in raised.value.faults} == {FaultCode.WRAM_INDEX}
    dpu_set.exec()
    np.testing.assert_array_equal(dpu_set.read_back.int64(), source)


def test_no_budget_is_kept(dpus):
    dpu_set = dpus(1, EngineOptions(checks="off", max_iterations=10))
    dpu_set.load(loops.loops)
    dpu_set.which = np.full((1, 1), loops.WHILE, np.int32)
    dpu_set.lengths = np.array([[1000, 2000]])
    dpu_set.exec()
    assert list(dpu_set.sums.int64()) == [1000, 2000]


@pytest.mark.quick
def test_the_interpreted_engine_always_checks():
    with pytest.raises(ValueError, match="needs engine='compiled'"):
        EngineOptions(engine="interpreted", checks="off")
    with pytest.raises(ValueError, match="checks 'no': choose 'on' or 'off'"):
        EngineOptions(checks="no")
