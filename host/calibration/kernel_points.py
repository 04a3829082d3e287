"""Vector add, reduction and scan on one emulated DPU, at the sizes of the published runs; results are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.calibration import (
    RESULT_ELEMS,
    Argument,
    Counts,
    reduction_program,
    scan_program,
    vector_add_program,
)
from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import IntegerType, uint16, uint32, uint64
from pim_runtime.symbols import HEAP_NAME
from pim_runtime.timing import Clock, price

from .errors import ComparedPoint
from .points import Point

__all__ = ["COUNTS", "KernelRun", "run_kernel_point"]

COUNTS: tuple[Counts, ...] = get_args(Counts)
PS_PER_MS = 1_000_000_000
SEED = 0  # of the operands; no count depends on them

Unsigned = NDArray[np.unsignedinteger[Any]]

_PROGRAMS: Mapping[str, Callable[[IntegerType, Counts], DpuProgram]] = MappingProxyType(
    {"vec": vector_add_program, "red": reduction_program, "scan": scan_program}
)
_KINDS: Mapping[str, IntegerType] = MappingProxyType({"u16": uint16, "u32": uint32, "u64": uint64})


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRun:
    """A point as the emulator ran it. wrong_elements: of the result, against numpy; 0 or the time means nothing."""

    compared: ComparedPoint
    wrong_elements: int


def run_kernel_point(
    point: Point, counts: Counts, *, machine: Machine, options: EngineOptions, clock: Clock = "closed"
) -> KernelRun:
    """Run a point of kernel "vec", "red" or "scan"; the time is that of its launch. Raises DpuFaultError.

    clock: the form of kernel time.
    """
    assert point.nr_tasklets is not None
    kind, nr_blocks, block_elems = _KINDS[point.dtype], point.size("blocks_per_tasklet"), point.size("block_elems")
    tasklet_elems = nr_blocks * block_elems
    array_elems = point.nr_tasklets * tasklet_elems
    array_bytes = array_elems * kind.itemsize
    operands = _operands(kind, array_elems, nr_arrays=1 if point.kernel == "scan" else 2)
    expected = _expected(point.kernel, operands, point.nr_tasklets)
    arguments = np.zeros((1, len(Argument)), np.uint32)
    arguments[0, Argument.BLOCKS] = nr_blocks
    arguments[0, Argument.BLOCK_ELEMS] = block_elems
    arguments[0, Argument.BLOCK_BYTES] = block_elems * kind.itemsize
    arguments[0, Argument.TASKLET_BYTES] = tasklet_elems * kind.itemsize
    arguments[0, Argument.ARRAY_BYTES] = array_bytes
    with DpuSet(1, machine=machine, options=options) as dpus:
        dpus.load(_PROGRAMS[point.kernel](kind, counts), nr_tasklets=point.nr_tasklets)
        dpus.copy("arguments", arguments)
        dpus.copy(HEAP_NAME, operands.reshape(1, -1))
        dpus.exec()
        launch = dpus.timeline.rows[-1]
        result = np.zeros((1, expected.size), expected.dtype)
        dpus.copy(result, HEAP_NAME, offset=len(operands) * array_bytes)
    duration_ps = sum(cost.duration_ps for cost in price(launch.work, machine.hardware, clock))
    return KernelRun(
        compared=ComparedPoint(point=point, model=counts, modelled=duration_ps / PS_PER_MS),
        wrong_elements=_different(point.kernel, result[0], expected),
    )


def _operands(kind: IntegerType, array_elems: int, nr_arrays: int) -> Unsigned:
    """Random elements of the whole range, [nr_arrays, array_elems]."""
    raw = np.random.default_rng(SEED).bytes(nr_arrays * array_elems * kind.itemsize)
    return np.frombuffer(raw, kind.dtype).reshape(nr_arrays, array_elems)


def _expected(kernel: str, operands: Unsigned, nr_tasklets: int) -> Unsigned:
    """What the DPU leaves behind its operands; of a reduction, RESULT_ELEMS elements per tasklet."""
    dtype = operands.dtype
    if kernel == "vec":
        return operands[0] + operands[1]
    if kernel == "scan":
        return np.cumsum(operands[0], dtype=dtype)
    sums = operands.reshape(2, nr_tasklets, -1).sum(axis=(0, 2), dtype=dtype)
    return np.repeat(sums, RESULT_ELEMS)


def _different(kernel: str, result: Unsigned, expected: Unsigned) -> int:
    """Elements that differ; of a tasklet's RESULT_ELEMS elements of a reduction the first is the sum."""
    step = RESULT_ELEMS if kernel == "red" else 1
    return int((result[::step] != expected[::step]).sum())
