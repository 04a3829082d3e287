"""Microbenchmarks on one emulated DPU: what its clock says about arithmetic, DMA and WRAM.

Owns the sweeps and the operands, on which the time of multiplies and divisions depends. Modelled numbers only.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.micro import (
    BLOCK_BYTES,
    STREAM_ELEMS,
    Direction,
    Operation,
    StreamOperation,
    arithmetic_program,
    mram_program,
    stream_program,
)
from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.counters import LaunchCounters
from pim_runtime.device import IntegerType
from pim_runtime.hardware import TICKS_PER_CYCLE, Hardware
from pim_runtime.symbols import HEAP_NAME
from pim_runtime.timing.kernel import kernel_ticks

__all__ = ["LARGEST_RANDOM", "NR_ELEMENTS", "SCALAR", "arithmetic_mops", "dma_cycles", "stream_mb_per_s"]

Inputs: TypeAlias = dict[str, NDArray[np.integer[Any]]]

NR_ELEMENTS = 1_048_576  # PrIM's
SCALAR = NR_ELEMENTS  # PrIM takes the number of elements
LARGEST_RANDOM = 2**31 - 1  # of C's rand(), from which PrIM has its data
SEED = 0
DMAS_PER_TASKLET = 1024
STREAM_ROUNDS = 64


def arithmetic_mops(
    kind: IntegerType, operation: Operation, nr_tasklets: int, *, machine: Machine, options: EngineOptions
) -> float:
    """Millions of operations per second, `operation` but "move". Only the loop over a block counts, as in PrIM: what
    the same program counts without it is subtracted. Whole rounds of all tasklets: NR_ELEMENTS or a few more.

    options: timing "exact", or the operands do not show in the result.
    """
    rounds = -(-NR_ELEMENTS * kind.itemsize // (BLOCK_BYTES * nr_tasklets))
    nr_elements = rounds * nr_tasklets * BLOCK_BYTES // kind.itemsize
    data = np.random.default_rng(SEED).integers(0, LARGEST_RANDOM, nr_elements, kind.dtype, endpoint=True)
    inputs: Inputs = {
        "rounds": np.array([rounds], np.uint32),
        "output_bytes": np.array([data.nbytes], np.uint32),
        "scalar": np.array([SCALAR], kind.dtype),
        HEAP_NAME: data,
    }
    everything = _counters(arithmetic_program(kind, operation), nr_tasklets, inputs, machine, options)
    move = _counters(arithmetic_program(kind, "move"), nr_tasklets, inputs, machine, options)
    ticks = kernel_ticks(LaunchCounters.of(everything.rows - move.rows), machine.hardware)
    return _per_microsecond(nr_elements, int(ticks.compute[0]), machine.hardware)


def dma_cycles(
    direction: Direction, size_bytes: int, nr_tasklets: int, *, machine: Machine, options: EngineOptions
) -> float:
    """Cycles from one DMA to the next, of all tasklets together."""
    inputs: Inputs = {
        "transfers": np.array([DMAS_PER_TASKLET], np.uint32),
        "size_bytes": np.array([size_bytes], np.uint32),
    }
    counters = _counters(mram_program(direction), nr_tasklets, inputs, machine, options)
    ticks = kernel_ticks(counters, machine.hardware)
    spent = int(ticks.compute[0] + ticks.dma[0])
    return spent / (TICKS_PER_CYCLE * DMAS_PER_TASKLET * nr_tasklets)


def stream_mb_per_s(operation: StreamOperation, nr_tasklets: int, *, machine: Machine, options: EngineOptions) -> float:
    """1e6 bytes per second that are read and written in WRAM."""
    inputs: Inputs = {"rounds": np.array([STREAM_ROUNDS], np.uint32), "scalar": np.array([SCALAR], np.int64)}
    counters = _counters(stream_program(operation), nr_tasklets, inputs, machine, options)
    ticks = kernel_ticks(counters, machine.hardware)
    arrays = {"copy": 2, "scale": 2, "add": 3, "triad": 3}[operation]
    nr_bytes = arrays * 8 * STREAM_ELEMS * STREAM_ROUNDS * nr_tasklets
    return _per_microsecond(nr_bytes, int(ticks.compute[0]), machine.hardware)


def _counters(
    program: DpuProgram,
    nr_tasklets: int,
    inputs: Inputs,
    machine: Machine,
    options: EngineOptions,
) -> LaunchCounters:
    """What one launch on one DPU counts."""
    with DpuSet(1, machine=machine, options=options) as dpus:
        dpus.load(program, nr_tasklets=nr_tasklets)
        for name, values in inputs.items():
            dpus.copy(name, values.reshape(1, -1))
        (result,) = dpus.exec()
        return result.counters


def _per_microsecond(amount: int, ticks: int, hardware: Hardware) -> float:
    """Amount per microsecond; a MHz is a cycle per microsecond."""
    return float(Fraction(amount * TICKS_PER_CYCLE) * Fraction(hardware.pipeline.clock_mhz) / ticks)
