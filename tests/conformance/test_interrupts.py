"""Ctrl-C in the middle of a launch or transfer: it ends, the process and the DPUs stay usable, nothing works on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from kernels_for_tests import endless
from subprocesses import environment

from pim_runtime import DpuSet, EngineOptions, Machine
from pim_runtime.api import DPU_MRAM_HEAP_POINTER_NAME
from pim_runtime.backends.workers import Workers
from pim_runtime.commands import Load
from pim_runtime.engine.compiled import CompiledEngine
from pim_runtime.engine.shard import Shard
from pim_runtime.errors import NoProgramLoadedError

SCRIPT = Path(__file__).parent / "interrupted.py"
HANG_S = 120  # that a script which hangs is given; one that works takes a few seconds


@pytest.mark.parametrize(
    ("engine", "threads", "nr_signals"),
    [("compiled", 1, 1), ("compiled", 2, 1), ("compiled", 2, 5), ("interpreted", 1, 1)],
)
def test_ctrl_c_stops_a_launch(engine, threads, nr_signals):
    command = [sys.executable, str(SCRIPT), engine, str(threads), str(nr_signals)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "interrupted timeline ['write', 'write']",
        "endless [1, 1, 1, 1, 1, 1] begun 1",
        "again [2, 2, 2, 2, 2, 2]",
    ]


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.quick
def test_workers_stop_together_before_ctrl_c_is_raised():
    workers, interrupted, done = Workers(2), threading.Event(), []

    def work(part):
        if part.start == 0:
            press_ctrl_c()
        assert interrupted.wait(HANG_S)
        press_ctrl_c()  # the second one, while the caller waits for the threads
        done.append(part.start)

    parts = [range(i, i + 1) for i in range(10)]
    with pytest.raises(KeyboardInterrupt):
        workers.each(work, parts, interrupted.set)
    assert done
    assert max(done) <= 1, "a part began after the interrupt"
    assert workers.each(lambda part: part.start, parts, interrupted.set) == list(range(10))
    workers.close()


@pytest.mark.quick
def test_what_a_part_raises_is_raised_after_all_have_stopped():
    workers, interrupted, stopped = Workers(3), threading.Event(), []

    def work(part):
        if part.start == 1:
            raise MemoryError("no more")
        assert interrupted.wait(HANG_S)
        stopped.append(part.start)

    with pytest.raises(MemoryError, match="no more"):
        workers.each(work, [range(i, i + 1) for i in range(3)], interrupted.set)
    assert set(stopped) <= {0, 2}
    assert workers.each(len, [range(4)], interrupted.set) == [4]
    workers.close()


def test_ctrl_c_in_a_parallel_transfer_waits_for_its_parts(hardware, monkeypatch):
    write, done = Shard.write, []

    def interrupted_write(shard, command, dpus):
        press_ctrl_c()
        write(shard, command, dpus)
        done.append(len(dpus))

    rows = np.arange(1 << 20, dtype=np.uint8).reshape(2, -1)
    with DpuSet(2, machine=Machine(hardware), options=EngineOptions(threads=2)) as dpu_set:
        dpu_set.load(endless.program)
        rows_before = len(dpu_set.timeline)
        with monkeypatch.context() as patch:
            patch.setattr(Shard, "write", interrupted_write)
            with pytest.raises(KeyboardInterrupt):
                dpu_set.copy(DPU_MRAM_HEAP_POINTER_NAME, rows)
        nr_done = len(done)
        assert len(dpu_set.timeline) == rows_before
        dpu_set.copy(DPU_MRAM_HEAP_POINTER_NAME, rows)
        back = np.zeros_like(rows)
        dpu_set.copy(back, DPU_MRAM_HEAP_POINTER_NAME)
    assert nr_done == len(done) > 0, "a part went on after the interrupt was raised"
    np.testing.assert_array_equal(back, rows)


def test_ctrl_c_does_not_break_off_a_compilation(hardware, monkeypatch):
    prepare, prepared = CompiledEngine.prepare, []

    def interrupted_prepare(engine, closure):
        press_ctrl_c()
        prepare(engine, closure)
        prepared.append(closure)

    with DpuSet(1, machine=Machine(hardware)) as dpu_set:
        with monkeypatch.context() as patch:
            patch.setattr(CompiledEngine, "prepare", interrupted_prepare)
            with pytest.raises(KeyboardInterrupt):
                dpu_set.load(endless.program)
        assert len(prepared) == 1
        assert len(dpu_set.timeline) == 0
        with pytest.raises(NoProgramLoadedError):
            dpu_set.exec()
        dpu_set.load(endless.program)
        dpu_set.exec()
        assert dpu_set.begun.int64() == 2


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_no_dpu_begins_after_the_interrupt(hardware, engine):
    shard, binary = Shard(hardware, 3, EngineOptions(engine=engine)), endless.program.build(hardware)
    try:
        shard.load(Load(dpus=range(3), binary=binary))
        shard.begin(binary, range(3))
        shard.interrupt()
        if engine == "compiled":  # the interpreted engine runs in the thread that Ctrl-C interrupts
            assert shard.run(binary, range(3))[0] == []
            assert not shard.memory("wram")[:, endless.begun.address].any()
        shard.begin(binary, range(3))
        shard.run(binary, range(3))
        assert list(shard.memory("wram")[:, endless.begun.address]) == [2, 2, 2]
    finally:
        shard.close()
