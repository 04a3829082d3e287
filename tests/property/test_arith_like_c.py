"""`device.arith` computes what C computes, for every operation and integer type, in both engines."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from c_oracle import COracle
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kernels_for_tests.arithmetic import NR_OPERANDS, OPERATIONS, TYPES, arithmetic

from pim_runtime import DpuFaultError, DpuSet, Machine

EDGES = sorted(
    {0, 1, 2, 3, 5, 31, 32, 33, 63, 64, 100}
    | {sign * (1 << bits) + off for bits in (7, 8, 15, 16, 31, 32, 62) for sign in (1, -1) for off in (-1, 0, 1)}
    | {-1, -2, -7, -(1 << 63), 1 - (1 << 63), (1 << 63) - 1}
)
NUMBERS = st.sampled_from(EDGES) | st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300)
OPERANDS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=NR_OPERANDS, max_size=NR_OPERANDS)
DIVISIONS = (OPERATIONS.index("div"), OPERATIONS.index("rem"))
CELLS = list(itertools.product(range(len(OPERATIONS)), range(len(TYPES))))  # what each DPU computes


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return COracle(tmp_path_factory.mktemp("oracle"))


@pytest.fixture(scope="module")
def calculators(engine, hardware):
    """One DPU per operation and type."""
    with DpuSet(len(CELLS), machine=Machine(hardware), options=engine, binary=arithmetic) as dpus:
        operations, kinds = np.array(CELLS, np.int32).T.copy()
        dpus.copy("operation", operations[:, None])
        dpus.copy("kind", kinds[:, None])
        yield dpus


def computed(dpus, left, right):
    dpus.copy("left", left)
    dpus.copy("right", right)
    dpus.exec()
    results = np.zeros_like(left)
    dpus.copy(results, "results")
    return results


def check_all_cells(calculators, oracle, pairs):
    left, right = (np.tile(np.array(column, np.int64), (len(CELLS), 1)) for column in zip(*pairs, strict=True))
    for dpu, (operation, kind) in enumerate(CELLS):
        if operation in DIVISIONS:
            right[dpu][right[dpu].astype(TYPES[kind].dtype) == 0] = 1
    results = computed(calculators, left, right)
    for dpu, (operation, kind) in enumerate(CELLS):
        expected = oracle(operation, kind, left[dpu], right[dpu])
        wrong = np.flatnonzero(results[dpu] != expected)
        assert not len(wrong), (
            f"{OPERATIONS[operation]}({TYPES[kind]}, {left[dpu, wrong[0]]}, {right[dpu, wrong[0]]}) is "
            f"{results[dpu, wrong[0]]}, in C {expected[wrong[0]]}"
        )


@settings(max_examples=12, deadline=None, phases=[Phase.reuse, Phase.generate])  # a failure names its operands
@given(pairs=OPERANDS)
def test_any_operands(calculators, oracle, pairs):
    check_all_cells(calculators, oracle, pairs)


def test_all_pairs_of_edges(calculators, oracle):
    pairs = list(itertools.product(EDGES, repeat=2))
    for first in range(0, len(pairs), NR_OPERANDS):
        batch = pairs[first : first + NR_OPERANDS]
        check_all_cells(calculators, oracle, batch + [(1, 1)] * (NR_OPERANDS - len(batch)))


@pytest.mark.parametrize("dividend", [0, 7, -1, -(1 << 63)])
def test_division_by_zero_is_fault_2(calculators, dividend):
    left = np.full((len(CELLS), NR_OPERANDS), dividend)
    with pytest.raises(DpuFaultError) as error:
        computed(calculators, left, np.zeros_like(left))
    dividing = [dpu for dpu, (operation, _) in enumerate(CELLS) if operation in DIVISIONS]
    assert [(fault.dpu, fault.code) for fault in error.value.faults] == [(dpu, 2) for dpu in dividing]
