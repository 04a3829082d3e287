"""A budget of loop iterations ends random kernels at the same iteration, whether they are counted or not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import NR_NUMBERS, random_program
from small_kernels import HARDWARE

from pim_runtime import DpuFaultError, DpuSet, EngineOptions, Machine


def outcome(program, numbers, timing, max_iterations):
    """How a launch ended, where, and what it left."""
    options = EngineOptions(engine="interpreted", timing=timing, max_iterations=max_iterations)
    with DpuSet(1, machine=Machine(HARDWARE), options=options, binary=program) as dpu_set:
        dpu_set.numbers = np.array([numbers], np.int32)
        try:
            dpu_set.exec()
            end = "finished"
        except DpuFaultError as error:
            end = [(fault.code, fault.phase, fault.line, fault.values) for fault in error.faults]
        return end, np.ravel(dpu_set.numbers.int32()).tolist()


@settings(max_examples=60)
@given(
    random=st.randoms(use_true_random=False),
    numbers=st.lists(st.integers(0, 511), min_size=NR_NUMBERS, max_size=NR_NUMBERS),
    max_iterations=st.integers(1, 60),
)
def test_counting_does_not_move_the_end_of_the_budget(imported, random, numbers, max_iterations):
    source = random_program(random)
    program = imported(source)
    uncounted, counted = (outcome(program, numbers, timing, max_iterations) for timing in ("off", "exact"))
    assert counted == uncounted, source
