"""Counting changes nothing that a kernel does, and counts what ran: random kernels against plain Python."""

from __future__ import annotations

from collections import Counter as Tally

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import NR_NUMBERS, random_program, traced
from small_kernels import launched

from pim_runtime import EngineOptions
from pim_runtime.counters import NR_COUNTERS, Counter

OFF = EngineOptions(engine="interpreted", timing="off")


@settings(max_examples=150)
@given(
    random=st.randoms(use_true_random=False),
    numbers=st.lists(st.integers(0, 511), min_size=NR_NUMBERS, max_size=NR_NUMBERS),
)
def test_random_kernels_do_and_count_what_python_does(imported, random, numbers):
    source = random_program(random)
    program, expected = imported(source), traced(source, numbers)
    inputs = {"numbers": np.array([numbers], np.int32)}
    counted, left = launched(program, inputs)
    _, left_uncounted = launched(program, inputs, OFF)
    assert left_uncounted["numbers"][0].tolist() == expected.numbers, source
    assert left["numbers"][0].tolist() == expected.numbers, source

    rows = counted.counters.rows[0, :, 0]
    assert {phase: int(n) for phase, n in enumerate(rows[:, Counter.STATED]) if n} == +expected.slots_of_phase, source
    stated = {row.line: int(n) for row in counted.lines.rows if (n := row.counts[Counter.STATED])}
    assert Tally(stated) == +expected.slots_of_line, source
    assert rows[:, Counter.SDIV32].sum() == expected.divisions, source
    of_lines = sum((row.counts for row in counted.lines.rows), np.zeros(NR_COUNTERS, np.int64))
    of_lines[Counter.BARRIERS] = rows[:, Counter.BARRIERS].sum()
    assert of_lines.tolist() == rows.sum(axis=0).tolist(), source
