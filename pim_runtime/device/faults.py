"""Faults that device code raises, and the sentences that explain them.

A fault is stored in the run record (code and up to four numbers), then KernelFault ends the DPU; the engine adds rank,
DPU, tasklet and source line. Codes 1 to 4 are the DPU runtime's own (upmem-sdk 3.8); the others name what hardware
reports as a memory or DMA fault, or does not report at all.
"""

from __future__ import annotations

import enum

from ..topology import Radix
from .library import library
from .raw import poke
from .run_record import FAULT_CODE, FAULT_VALUES
from .tasklet import Tasklet

__all__ = ["FaultCode", "KernelFault", "assert_that", "explain", "fault", "halt", "named_values", "raise_fault"]


class KernelFault(Exception):
    """The running DPU is in fault; the run record says why."""


class FaultCode(enum.IntEnum):
    """Why a DPU stopped."""

    HEAP_FULL = 1
    DIVISION_BY_ZERO = 2
    ASSERT = 3
    HALT = 4
    DMA_SIZE = 16
    DMA_MRAM_ALIGNMENT = 17
    DMA_WRAM_ALIGNMENT = 18
    DMA_MRAM_RANGE = 19
    DMA_WRAM_RANGE = 20
    WRAM_INDEX = 21
    WRAM_RANGE = 22
    WRAM_ALIGNMENT = 23
    WINDOW = 24
    ALLOC_SIZE = 25
    TASKLET_ID = 26
    SECOND_WAITER = 27
    LOG_MESSAGE_SIZE = 28
    PERFCOUNTER = 29
    FLOAT = 30
    DEADLOCK = 31
    INTERNAL = 32
    RUNAWAY = 33
    INTERRUPTED = 34
    BARRIER_OPENS_EARLY = 35


_SENTENCES = {
    FaultCode.HEAP_FULL: "mem_alloc of {0} bytes at heap pointer {1:#x}: only {2} bytes are left before the end of WRAM"
    " ({3:#x}). Call mem_reset() in one tasklet at the start of the launch, or allocate less",
    FaultCode.DIVISION_BY_ZERO: "integer division by zero. Test the divisor first",
    FaultCode.ASSERT: "assertion failed. Print what it compares with printf(t, ...), or look at it with"
    " breakpoint() in the interpreted engine",
    FaultCode.HALT: "halt() was called: the kernel itself stopped the DPU, with all its tasklets",
    FaultCode.DMA_SIZE: "DMA of {0} bytes: a transfer is 8 to 2048 bytes in steps of 8. Round the size up and pad the"
    " symbol, or split the transfer",
    FaultCode.DMA_MRAM_ALIGNMENT: "DMA of {1} bytes at MRAM {0:#x}: the MRAM address must be a multiple of 8. Start at"
    " {2:#x} and skip the first bytes in WRAM",
    FaultCode.DMA_WRAM_ALIGNMENT: "DMA of {1} bytes at WRAM {0:#x}: the WRAM address must be a multiple of 8. Start the"
    " window at {2:#x}",
    FaultCode.DMA_MRAM_RANGE: "DMA of {1} bytes at MRAM {0:#x}: it leaves the MRAM, which ends at {2:#x}. Check the"
    " offset against the symbol's size",
    FaultCode.DMA_WRAM_RANGE: "DMA of {0} bytes: the WRAM buffer at {2:#x} holds {1} bytes. Allocate a larger buffer,"
    " or transfer less",
    FaultCode.WRAM_INDEX: "index {0} of a WRAM view with {1} elements (valid: 0 to {2}). Check the loop bounds;"
    " negative indices do not wrap",
    FaultCode.WRAM_RANGE: "a WRAM view of {1} elements of {2} bytes at {0:#x} leaves the WRAM, which ends at {3:#x}."
    " Check address and length",
    FaultCode.WRAM_ALIGNMENT: "a WRAM view of {1}-byte elements at {0:#x}: the address must be a multiple of {1}. Take"
    " memory from mem_alloc or a symbol, or use a narrower type",
    FaultCode.WINDOW: "window({0}, {1}) of a WRAM view with {2} elements. First element and length must lie inside the"
    " view: 0 <= first <= first + length <= {2}",
    FaultCode.ALLOC_SIZE: "mem_alloc of {0} elements: the number must not be negative. Check how it is computed",
    FaultCode.TASKLET_ID: "tasklet {0} does not exist: this program has tasklets 0 to {1}. Wait for one of them",
    FaultCode.SECOND_WAITER: "handshake_wait_for({0}): tasklet {1} waits for it already, and only one may (SDK:"
    " EALREADY). Let one of them wait, or use a barrier",
    FaultCode.LOG_MESSAGE_SIZE: "printf of {0} bytes: the log buffer holds {1}. Print fewer arguments at once",
    FaultCode.PERFCOUNTER: "perfcounter_config({0}): this chip counts cycles or instructions, not both. Choose"
    " COUNT_CYCLES or COUNT_INSTRUCTIONS",
    FaultCode.FLOAT: "DPU kernels are integer-only, but a floating-point or other non-integer value was stored. Use"
    " integer arithmetic (// or a shift)",
    FaultCode.DEADLOCK: "deadlock: no tasklet can run, and on hardware the DPU would never stop",
    FaultCode.INTERNAL: "the kernel raised an exception of its own",
    FaultCode.RUNAWAY: "endless loop? The tasklet has begun {0} loop iterations in this launch (a wait counts as 64),"
    " at most {1} are allowed. Between two yields a tasklet runs alone, so a loop never sees what it waits for another"
    " tasklet to change: yield mutex_lock, barrier_wait or handshake_wait_for instead. For more work, raise"
    " EngineOptions(max_iterations=...)",
    FaultCode.INTERRUPTED: "the host interrupted the launch",
    FaultCode.BARRIER_OPENS_EARLY: "a barrier for {1} tasklets opens with {0}: the others came in an earlier launch,"
    " which ended in a fault while they waited. Load the program again after a fault",
}

_VALUE_NAMES: dict[FaultCode, tuple[tuple[str, Radix], ...]] = {
    FaultCode.HEAP_FULL: (("bytes", "d"), ("heap pointer", "#x")),
    FaultCode.DMA_SIZE: (("bytes", "d"),),
    FaultCode.DMA_MRAM_ALIGNMENT: (("MRAM address", "#x"), ("bytes", "d")),
    FaultCode.DMA_WRAM_ALIGNMENT: (("WRAM address", "#x"), ("bytes", "d")),
    FaultCode.DMA_MRAM_RANGE: (("MRAM address", "#x"), ("bytes", "d")),
    FaultCode.DMA_WRAM_RANGE: (("bytes", "d"), ("bytes of the buffer", "d"), ("WRAM address", "#x")),
    FaultCode.WRAM_INDEX: (("index", "d"), ("elements", "d")),
    FaultCode.WRAM_RANGE: (("WRAM address", "#x"), ("elements", "d")),
    FaultCode.WRAM_ALIGNMENT: (("WRAM address", "#x"),),
    FaultCode.WINDOW: (("first", "d"), ("length", "d"), ("elements", "d")),
    FaultCode.ALLOC_SIZE: (("elements", "d"),),
    FaultCode.TASKLET_ID: (("tasklet asked for", "d"),),
    FaultCode.SECOND_WAITER: (("notifier", "d"), ("first waiter", "d")),
    FaultCode.PERFCOUNTER: (("configuration", "d"),),
    FaultCode.RUNAWAY: (("iterations", "d"),),
    FaultCode.BARRIER_OPENS_EARLY: (("tasklets here", "d"), ("count", "d")),
}


def named_values(code: int, values: tuple[int, ...]) -> dict[tuple[str, Radix], int]:
    """What the kernel computed of a fault's values, by name and by how it is written; not what follows from it."""
    return dict(zip(_VALUE_NAMES.get(FaultCode(code), ()), values, strict=False))


def explain(code: int, values: tuple[int, ...]) -> str:
    """The sentence for a fault: what, value, limit and mend."""
    return _SENTENCES[FaultCode(code)].format(*values)


@library
def raise_fault(run: int, code: int, a: int, b: int, c: int, d: int) -> None:
    """Store the fault in the run record and stop the DPU."""
    poke(run + 8 * FAULT_CODE, code)
    poke(run + 8 * FAULT_VALUES, a)
    poke(run + 8 * (FAULT_VALUES + 1), b)
    poke(run + 8 * (FAULT_VALUES + 2), c)
    poke(run + 8 * (FAULT_VALUES + 3), d)
    raise KernelFault


@library
def fault(t: Tasklet, code: int, a: int, b: int, c: int, d: int) -> None:
    """Stop the DPU of tasklet `t` in fault."""
    raise_fault(t.run, code, a, b, c, d)


@library
def halt(t: Tasklet) -> None:
    """Stop the whole DPU in fault 4 (SDK `halt`, `abort`)."""
    fault(t, FaultCode.HALT, 0, 0, 0, 0)


@library
def assert_that(t: Tasklet, condition: bool) -> None:
    """Stop the whole DPU in fault 3 unless `condition` holds (SDK `assert`)."""
    if not condition:
        fault(t, FaultCode.ASSERT, 0, 0, 0, 0)
