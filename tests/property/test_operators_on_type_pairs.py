"""Plain operators on values of any two integer types: signed 64-bit arithmetic in both engines.

The model is CPython's own integers. Where a result needs more than 64 bits, or C leaves it undefined, the language
promises nothing; such operations are replaced before the launch.
"""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kernels_for_tests.arithmetic import NR_OPERANDS, OPERATORS, TYPES, operators

from pim_runtime import DpuSet, EngineOptions, Machine

PAIRS = list(itertools.product(range(len(TYPES)), repeat=2))  # the types of each DPU
MODEL = {
    name: getattr(operator, f"{name}_" if name in ("and", "or") else name)
    for name in OPERATORS
    if name not in ("min", "max", "and_then", "select", "neg", "invert", "abs", "le", "eq")
} | {
    "neg": lambda a, b: -a,
    "invert": lambda a, b: ~a,
    "abs": lambda a, b: abs(a),
    "le": lambda a, b: -int(a <= b),
    "eq": lambda a, b: -1 - int(a == b),
    "min": min,
    "max": max,
    "and_then": lambda a, b: a and b,
    "select": lambda a, b: a if b > 0 else -b,
}
PATTERNS = (
    st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
    | st.sampled_from([-1, -2, -(1 << 63), (1 << 63) - 1])
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.integers(-70, 70)
)
STEPS = st.tuples(st.sampled_from(OPERATORS), PATTERNS, PATTERNS)


def expected_of(name, a, b):
    """The result as a signed 64-bit number, or None where the language promises nothing."""
    if (name in ("floordiv", "mod") and b == 0) or (name in ("lshift", "rshift") and not 0 <= b < 64):
        return None
    result = int(MODEL[name](a, b))
    return result if -(1 << 63) <= result < 1 << 63 else None


# Counted, every pair of types is a function of its own, which would take minutes to compile.
ENGINES = [EngineOptions(engine="interpreted"), EngineOptions(engine="compiled", timing="off")]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda options: options.engine)
def combiners(request, hardware):
    """One DPU per pair of types."""
    with DpuSet(len(PAIRS), machine=Machine(hardware), options=request.param, binary=operators) as dpus:
        left, right = np.array(PAIRS, np.int32).T.copy()
        dpus.copy("left_kind", left[:, None])
        dpus.copy("right_kind", right[:, None])
        yield dpus


@pytest.mark.filterwarnings("ignore:Bitwise inversion '~' on bool:DeprecationWarning")  # in CPython, since 3.12
@settings(max_examples=10, deadline=None, phases=[Phase.reuse, Phase.generate])  # a failure names its operands
@given(steps=st.lists(STEPS, min_size=NR_OPERANDS, max_size=NR_OPERANDS))
def test_operators_are_signed_64_bit(combiners, steps):
    codes = np.zeros((len(PAIRS), NR_OPERANDS), np.int32)
    expected = np.zeros((len(PAIRS), NR_OPERANDS), np.int64)
    for dpu, (left, right) in enumerate(PAIRS):
        for i, (name, x, y) in enumerate(steps):
            a, b = TYPES[left](x), TYPES[right](y)
            result = expected_of(name, a, b)
            if result is None:
                name, result = "and", a & b
            codes[dpu, i], expected[dpu, i] = OPERATORS.index(name), result
    results = np.zeros_like(expected)
    for symbol, column in (("left_bytes", 1), ("right_bytes", 2)):
        combiners.copy(symbol, np.tile(np.array([step[column] for step in steps], np.int64), (len(PAIRS), 1)))
    combiners.copy("operator_of", codes)
    combiners.exec()
    combiners.copy(results, "combined")
    wrong = np.argwhere(results != expected)
    assert not len(wrong), _difference(steps, codes, results, expected, *wrong[0])


def _difference(steps, codes, results, expected, dpu, i):
    kinds = " and ".join(str(TYPES[kind]) for kind in PAIRS[dpu])
    return f"{OPERATORS[codes[dpu, i]]} of {steps[i][1:]} as {kinds} is {results[dpu, i]}, not {expected[dpu, i]}"
