"""The same counters and line profiles from both engines, for every kernel of the repository.

Those of kernels_for_tests.{control,memory,output,synchronisation} are compared in conformance/test_engines_agree.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from kernels_for_tests import attention
from kernels_for_tests.arithmetic import NR_OPERANDS, OPERATIONS, TYPES, arithmetic
from kernels_for_tests.attention import Variant
from kernels_for_tests.fixed_point import FUNCTIONS, NR_ROWS, fixed_point
from small_kernels import HARDWARE

from dpu_kernels.calibration import Argument, reduction_program, scan_program, vector_add_program
from dpu_kernels.micro import BLOCK_BYTES, STREAM_ELEMS, arithmetic_program, mram_program, stream_program
from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import int32, int64, uint16, uint64
from pim_runtime.symbols import HEAP_NAME

ENGINES = [EngineOptions(engine=engine, timing="exact") for engine in ("interpreted", "compiled")]
RANDOM = np.random.default_rng(11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A program and its inputs, [nr_dpus, n] each."""

    program: DpuProgram
    nr_dpus: int = 1
    nr_tasklets: int | None = None
    inputs: dict[str, np.ndarray] = field(default_factory=dict)


def of_operations(outer, kinds):
    """One DPU per pair of numbers in two selecting variables, on random operands."""
    pairs = np.array([(i, j) for i in range(outer) for j in range(kinds)], np.int32)
    shape = 2, len(pairs), NR_OPERANDS
    wide = RANDOM.integers(1, 1 << 62, shape) >> RANDOM.integers(0, 61, shape)
    return pairs, wide * RANDOM.choice([-1, 1], shape)


def arithmetic_case():
    pairs, (left, right) = of_operations(len(OPERATIONS), len(TYPES))
    right |= 1  # no division by zero in any type
    inputs = {"operation": pairs[:, :1].copy(), "kind": pairs[:, 1:].copy(), "left": left, "right": right}
    return Case(program=arithmetic, nr_dpus=len(pairs), inputs=inputs)


def fixed_point_case():
    names, shape = ("first", "second", "third", "fourth"), (len(FUNCTIONS), NR_ROWS)
    rows = {name: RANDOM.integers(1, 1 << 30, shape) for name in names}
    rows["second"] %= 30
    rows["second"] += 1
    rows["fourth"] %= 30
    functions = np.arange(len(FUNCTIONS), dtype=np.int32)[:, None]
    return Case(program=fixed_point, nr_dpus=len(FUNCTIONS), inputs={"function": functions, **rows})


def calibration_case(program_of, kind):
    def case():
        nr_tasklets, nr_blocks, block_elems = 3, 2, 16
        arguments = np.zeros((1, len(Argument)), np.uint32)
        arguments[0, [Argument.BLOCKS, Argument.BLOCK_ELEMS]] = nr_blocks, block_elems
        arguments[0, Argument.BLOCK_BYTES] = block_elems * kind.itemsize
        arguments[0, Argument.TASKLET_BYTES] = nr_blocks * block_elems * kind.itemsize
        arguments[0, Argument.ARRAY_BYTES] = nr_tasklets * nr_blocks * block_elems * kind.itemsize
        data = np.frombuffer(RANDOM.bytes(2 * int(arguments[0, Argument.ARRAY_BYTES])), np.uint8)[None]
        inputs = {"arguments": arguments, HEAP_NAME: data}
        return Case(program=program_of(kind, "automatic"), nr_tasklets=nr_tasklets, inputs=inputs)

    return case


def micro_case(kind, operation):
    def case():
        inputs = {
            "rounds": np.array([[2]], np.uint32),
            "output_bytes": np.array([[4 * BLOCK_BYTES]], np.uint32),
            "scalar": np.resize(np.array([-7]), (1, 1)).astype(kind.dtype),
            HEAP_NAME: RANDOM.integers(-(1 << 30), 1 << 30, (1, 4 * BLOCK_BYTES // kind.itemsize)).astype(kind.dtype),
        }
        return Case(program=arithmetic_program(kind, operation), nr_tasklets=2, inputs=inputs)

    return case


def mram_case(direction):
    def case():
        inputs = {"transfers": np.array([[5]], np.uint32), "size_bytes": np.array([[64]], np.uint32)}
        return Case(program=mram_program(direction), nr_tasklets=2, inputs=inputs)

    return case


def stream_case(operation):
    def case():
        inputs = {"rounds": np.array([[2]], np.uint32), "scalar": np.array([[STREAM_ELEMS]], np.int64)}
        return Case(program=stream_program(operation), nr_tasklets=2, inputs=inputs)

    return case


CASES = {
    "arithmetic": arithmetic_case,
    "fixed_point": fixed_point_case,
    "vector_add": calibration_case(vector_add_program, uint16),
    "reduction": calibration_case(reduction_program, uint64),
    "scan": calibration_case(scan_program, uint16),
    **{
        f"micro_{kind}_{name}": micro_case(kind, name)
        for kind, name in ((int32, "mul"), (int64, "div"), (int32, "move"))
    },
    **{f"mram_{direction}": mram_case(direction) for direction in ("read", "write")},
    **{f"stream_{operation}": stream_case(operation) for operation in ("copy", "triad")},
}


def counts(result):
    """(rows, lines) of a launch."""
    return result.counters.rows, [(row.filename, row.line, row.counts.tolist()) for row in result.lines.rows]


def assert_alike(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert expected[0].any()


@pytest.mark.parametrize("name", CASES)
def test_kernels_count_alike(name):
    case, found = CASES[name](), []
    for options in ENGINES:
        with DpuSet(case.nr_dpus, machine=Machine(HARDWARE), options=options) as dpus:
            dpus.load(case.program, nr_tasklets=case.nr_tasklets)
            for symbol, rows in case.inputs.items():
                dpus.copy(symbol, rows)
            found.append(counts(dpus.exec()[0]))
    assert_alike(*found)


@pytest.mark.parametrize(
    "variant",
    [
        Variant(dtype="int8", norm="div_d", acc="wrap"),
        Variant(dtype="int16", norm="zscore"),
        Variant(dtype="int32", norm="zscore_linear"),
        Variant(dtype="int8", norm="softmax"),
        Variant(dtype="int8", norm="softmax_online"),
    ],
    ids=str,
)
def test_attention_counts_alike(variant):
    case = attention.make_case(variant, tokens=21, dim=8, queries=2)
    outcomes = [attention.run(case, HARDWARE, nr_tasklets=3, options=options) for options in ENGINES]
    assert_alike(*(counts(outcome.result) for outcome in outcomes))
    attention.assert_same(*(outcome.answers for outcome in outcomes))
