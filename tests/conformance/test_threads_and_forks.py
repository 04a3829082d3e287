"""Several Python threads on one set or machine, and processes that fork: commands take turns, nothing crashes."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from kernels_for_tests import endless
from subprocesses import environment

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.device import int64, printf
from pim_runtime.errors import AllocationError, InvalidDpuSetError

HERE = Path(__file__).parent
HANG_S = 120  # that a script which hangs is given; one that works takes a few seconds
NR_THREADS = 8


def at_once(*tasks):
    """Run the tasks in threads that begin together; gives their results, or what they raised."""
    together = threading.Barrier(len(tasks))

    def begin(task):
        together.wait(HANG_S)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        futures = [pool.submit(begin, task) for task in tasks]
        return [future.exception(HANG_S) or future.result() for future in futures]


def test_launches_of_one_set_take_turns(dpus, engine):
    dpu_set = dpus(3, engine)
    dpu_set.load(endless.program)
    assert at_once(*[lambda: len(dpu_set.exec())] * NR_THREADS) == [1] * NR_THREADS
    assert list(dpu_set.begun.int64()) == [2 * NR_THREADS] * 3
    assert [row.operation for row in dpu_set.timeline.rows].count("launch") == NR_THREADS


def test_a_prepared_transfer_is_one_command(dpus, engine):
    """Buffers that one thread prepares are those that it pushes, if its threads prepare the same DPUs in turn."""
    dpu_set = dpus(NR_THREADS, engine)
    dpu_set.load(endless.program)

    def fill(dpu):
        def push():
            for number in range(20):
                dpu.prepare([np.full(1, number, np.int64).view(np.uint8)])
                dpu.push("push", "endless", 0, 8, afterwards="forget")
            return dpu.endless.int64()

        return push

    assert at_once(*map(fill, dpu_set.dpus())) == [19] * NR_THREADS


def test_who_uses_a_set_that_another_thread_frees_is_told(hardware, engine):
    machine = Machine(hardware)
    dpu_set = DpuSet(4, machine=machine, options=engine, binary=endless.program)

    def use():
        while True:
            dpu_set.exec()
            dpu_set.begun.int64()

    def free():
        for _ in range(5):
            dpu_set.exec()
        dpu_set.free()

    *users, freed = at_once(use, use, use, free)
    assert freed is None
    assert [type(error) for error in users] == [InvalidDpuSetError] * 3
    assert machine.free_ranks == hardware.geometry.ranks


def test_only_one_of_many_frees_succeeds(hardware):
    machine = Machine(hardware)
    dpu_set = DpuSet(1, machine=machine, options=EngineOptions(engine="interpreted"))
    outcomes = at_once(*[dpu_set.free] * NR_THREADS)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvalidDpuSetError"] * 7 + ["NoneType"]
    assert machine.free_ranks == hardware.geometry.ranks


@pytest.mark.quick
def test_ranks_are_neither_lost_nor_given_twice(hardware):
    machine = Machine(hardware)
    most = hardware.geometry.ranks // NR_THREADS + 1  # all threads together want a little more than there is
    options = EngineOptions(engine="interpreted")

    def take_and_give():
        for _ in range(30):
            try:
                DpuSet(nr_ranks=most, machine=machine, options=options).free()
            except AllocationError:
                assert 0 <= machine.free_ranks < most
        return "done"

    assert at_once(*[take_and_give] * NR_THREADS) == ["done"] * NR_THREADS
    assert machine.free_ranks == hardware.geometry.ranks


def test_a_program_is_linked_once_however_many_threads_load_it(hardware):
    program = DpuProgram("linked_at_once")
    number = program.host("number", int64)

    @program.kernel
    def kernel(t):
        printf(t, "%ld\n", number.load(t))

    machine = Machine(hardware)

    def load():
        with DpuSet(1, machine=machine, options=EngineOptions(engine="interpreted"), binary=program) as dpu_set:
            dpu_set.exec()
            return dpu_set.number.int64()

    assert at_once(*[load] * NR_THREADS) == [0] * NR_THREADS


def output(*command):
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment(), capture_output=True, text=True, timeout=HANG_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("engine", ["compiled", "interpreted"])
def test_a_forked_child_goes_on_with_dpus_of_its_own(engine):
    assert output(HERE / "forked.py", engine) == "children {0} parent 4 begun 38\n"


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_pools_of_processes(way):
    assert output("-W", "ignore", HERE / "spawned.py", way) == "2 2 4 6\n"
