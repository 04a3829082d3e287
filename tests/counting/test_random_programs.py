"""Counting changes nothing that a kernel does, and counts what ran: random kernels against plain Python."""

from __future__ import annotations

import importlib.util
from collections import Counter as Tally
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import NR_NUMBERS, random_program, traced
from small_kernels import launched

from pim_runtime import EngineOptions
from pim_runtime.counters import NR_COUNTERS, Counter

OFF = EngineOptions(engine="interpreted", timing="off")


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Writes sources to files of their own and imports them."""
    folder, numbers = tmp_path_factory.mktemp("random_programs"), count()

    def load(source):
        path = folder / f"random_program_{next(numbers)}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.program

    return load


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
