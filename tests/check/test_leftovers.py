"""What an earlier launch left: reading it is a finding, unless somebody wrote it since or it is kept on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import Check, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import barrier_wait, int64, me, mem_alloc, mem_reset, mram_read, mram_write
from pim_runtime.symbols import HEAP_NAME

pytestmark = pytest.mark.quick

HOST, WRAM, MRAM, HEAP, COPY = range(5)

again = DpuProgram("again")
where = again.host("where", int64)
clears = again.host("clears", int64)
visible = again.host("visible", int64)
hidden = again.wram("hidden", int64)
words = again.mram("words", int64, 2)
others = again.mram("others", int64, 2)
far = again.mram_heap


@again.kernel
def add_one(t):
    """Add 1 to what is there, after clearing it on request."""
    mem_reset(t)
    block, place = mem_alloc(t, int64, 1), where.load(t)
    block[0] = 0
    if place == HOST:
        if clears.load(t) == 1:
            visible.store(t, 0)
        visible.store(t, visible.load(t) + 1)  # visible
    elif place == WRAM:
        if clears.load(t) == 1:
            hidden.store(t, 0)
        hidden.store(t, hidden.load(t) + 1)  # hidden
    else:
        address = far.address if place == HEAP else words.address
        if clears.load(t) == 1:
            mram_write(t, block, address, 8)
        mram_read(t, address, block, 8)
        if place != COPY:
            block[0] += 1  # in MRAM
        mram_write(t, block, address + 8 if place == COPY else address, 8)  # back


@pytest.mark.parametrize(
    ("place", "symbol", "read", "written"),
    [
        (HOST, "visible", "# visible", "# visible"),
        (WRAM, "hidden", "# hidden", "# hidden"),
        (MRAM, "words", "# in MRAM", "# back"),
    ],
)
def test_the_next_launch_reads_it(checked, place, symbol, read, written):
    (finding,) = checked(again, {"where": place}, launches=3)
    assert (finding.kind, finding.symbol, finding.tasklets) == ("leftover", symbol, (0,))
    assert read in str(finding.places[0])
    assert written in str(finding.places[-1])
    assert f"Check(keeps=('{symbol}',))" in finding.text
    assert checked(again, {"where": place}) == []
    assert checked(again, {"where": place, "clears": 1}, launches=3) == []
    assert checked(again, {"where": place}, launches=3, check=Check(keeps=[symbol])) == []


def test_the_mram_heap_by_its_name(kinds):
    assert kinds(again, {"where": HEAP, "clears": 1}, launches=2) == []
    assert kinds(again, {"where": HEAP}, launches=2, check=Check(keeps=(HEAP_NAME,))) == []


def test_a_copy_of_it_counts(kinds):
    assert kinds(again, {"where": COPY}, launches=2) == []  # word 0 is from the load


heaps = DpuProgram("heaps", nr_tasklets=2)
resets = heaps.host("resets", int64)
all_here = heaps.barrier("all_here")


@heaps.kernel
def allocate(t):
    if resets.load(t) == 1:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, all_here)
    mem_alloc(t, int64, 2 + me(t))


def test_a_heap_that_grows_from_launch_to_launch(checked):
    assert checked(heaps) == []
    assert checked(heaps, {"resets": 1}, launches=3) == []
    (finding,) = checked(heaps, launches=2)
    assert (finding.kind, finding.symbol) == ("leftover", "WRAM heap")
    assert "goes on behind the 40 bytes that an earlier launch allocated" in finding.text
    assert "Call mem_reset()" in finding.text


long = DpuProgram("long")
rounds = long.host("rounds", int64)
written_last = long.mram_noinit("written_last", int64, 2)


@long.kernel
def write_last(t):
    """Count for `rounds` rounds, then write MRAM, or copy what is there to the next word."""
    block, count = mem_alloc(t, int64, 1), 0
    while count < rounds.load(t):
        count += 1
    block[0] = count
    if count < 10:
        mram_read(t, written_last.address, block, 8)
    mram_write(t, block, written_last.address + 8 * (count < 10), 8)
    mem_reset(t)


def test_after_a_launch_that_was_too_long_nothing_is_taken_to_be_undefined(hardware):
    machine = Machine(hardware.with_values({"dpu.mram_bytes": 1 << 16}))
    options = EngineOptions(engine="interpreted", timing="off")
    with DpuSet(1, binary=long, machine=machine, options=options, check=Check(dpus=1, max_iterations=500)) as dpus:
        copied = np.zeros((1, 2), np.int64)
        for number in (1000, 5):
            dpus.copy("rounds", np.array([[number]]))
            dpus.exec()
        dpus.copy(copied, "written_last")
        assert copied.tolist() == [[1000, 1000]]
        assert list(dpus.findings) == []
