"""The kernel language: everything that a DPU kernel may call.

Each function runs as it stands in the interpreted engine and is compiled from the same source in the compiled one.
Import of this package does not import numba.
"""

from __future__ import annotations

from .alloc import mem_alloc, mem_reset
from .arith import add, clz, div, less, mul, neg, popcount, rem, shl, shr, sub
from .faults import assert_that, halt
from .integers import IntegerType, int8, int16, int32, int64, uint8, uint16, uint32, uint64
from .library import DpuFunction, dpu_function, extern_function
from .log import printf
from .mram import mram_read, mram_write
from .perfcounter import (
    COUNT_CYCLES,
    COUNT_INSTRUCTIONS,
    COUNT_NOTHING,
    COUNT_SAME,
    perfcounter_config,
    perfcounter_get,
)
from .sync import (
    barrier_wait,
    handshake_notify,
    handshake_wait_for,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    sem_give,
    sem_take,
)
from .tasklet import Tasklet, charge, me, nr_tasklets, stated
from .view import View, wram_view

__all__ = [
    "COUNT_CYCLES",
    "COUNT_INSTRUCTIONS",
    "COUNT_NOTHING",
    "COUNT_SAME",
    "DpuFunction",
    "IntegerType",
    "Tasklet",
    "View",
    "add",
    "assert_that",
    "barrier_wait",
    "charge",
    "clz",
    "div",
    "dpu_function",
    "extern_function",
    "halt",
    "handshake_notify",
    "handshake_wait_for",
    "int8",
    "int16",
    "int32",
    "int64",
    "less",
    "me",
    "mem_alloc",
    "mem_reset",
    "mram_read",
    "mram_write",
    "mul",
    "mutex_lock",
    "mutex_trylock",
    "mutex_unlock",
    "neg",
    "nr_tasklets",
    "perfcounter_config",
    "perfcounter_get",
    "popcount",
    "printf",
    "rem",
    "sem_give",
    "sem_take",
    "shl",
    "shr",
    "stated",
    "sub",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "wram_view",
]
