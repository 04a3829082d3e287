"""What the interpreted engine is for: print and breakpoints inside kernels, on the same memory."""

from __future__ import annotations

import sys

import pytest

from pim_runtime import DpuProgram, EngineOptions, KernelError
from pim_runtime.device import barrier_wait, int64, me

program = DpuProgram("debugged", nr_tasklets=2)
values = program.host("values", int64, 2)
ready = program.barrier("ready")


@program.kernel
def debugged(t):
    mine = 10 * me(t)
    print("tasklet", me(t), "of DPU memory at", values.address)
    yield barrier_wait(t, ready)
    breakpoint()  # noqa: T100 - the subject of the test
    values.array(t)[me(t)] = mine


@pytest.mark.quick
def test_print_and_breakpoint_work_in_the_interpreted_engine(dpus, monkeypatch, capsys):
    seen = []

    def stop():
        caller = sys._getframe(1)
        seen.append((caller.f_code.co_name, caller.f_locals["t"].me, caller.f_locals["mine"]))

    monkeypatch.setattr(sys, "breakpointhook", stop)
    one = dpus(1, EngineOptions(engine="interpreted"))
    one.load(program)
    one.exec()
    assert seen == [("debugged", 0, 0), ("debugged", 1, 10)]
    assert (
        capsys.readouterr().out
        == f"tasklet 0 of DPU memory at {values.address}\ntasklet 1 of DPU memory at {values.address}\n"
    )
    assert list(one.values.int64()) == [0, 10]


@pytest.mark.quick
def test_the_compiled_engine_refuses_them(dpus):
    with pytest.raises(KernelError, match=r"only CPython runs.*interpreted"):
        dpus(1).load(program)
