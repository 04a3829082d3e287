"""The debugger in kernels: breakpoints of DPUs and tasklets, stepping, looking at memory, quitting."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from pim_runtime import Breakpoint, DpuProgram, EngineOptions, KernelError
from pim_runtime.debugging import memory, values
from pim_runtime.device import barrier_wait, dpu_function, int16, int64, me, mram_read
from pim_runtime.errors import DebuggerQuitError

pytestmark = pytest.mark.quick

program = DpuProgram("watched", nr_tasklets=3)
shared = program.wram("shared", int64, 3)
table = program.mram_noinit("table", int16, (2, 4))
results = program.host("results", int64, 3)
ready = program.barrier("ready")


@dpu_function
def doubled(number):
    twice = number + number
    twice += number - number
    return twice


@program.kernel
def watched(t):
    mine = 10 * me(t) + 1
    shared.array(t)[me(t)] = mine
    yield barrier_wait(t, ready)
    after = doubled(mine)
    results.array(t)[me(t)] = after
    mram_read(t, table.address, shared.array(t), 16)


FIRST = watched.__code__.co_firstlineno  # of the decorator
AT_STORE, AT_YIELD, AT_CALL, AT_RESULT = FIRST + 3, FIRST + 4, FIRST + 5, FIRST + 6
IN_HELPER = doubled.function.__code__.co_firstlineno + 2

looping = DpuProgram("looping", nr_tasklets=2)
total = looping.host("total", int64, 2)


@looping.kernel
def loop(t):
    for i in range(3):
        total.array(t)[me(t)] += i
    breakpoint()  # noqa: T100 - the subject of the test
    total.array(t)[me(t)] += 100


@pytest.fixture
def debug(dpus, monkeypatch, capsys):
    """`debug(program, commands, breakpoints)`: (the set of 3 DPUs after a launch, what the debugger printed)."""

    def launch(debugged, commands, *breakpoints):
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(commands) + "\n"))
        three = dpus(3, EngineOptions(engine="interpreted", breakpoints=breakpoints))
        three.load(debugged)
        if debugged is program:
            three.copy("table", np.arange(24, dtype=np.int16).reshape(3, 8))
        capsys.readouterr()
        try:
            three.exec()
        finally:
            launch.printed = capsys.readouterr().out
        return three

    return launch


def test_a_breakpoint_of_one_tasklet_of_one_dpu(debug):
    three = debug(program, ["p t.dpu, t.me, mine", "p t", "c"], Breakpoint(line=AT_STORE, dpu=1, tasklet=2))
    printed = debug.printed
    assert printed.count("-> shared.array(t)[me(t)] = mine") == 1
    assert "tasklet 2 of DPU 1" in printed
    assert "(1, 2, 21)" in printed
    assert "tasklet 2 of 3 on DPU 1" in printed
    assert [list(row) for row in three.results.int64()] == [[2, 22, 42]] * 3


def test_breakpoints_stop_whom_they_concern(debug):
    debug(program, ["c"] * 9, Breakpoint(line=AT_STORE, dpu=0), Breakpoint(line=AT_RESULT, tasklet=1))
    stops = [line for line in debug.printed.splitlines() if "tasklet " in line]
    stops = [line.removeprefix("(Pdb) ") for line in stops]
    assert stops == [
        "tasklet 0 of DPU 0",
        "tasklet 1 of DPU 0",
        "tasklet 2 of DPU 0",
        "tasklet 1 of DPU 0",
        "tasklet 1 of DPU 1",
        "tasklet 1 of DPU 2",
    ]


def test_helpers_have_breakpoints(debug):
    commands = ["p number", "up", "p t.me", "c"]
    debug(program, commands, Breakpoint(line=IN_HELPER, file="test_breakpoints.py", dpu=2, tasklet=1))
    assert "-> twice = number + number" in debug.printed
    assert "(Pdb) 11\n" in debug.printed
    assert f"test_breakpoints.py({IN_HELPER})doubled()" in debug.printed
    assert "-> after = doubled(mine)" in debug.printed
    assert "(Pdb) 1\n" in debug.printed


def test_next_stays_in_its_tasklet_over_a_yield(debug):
    debug(program, ["n", "n", "p t.me, mine", "c"], Breakpoint(line=AT_STORE, dpu=0, tasklet=0))
    shown = [line for line in debug.printed.splitlines() if line.startswith("-> ")]
    assert shown == [
        "-> shared.array(t)[me(t)] = mine",
        "-> yield barrier_wait(t, ready)",
        "-> after = doubled(mine)",
    ]
    assert "(0, 1)" in debug.printed


def test_step_goes_through_kernels_and_helpers_only(debug):
    debug(program, ["s", "s", "s", "s", "c"], Breakpoint(line=AT_CALL, dpu=0, tasklet=0))
    shown = [line for line in debug.printed.splitlines() if line.startswith("-> ")]
    assert shown == [
        "-> after = doubled(mine)",
        "-> def doubled(number):",
        "-> twice = number + number",
        "-> twice += number - number",
        "-> return twice",
    ]
    assert "pim_runtime" not in debug.printed


def test_memory_is_looked_at_without_disturbing_the_machine(debug):
    commands = [
        "from pim_runtime.debugging import memory, values",
        "p values(t, shared).tolist()",
        "p values(t, table).tolist()",
        "p memory(t, 'mram', 4, 6).tolist()",
        "p shared.array(t)[1]",
        "p shared.array(t)[7]",
        "c",
    ]
    three = debug(program, commands, Breakpoint(line=AT_CALL, dpu=1, tasklet=0))
    assert "[1, 11, 21]" in debug.printed
    assert "[[8, 9, 10, 11], [12, 13, 14, 15]]" in debug.printed
    assert "[10, 0, 11, 0, 12, 0]" in debug.printed
    assert "(Pdb) 11\n" in debug.printed
    assert "KernelFault" in debug.printed
    assert [list(row) for row in three.results.int64()] == [[2, 22, 42]] * 3


def test_helpers_for_looking_refuse_what_is_not_there(dpus, monkeypatch):
    complaints = []

    def stop():
        t = sys._getframe(1).f_locals["t"]
        for look in (
            lambda: values(t, 3),
            lambda: memory(t, "iram", 0, 8),
            lambda: memory(t, "wram", 65536, 1),
            lambda: memory(t, "mram", -8, 8),
        ):
            with pytest.raises((TypeError, ValueError)) as caught:
                look()
            complaints.append(str(caught.value))

    monkeypatch.setattr(sys, "breakpointhook", stop)
    one = dpus(1, EngineOptions(engine="interpreted"))
    one.load(looping)
    one.exec()
    assert complaints[:4] == [
        "3 is a int and no symbol: use memory(t, 'wram', address, n)",
        "memory 'iram': choose 'mram' or 'wram'",
        "1 bytes at 0x10000 are not in the WRAM, which ends at 0x10000",
        "8 bytes at -0x8 are not in the MRAM, which ends at 0x4000000",
    ]


def test_breakpoint_in_a_kernel_steps_in_the_kernel(debug):
    debug(looping, ["p t.me, t.dpu", "n", "c"] * 6)
    shown = [line.removeprefix("(Pdb) ") for line in debug.printed.splitlines() if "-> " in line]
    assert "-> total.array(t)[me(t)] += 100" in shown
    assert "(1, 2)" in debug.printed
    assert "pim_runtime" not in debug.printed


@pytest.mark.parametrize("commands", [["q"], []], ids=["q", "end of input"])
def test_quitting_ends_the_launch_and_its_tracing(debug, commands):
    with pytest.raises(DebuggerQuitError, match=r"quit in tasklet 1 of DPU 0: the launch has stopped there"):
        debug(program, commands, Breakpoint(line=AT_STORE, tasklet=1))
    assert sys.gettrace() is None or "pim_runtime" not in repr(sys.gettrace())


def test_after_quitting_the_next_launch_runs(dpus, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n" + "c\n" * 9))
    one = dpus(1, EngineOptions(engine="interpreted"))
    one.load(looping)
    rows = len(one.timeline)
    with pytest.raises(DebuggerQuitError):
        one.exec()
    assert len(one.timeline) == rows
    assert one.total.int64().tolist() == [3, 0]
    one.exec()
    assert one.total.int64().tolist() == [106, 103]


def test_simulated_time_is_that_without_a_debugger(debug, dpus):
    three = debug(program, ["n"] * 4 + ["c"], Breakpoint(line=AT_STORE, dpu=1, tasklet=1))
    plain = dpus(3, EngineOptions(engine="interpreted"))
    plain.load(program)
    plain.copy("table", np.arange(24, dtype=np.int16).reshape(3, 8))
    plain.exec()
    assert three.timeline.now_ps == plain.timeline.now_ps


def test_a_line_without_code_is_refused_with_near_lines(dpus):
    for breakpoint_, said in [
        (
            Breakpoint(line=FIRST - 2),
            rf"breakpoint at test_breakpoints\.py:{FIRST - 2}: .*nearest lines .*, {FIRST + 2}$",
        ),
        (Breakpoint(line=10_000), rf"have no code there; the nearest lines that have are .*{FIRST + 7}"),
        (Breakpoint(line=1, file="other.py"), r"has no code there, only in test_breakpoints\.py"),
    ]:
        one = dpus(1, EngineOptions(engine="interpreted", breakpoints=(breakpoint_,)))
        with pytest.raises(KernelError, match=said):
            one.load(program)


def test_a_tasklet_that_does_not_exist_is_refused(dpus):
    one = dpus(1, EngineOptions(engine="interpreted", breakpoints=(Breakpoint(line=AT_STORE, tasklet=3),)))
    one.load(program)
    with pytest.raises(KernelError, match="for tasklet 3: the program has tasklets 0 to 2"):
        one.exec()


def test_what_is_no_breakpoint_is_refused():
    for wrong in (Breakpoint(line=1), [Breakpoint(line=1)], (12,)):
        with pytest.raises(ValueError, match=r"give a tuple of Breakpoint\(line=\.\.\.\)"):
            EngineOptions(engine="interpreted", breakpoints=wrong)


def test_the_compiled_engine_has_none():
    with pytest.raises(ValueError, match=r"breakpoints need engine='interpreted'"):
        EngineOptions(breakpoints=(Breakpoint(line=1),))
