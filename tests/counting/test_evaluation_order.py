"""Statements whose parts have effects do the same with and without counting, in Python's order."""

from __future__ import annotations

import linecache
from itertools import count

import numpy as np
import pytest
from small_kernels import EXACT, launched

from pim_runtime import DpuProgram, EngineOptions, device
from pim_runtime.counters import Counter
from pim_runtime.device import charge, dpu_function, int32

pytestmark = pytest.mark.quick

LENGTH = 8
OFF = EngineOptions(engine="interpreted", timing="off")
NUMBERS = count()


@dpu_function
def step(t, v):
    """Counts its calls in v[7] and gives their number."""
    charge(t, 1)
    v[7] += 1
    return v[7]


@dpu_function
def five(t, v):
    """The same, but what it gives is known beforehand."""
    step(t, v)
    return 5


def program_of(statement):
    """A kernel of one statement on v, int32 [LENGTH], and n = 3."""
    filename = f"<statement {next(NUMBERS)}>"
    source = f"def kernel(t):\n    v, n = numbers.array(t), number.load(t)\n    {statement}\n"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    program = DpuProgram("statement")
    names = {name: getattr(device, name) for name in device.__all__}
    names |= {
        "step": step,
        "five": five,
        "numbers": program.host("numbers", int32, LENGTH),
        "number": program.host("number", int32),
    }
    exec(compile(source, filename, "exec"), names)
    program.kernel(names["kernel"])
    return program


def of_python(statement):
    """(v afterwards, calls of `step`), by Python alone."""
    v = [0] * LENGTH

    def plain_step(t, v):
        v[7] += 1
        return v[7]

    def plain_five(t, v):
        return plain_step(t, v) * 0 + 5

    names = {"v": v, "n": 3, "t": None, "step": plain_step, "five": plain_five}
    exec(statement, names | {"charge": lambda t, n: None, "int32": int})
    return v, v[7]


@pytest.mark.parametrize(
    "statement",
    [
        "v[step(t, v)] = step(t, v)",
        "v[step(t, v)] += 1",
        "v[n] += step(t, v)",
        "v[step(t, v)] += step(t, v)",
        "v[v[7]] = step(t, v)",
        "v[0] = v[7] * 10 + step(t, v)",
        "v[0] = step(t, v) - v[7] * step(t, v)",
        "v[0], v[1] = step(t, v), v[7]",
        "v[0] = step(t, v) if step(t, v) > 1 else 10 * step(t, v)",
        "v[0] = step(t, v) > 5 or step(t, v) > 1 or step(t, v)",
        "v[0] = step(t, v) and v[7] < 1 and step(t, v)",
        "v[0] = max(step(t, v), v[7], step(t, v) - 5)",
        "v[0] = step(t, v) < v[7] + step(t, v)",
        "v[0] = -step(t, v) + (step(t, v) << step(t, v))",
        "v[0] = int32(step(t, v)) + v[step(t, v)]",
        "v[v[7]] += step(t, v)",
        "v[step(t, v) & 3] += step(t, v) & 3",
        "v[five(t, v)] += 1",
        "v[five(t, v) & 3] -= v[7]",
        "v[0] = 3 if five(t, v) else 4",
        "v[0] = 1 if five(t, v) < five(t, v) else v[7]",
        "v[0] = not five(t, v)",
        "v[0] = five(t, v) * 0 + v[7]",
        "v[0] = (five(t, v) and v[7]) or five(t, v)",
    ],
)
def test_effects_happen_once_and_in_order(statement):
    program, (expected, calls) = program_of(statement), of_python(statement)
    inputs = {"number": np.array([[3]], np.int32)}
    for options in (OFF, EXACT):
        result, left = launched(program, inputs, options)
        assert left["numbers"][0].tolist() == expected, options.timing
    assert result.counters.total(Counter.STATED) == calls


@pytest.mark.parametrize(
    "body",
    [
        "while step(t, v) < 5 and n > 0:\n        v[1] += 1",
        "while not step(t, v) > 3:\n        v[1] += v[7]",
        "for i in range(step(t, v) + 1):\n        v[i] += step(t, v)",
        "if five(t, v) == 5:\n        v[1] = v[7]",
        "if five(t, v) == 4:\n        v[1] = 1\n    else:\n        v[2] = v[7]",
        "while five(t, v) < 5:\n        v[1] += 1",
        "for i in range(five(t, v) - 5):\n        v[1] += 1",
        "for i in range(five(t, v)):\n        v[1] += v[7]",
        "if step(t, v) > 1 or step(t, v) > 1:\n        v[2] = step(t, v)",
        "if v[7] == 0 and step(t, v) == 2:\n        v[2] = 1\n    elif step(t, v) == 2:\n        v[3] = 1",
    ],
)
def test_effects_in_conditions(body):
    program, (expected, calls) = program_of(body), of_python(body.replace("\n    ", "\n"))
    inputs = {"number": np.array([[3]], np.int32)}
    for options in (OFF, EXACT):
        result, left = launched(program, inputs, options)
        assert left["numbers"][0].tolist() == expected, options.timing
    assert result.counters.total(Counter.STATED) == calls


def test_the_number_of_charge_is_computed_once_and_costs_nothing_itself():
    result, left = launched(program_of("charge(t, 9 + step(t, v))"))
    assert left["numbers"][0, 7] == 1
    assert result.counters.total(Counter.STATED) == 9 + 1
