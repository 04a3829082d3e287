"""What the host API tests share: a machine of their own and a program with a symbol of every kind.

The host API does not depend on the engine, so most tests use the interpreted one, which compiles nothing.
"""

from __future__ import annotations

import contextlib

import pytest

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.device import int32, int64, me, printf, uint8
from pim_runtime.errors import InvalidDpuSetError

shelf = DpuProgram("shelf", nr_tasklets=2)
number = shelf.host("number", int32, initial=7)
pair = shelf.host("pair", int64, 2, initial=(10, 20))
odd = shelf.host("odd", uint8, 3)
rows = shelf.mram_noinit("rows", int64, 16)
start = shelf.mram("start", int32, 4, initial=(1, 2, 3, 4))
hidden = shelf.wram("hidden", int32)


@shelf.kernel
def count_up(t):
    """Tasklet 0 adds 1 to `number`; both print."""
    if me(t) == 0:
        number.store(t, number.load(t) + 1)
    printf(t, "tasklet %d of %d\n", me(t), number.load(t))


silent = DpuProgram("silent")
value = silent.host("value", int64)


@silent.kernel
def do_nothing(t):
    value.store(t, value.load(t) + 1)


@pytest.fixture(scope="session")
def programs():
    """(one with every kind of symbol, which prints; one with `value`, which does not)"""
    return shelf, silent


@pytest.fixture(scope="session")
def interpreted():
    return EngineOptions(engine="interpreted")


@pytest.fixture
def machine():
    """A whole machine of 40 ranks for one test."""
    return Machine(load_profile("upmem-v1a"))


@pytest.fixture
def allocate(machine, interpreted):
    """`allocate(n)` gives a set with the program loaded; it is freed after the test if it is still alive."""
    allocated = []

    def of_size(nr_dpus, *, program=shelf, log=None):
        allocated.append(DpuSet(nr_dpus, binary=program, log=log, machine=machine, options=interpreted))
        return allocated[-1]

    yield of_size
    for dpus in allocated:
        with contextlib.suppress(InvalidDpuSetError):
            dpus.free()


@pytest.fixture
def four(allocate):
    """Four DPUs with the program loaded."""
    return allocate(4)
