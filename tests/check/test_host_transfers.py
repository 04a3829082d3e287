"""What the host does wrong, and that reads of padding are nothing wrong."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import Check, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import int32, int64, me, mram_write
from pim_runtime.symbols import HEAP_NAME

pytestmark = [pytest.mark.quick, pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")]

store = DpuProgram("store", nr_tasklets=2)
count = store.host("count", int64)
words = store.mram_noinit("words", int64, 16)
wide = store.host("wide", int32, 8)
row = store.wram("row", int64, 16)
store_heap = store.mram_heap


@store.kernel
def write_some(t):
    """The first `count` words."""
    if (me(t) == 0) & (count.load(t) > 0):
        mram_write(t, row.array(t), words.address, 8 * count.load(t))
        mram_write(t, row.array(t), store_heap.address + 8, 8)


@pytest.fixture
def dpus(hardware):
    options = EngineOptions(engine="interpreted")
    with DpuSet(4, machine=Machine(hardware), options=options, check=Check(dpus=4), binary=store) as allocated:
        yield allocated


def test_writes_that_spoil_one_another(dpus):
    dpus.copy("words", np.ones((4, 8), np.int64))
    dpus.copy("words", np.ones((4, 8), np.int64), offset=56)
    dpus.copy("wide", np.ones((4, 4), np.int32))
    dpus.copy("wide", np.ones((4, 4), np.int32), offset=8)
    first, second = dpus.findings
    assert (first.kind, first.symbol, first.dpus, first.tasklets) == ("transfer", "words", (0, 1, 2, 3), ())
    assert "offset=56" in str(first.places[0])
    assert "overlap in 8 bytes from words[7] (MRAM 0x38) on" in first.text
    assert (second.symbol, "overlap in 8 bytes from wide[2]" in second.text) == ("wide", True)


@pytest.mark.parametrize("between", ["nothing", "read", "launch", "load"])
def test_writes_that_do_not(dpus, between):
    rows = np.ones((4, 8), np.int64)
    dpus.copy("words", rows)
    if between == "nothing":
        dpus.copy("words", rows, offset=64)  # beside it
        dpus.copy("words", np.ones((4, 16), np.int64))  # in place of both
        dpus.copy("words", rows[:, :2].copy(), offset=8)  # a part, to correct it
    elif between == "read":
        dpus.copy(rows[:, :1].copy(), "words", offset=56)
    elif between == "launch":
        dpus.exec()
    else:
        dpus.load(store)
    if between != "nothing":
        dpus.copy("words", rows, offset=56)
    assert list(dpus.findings) == []


def test_other_memory_and_other_dpus_do_not_overlap(dpus):
    single = dpus.dpus()
    single[0].copy("words", np.ones(64, np.uint8))
    single[1].copy("words", np.ones(64, np.uint8), offset=56)
    dpus.copy("wide", np.ones((4, 8), np.int32))
    assert list(dpus.findings) == []


def test_reads_of_what_no_dpu_wrote(dpus):
    dpus.copy("count", np.array([[4], [2], [2], [0]]))
    dpus.exec()
    back = np.zeros((4, 4), np.int64)
    dpus.copy(back, "words")  # DPU 0 wrote all of it
    assert list(dpus.findings) == []
    dpus.copy(np.zeros((4, 5), np.int64), "words")
    (finding,) = dpus.findings
    assert (finding.kind, finding.symbol, finding.dpus) == ("uninitialised", "words", (0, 1, 2, 3))
    assert "reads 40 bytes of 'words'" in finding.text
    assert "of which 8 were never written by host or kernel, the first at words[4] (MRAM 0x20)" in finding.text


def test_a_part_of_the_heap_may_be_padding(dpus):
    dpus.copy("count", np.array([[1]] * 4))
    dpus.exec()
    dpus.copy(np.zeros((4, 3), np.int64), HEAP_NAME)
    assert list(dpus.findings) == []
    dpus.copy(np.zeros((4, 3), np.int64), HEAP_NAME, offset=800)
    assert [(finding.kind, finding.symbol) for finding in dpus.findings] == [("uninitialised", HEAP_NAME)]


def test_one_dpu_with_rows_left_out(dpus):
    dpus.copy("words", [None, np.ones(16, np.int64), None, None])
    dpus.copy([None, np.zeros(16, np.int64), None, None], "words")
    assert list(dpus.findings) == []
    dpus.copy([np.zeros(16, np.int64), None, None, None], "words")
    (finding,) = dpus.findings
    assert finding.dpus == (0,)
