"""A checked set: the same results and times, findings joined and announced once, and which DPUs are followed."""

from __future__ import annotations

import io
import threading
import warnings

import numpy as np
import pytest

from pim_runtime import Check, CheckWarning, DpuFaultError, DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.api import DpuLaunchPolicy, dpu_alloc, dpu_alloc_ranks, dpu_free, dpu_launch, dpu_load
from pim_runtime.check import Checker, CheckSession, current_session
from pim_runtime.device import (
    assert_that,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    mutex_lock,
    mutex_unlock,
    printf,
    sem_give,
    sem_take,
)
from pim_runtime.errors import ArgumentError, InvalidDpuSetError

pytestmark = pytest.mark.quick

INTERPRETED = EngineOptions(engine="interpreted")

adding = DpuProgram("adding", nr_tasklets=3)
amount = adding.host("amount", int64)
total = adding.host("total", int64)
turns = adding.semaphore("turns", 3)


@adding.kernel
def add(t):
    """Add `amount` per tasklet without a lock, and let others run in between."""
    seen = total.load(t)
    yield sem_take(t, turns)
    sem_give(t, turns)
    assert_that(t, amount.load(t) >= 0)
    total.store(t, seen + amount.load(t))  # added
    printf(t, "tasklet %d\n", me(t))


clean = DpuProgram("clean")
number = clean.host("number", int64)


@clean.kernel
def set_number(t):
    print("once")
    number.store(t, 5)


def make(hardware, nr_dpus, check, options=INTERPRETED):
    return DpuSet(nr_dpus, machine=Machine(hardware), options=options, check=check)


def run(dpus, amounts):
    log = io.StringIO()
    dpus.load(adding)
    dpus.copy("amount", np.array(amounts).reshape(-1, 1))
    dpus.exec(log=log)
    return dpus.total.int64(), log.getvalue(), list(dpus.timeline.rows)


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
@pytest.mark.parametrize("order", ["cyclic", "random"])
def test_results_log_and_simulated_time_stay_what_they_are(hardware, order):
    options = EngineOptions(engine="interpreted", tasklet_order=order, seed=3)
    with make(hardware, 3, None, options) as plain, make(hardware, 3, Check(dpus=3), options) as checked:
        expected, found = run(plain, [1, 2, 3]), run(checked, [1, 2, 3])
        assert found[:2] == expected[:2]
        assert repr(found[2]) == repr(expected[2])
        assert list(plain.findings) == []
        assert plain.stacks == ()
        assert {(finding.kind, finding.symbol) for finding in checked.findings} == {
            ("race", "total"),
            ("order", "total"),
        }


def test_the_kernel_prints_once(hardware, capsys):
    with make(hardware, 1, Check()) as dpus:
        dpus.load(clean)
        dpus.exec()
    assert capsys.readouterr().out == "once\n"


def test_findings_of_many_dpus_are_one_and_announced_once_at_the_users_line(hardware):
    with make(hardware, 70, Check(dpus=70, orders=0)) as dpus:
        dpus.load(adding)
        with pytest.warns(CheckWarning) as caught:
            dpus.exec()  # here
        assert [str(warning.message) for warning in caught] == [str(finding) for finding in dpus.findings]
        with open(__file__) as source:
            (line,) = [number for number, text in enumerate(source, 1) if "dpus.exec()  # here\n" in text]
        for warning, finding in zip(caught, dpus.findings, strict=True):
            assert (warning.filename, warning.lineno) == (__file__, line)
            assert (finding.ranks, finding.dpus) == ((0, 1), tuple(range(70)))
            assert "ranks 0-1, DPUs 0-69, tasklets 0-" in str(finding)
        assert str(dpus.findings) == "\n".join(map(str, dpus.findings))
        with warnings.catch_warnings():
            warnings.simplefilter("error", CheckWarning)
            dpus.copy("total", np.zeros((70, 1), np.int64))
            dpus.exec()


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_a_launch_that_faults_is_reported_as_ever(hardware):
    with make(hardware, 2, Check()) as dpus:
        with pytest.raises(DpuFaultError, match="assertion failed"):
            run(dpus, [1, -1])
        assert {finding.dpus for finding in dpus.findings} == {(0,)}
        run(dpus, [1, 1])
        assert (0, 1) in {finding.dpus for finding in dpus.findings}


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_every_part_that_is_loaded_apart_has_dpus_that_are_followed(hardware):
    with make(hardware, 8, Check(dpus=2, orders=0)) as dpus:
        single = dpus.dpus()
        single[7].load(adding)
        dpus.load(clean)  # DPU 7 is among them
        dpus.exec()
        single[7].load(adding)
        single[7].exec()
        assert {(finding.program, finding.dpus) for finding in dpus.findings} == {("adding", (7,))}
        assert list(single[3].findings) == list(dpus.findings)
    with make(hardware, 8, Check(dpus=2, orders=0)) as dpus:
        dpus.load(adding)
        dpus.exec()
        assert {finding.dpus for finding in dpus.findings} == {(0, 4)}


endless = DpuProgram("endless")
rounds = endless.host("rounds", int64)


@endless.kernel
def go_round(t):
    left = rounds.load(t)
    while left != 0:
        left -= 1


reading = DpuProgram("reading")
rows = reading.mram_noinit("rows", int64, 1024)
first_row = reading.host("first_row", int64)


@reading.kernel
def read_a_row(t):
    mem_reset(t)
    block = mem_alloc(t, int64, 2)
    mram_read(t, rows.address + 4096, block, 16)
    if block[1] == 0:  # which nobody may have written
        first_row.store(t, first_row.load(t) + block[0])


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_what_a_checkpoint_brings_back_is_written(hardware):
    with make(hardware, 2, None) as saving:
        saving.load(reading)
        saving.copy("rows", np.arange(1024).repeat(2).reshape(2, 1024) // 1000)
        context = saving.checkpoint()
    with make(hardware, 2, Check(dpus=2)) as dpus:
        dpus.load(reading)
        dpus.restore(context)
        dpus.exec()
        dpus.copy(np.zeros((2, 1024), np.int64), "rows")
        assert list(dpus.findings) == []
        dpus.load(reading)
        dpus.exec()
        assert list(dpus.findings) == []
    with make(hardware, 1, Check()) as dpus:
        dpus.load(reading)
        dpus.exec()
        assert {finding.kind for finding in dpus.findings} == {"uninitialised"}


def test_ctrl_c_while_a_launch_is_checked(hardware, monkeypatch):
    def interrupted(checker, dpu, memory, address, target):
        raise KeyboardInterrupt

    with make(hardware, 1, Check()) as dpus:
        dpus.load(clean)
        with monkeypatch.context() as patch:
            patch.setattr(Checker, "_read", interrupted)
            with pytest.raises(KeyboardInterrupt):
                dpus.exec()
        assert dpus.number.int64() == 0
        dpus.exec()
        assert dpus.number.int64() == 5


wide = DpuProgram("wide", nr_tasklets=2)
words = wide.mram_noinit("words", int64, 450)
buffer = wide.wram("buffer", int64, 2)
wide_lock = wide.mutex("wide_lock")


@wide.kernel
def write_at_the_end(t):
    yield mutex_lock(t, wide_lock)
    block = buffer.array(t)
    block[0] += 1
    block[1] = me(t)
    mram_write(t, block, words.address + 3600 - 16, 16)
    mutex_unlock(t, wide_lock)


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_an_mram_that_ends_inside_a_page(hardware):
    with make(hardware.with_values({"dpu.mram_bytes": 3600}), 1, Check()) as dpus:
        dpus.load(wide)
        dpus.copy("words", np.zeros((1, 450), np.int64))
        dpus.exec()
        dpus.copy(np.zeros((1, 450), np.int64), "words")
        (finding,) = dpus.findings
        assert (finding.kind, finding.symbol) == ("order", "words")
        assert "words[449] (MRAM 0xe08), written at" in finding.text


def test_a_set_that_was_freed(hardware):
    dpus = make(hardware, 1, Check())
    dpus.load(clean)
    dpus.free()
    with pytest.raises(InvalidDpuSetError):
        dpus.exec()


def test_a_launch_that_is_too_long_to_be_checked(hardware):
    options = EngineOptions(engine="interpreted", timing="off")
    with CheckSession(Check(max_iterations=1000)).active() as session, make(hardware, 1, None, options) as dpus:
        dpus.load(endless)
        dpus.copy("rounds", np.array([[2000]]))
        dpus.exec()
        dpus.copy("rounds", np.array([[900]]))
        dpus.exec()
        (checker,) = session.checkers
        assert (checker.nr_launches, checker.nr_checked, checker.nr_too_long) == (2, 1, 1)


@pytest.mark.filterwarnings("ignore::pim_runtime.CheckWarning")
def test_the_c_functions(hardware):
    machine = Machine(hardware)
    for dpus in (
        dpu_alloc(1, machine=machine, options=INTERPRETED, check=Check()),
        dpu_alloc_ranks(1, machine=machine, options=INTERPRETED, check=Check()),
    ):
        dpu_load(dpus, adding)
        dpu_launch(dpus, DpuLaunchPolicy.DPU_SYNCHRONOUS)
        assert "race" in {finding.kind for finding in dpus.findings}
        dpu_free(dpus)


def test_a_session_checks_the_sets_of_its_thread(hardware):
    others = []
    with CheckSession(Check(dpus=5)).active() as session:
        assert current_session() is session
        with make(hardware, 1, None), make(hardware, 1, Check(dpus=7)):
            pass
        thread = threading.Thread(target=lambda: others.append(current_session()))
        thread.start()
        thread.join()
    assert [checker.options.dpus for checker in session.checkers] == [5, 7]
    assert current_session() is None
    assert others == [None]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dpus": 0}, "dpus is 0: check at least 1 DPU"),
        ({"orders": -1}, "orders is -1: 0 or more"),
        ({"keeps": "total"}, r"keeps is the text 'total': give a tuple of names, \('total',\)"),
        ({"max_iterations": 0}, "max_iterations is 0: at least 1"),
    ],
)
def test_options_that_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        Check(**options)


def test_check_takes_options_and_nothing_else(hardware):
    machine = Machine(hardware)
    with pytest.raises(ArgumentError, match=r"check is True: give the options of the checker, check=Check\(\)"):
        DpuSet(1, machine=machine, options=INTERPRETED, check=True)
    assert machine.free_ranks == hardware.geometry.ranks
