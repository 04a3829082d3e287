"""What the hazard tests share: both engines, a machine of their own, and one kernel that breaks a rule on demand.

PYTEST_DONT_REWRITE: an `assert` in a kernel must stay as it is written.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.device import (
    assert_that,
    barrier_wait,
    div,
    dpu_function,
    halt,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    perfcounter_config,
    rem,
    uint8,
    wram_view,
)

READ, WRITE, LOAD, STORE, VIEW, WINDOW, ALLOC, FLOOR_DIVIDE, MODULO, DIV, REM = range(11)
HELPER_DIVIDES, ASSERT_THAT, PYTHON_ASSERT, HALT, PERFCOUNTER, AFTER_HELPER, STEP, REST = range(11, 19)
OPERATIONS = (
    "READ", "WRITE", "LOAD", "STORE", "VIEW", "WINDOW", "ALLOC", "FLOOR_DIVIDE", "MODULO", "DIV", "REM",
    "HELPER_DIVIDES", "ASSERT_THAT", "PYTHON_ASSERT", "HALT", "PERFCOUNTER", "AFTER_HELPER", "STEP",
)  # fmt: skip

hazards = DpuProgram("hazards", nr_tasklets=4)
table = hazards.mram_noinit("table", int64, 512)
request = hazards.host("request", int64, 5)
culprit = hazards.host("culprit", int64)
answer = hazards.host("answer", int64)
bytes_ = hazards.wram("bytes_", uint8, 4096)
words = hazards.wram("words", int32, 8, initial=range(8))
everyone = hazards.barrier("everyone")


@dpu_function
def ratio(t, a, b):
    return a // b


@hazards.kernel
def misbehave(t):
    """Tasklet `culprit` does `request` = [what, a, b, c, d] after a barrier; the others only cross the barrier."""
    if me(t) == 0:
        mem_reset(t)
    yield barrier_wait(t, everyone)
    if me(t) != culprit.load(t):
        return
    what, a, b = request.array(t)[0], request.array(t)[1], request.array(t)[2]
    c, d = request.array(t)[3], request.array(t)[4]
    result = 1
    if what == READ:
        mram_read(t, a, bytes_.array(t).window(b, d), c)
    elif what == WRITE:
        mram_write(t, bytes_.array(t).window(b, d), a, c)
    elif what == LOAD:
        result = words.array(t)[a]
    elif what == STORE:
        words.array(t)[a] = b
    elif what == VIEW:
        result = len(wram_view(t, int32, a, b))
    elif what == WINDOW:
        result = len(words.array(t).window(a, b))
    elif what == ALLOC:
        result = len(mem_alloc(t, int64, a))
    elif what == FLOOR_DIVIDE:
        result = a // b
    elif what == MODULO:
        result = a % b
    elif what == DIV:
        result = div(int32, a, b)
    elif what == REM:
        result = rem(int32, a, b)
    elif what == HELPER_DIVIDES:
        result = ratio(t, a, b)
    elif what == AFTER_HELPER:
        result = ratio(t, a, 1) // b
    elif what == STEP:
        for i in range(0, a, b):
            result += i
    elif what == ASSERT_THAT:
        assert_that(t, a == b)
    elif what == PYTHON_ASSERT:
        assert a == b
    elif what == HALT:
        if a == b:
            halt(t)
    elif what == PERFCOUNTER:
        perfcounter_config(t, a, True)
    answer.store(t, result)


@pytest.fixture(params=["interpreted", "compiled"], scope="session")
def engine_options(request):
    return EngineOptions(engine=request.param)


@pytest.fixture(scope="session")
def interpreted():
    return EngineOptions(engine="interpreted")


@pytest.fixture(scope="session")
def hardware():
    return load_profile("upmem-v1a")


@pytest.fixture(scope="session")
def machine(hardware):
    return Machine(hardware)


@pytest.fixture(scope="session")
def misbehaving(machine, engine_options):
    """66 DPUs in two ranks that run the kernel above."""
    with DpuSet(66, machine=machine, options=engine_options, binary=hazards) as dpus:
        yield dpus


@pytest.fixture(scope="session")
def run(misbehaving):
    """`run({dpu: (operation, a, b, c, d)})` launches all DPUs, the others at rest, and gives the answers."""

    def launch(requests, *, culprit=2):
        dpus = misbehaving
        rows = np.zeros((len(dpus), 5), np.int64)
        rows[:, 0] = REST
        for dpu, (operation, *values) in requests.items():
            rows[dpu, : 1 + len(values)] = OPERATIONS.index(operation), *values
        dpus.copy("request", rows)
        dpus.culprit = np.array([culprit]).view(np.uint8)
        dpus.answer = np.zeros(8, np.uint8)
        dpus.exec()
        return dpus.answer.int64()

    return launch


@pytest.fixture(scope="session")
def source():
    """Where the kernel's source is: its file, and the line of a piece of text in the kernel or in its helper."""

    def line_of(text):
        for function in (misbehave, ratio.function):
            lines, first = inspect.getsourcelines(function)
            found = [first + index for index, line in enumerate(lines) if text in line]
            if found:
                (line,) = found
                return line
        raise AssertionError(f"{text!r} is not in the kernel")

    return SimpleNamespace(line_of=line_of, filename=__file__, table_address=table.address)
