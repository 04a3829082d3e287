"""Machines larger than this computer: a clear error with sizes and mend, no rank is lost, and the set goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
from pathlib import Path

import numpy as np
import pytest

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime import memory as memory_module
from pim_runtime.device import int64, me
from pim_runtime.engine.shard import Shard
from pim_runtime.errors import AllocationError, DpuErrorCode, OutOfMemoryError

pytestmark = pytest.mark.quick

GIB = 1 << 30
INTERPRETED = EngineOptions(engine="interpreted")

program = DpuProgram("ranks", nr_tasklets=2)
table = program.mram_noinit("table", int64, 4 << 20)
answers = program.host("answers", int64, 2)


@program.kernel
def answer(t):
    answers.array(t)[me(t)] = 40 + me(t)


def address_bytes():
    """Addresses that this process has in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


@contextlib.contextmanager
def addresses(nr_bytes):
    """Let this process have no more than `nr_bytes` further addresses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes() + nr_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def larger(hardware, ranks):
    return dataclasses.replace(hardware, geometry=dataclasses.replace(hardware.geometry, ranks=ranks))


def test_more_dpus_than_there_are_addresses(hardware):
    machine = Machine(hardware)
    with addresses(4 * GIB):
        with pytest.raises(AllocationError) as caught:
            DpuSet(128, machine=machine, options=INTERPRETED)
        assert str(caught.value).startswith(
            "dpu allocation error: no addresses for 8,589,934,592 bytes of DPU memory: Cannot allocate memory; this "
            "process may have "
        )
        assert "(ulimit -v). Allocate fewer DPUs, or free other sets, or raise the limit" in str(caught.value)
        assert machine.free_ranks == 40, "no rank is lost"
        with DpuSet(16, machine=machine, options=INTERPRETED, binary=program) as dpus:
            dpus.exec()
            assert [list(values) for values in dpus.answers.int64()] == [[40, 41]] * 16


def test_a_refused_allocation_gives_its_addresses_back(hardware):
    """WRAM and MRAM have addresses, counters have not."""
    machine, before = Machine(hardware), address_bytes()
    enough_for_two = 64 * (hardware.dpu.mram_bytes + hardware.dpu.wram_bytes) + (20 << 20)
    with addresses(enough_for_two), pytest.raises(AllocationError):
        DpuSet(64, machine=machine, options=INTERPRETED)
    assert address_bytes() - before < GIB
    assert machine.free_ranks == 40


@pytest.mark.parametrize("ranks", [10**6, 10**9, 10**15, 10**30])
def test_machines_of_absurd_sizes(hardware, ranks):
    machine = Machine(larger(hardware, ranks))
    with pytest.raises(AllocationError, match=r"^dpu allocation error: no addresses for [\d,]* bytes of DPU memory: "):
        DpuSet(machine=machine, options=INTERPRETED)
    assert machine.free_ranks == ranks
    with DpuSet(nr_ranks=1, machine=machine, options=INTERPRETED) as dpus:
        assert len(dpus) == 64


def test_a_system_that_does_not_overcommit_is_named(monkeypatch, tmp_path, hardware):
    setting = tmp_path / "overcommit_memory"
    setting.write_text("2\n")
    monkeypatch.setattr(memory_module, "OVERCOMMIT", setting)
    with pytest.raises(AllocationError, match=r"overcommit_memory is 2, which lets no process .*, or set it to 0$"):
        DpuSet(machine=Machine(larger(hardware, 10**9)), options=INTERPRETED)


@pytest.mark.parametrize("operation", ["launch", "transfer", "load"])
def test_a_command_without_memory_is_an_error_and_the_set_goes_on(monkeypatch, hardware, operation):
    def fail(*args):
        raise MemoryError("Unable to allocate 6 GiB")

    method = {"launch": "counters", "transfer": "write", "load": "load"}[operation]
    act = {
        "launch": lambda dpus: dpus.exec(),
        "transfer": lambda dpus: dpus.copy("answers", np.zeros((3, 2), np.int64)),
        "load": lambda dpus: dpus.load(program),
    }[operation]
    with DpuSet(3, machine=Machine(hardware), options=INTERPRETED, binary=program) as dpus:
        rows = len(dpus.timeline)
        with monkeypatch.context() as patch:
            patch.setattr(Shard, method, fail)
            with pytest.raises(OutOfMemoryError) as caught:
                act(dpus)
        assert caught.value.code is DpuErrorCode.DPU_ERR_SYSTEM
        assert isinstance(caught.value, MemoryError)
        assert str(caught.value) == (
            f"system error: this computer has no memory for the {operation} of 3 DPUs (Unable to allocate 6 GiB). It "
            "may have done a part of its work. Use fewer DPUs at once, or free other sets; this one goes on"
        )
        assert len(dpus.timeline) == rows
        act(dpus)
        dpus.exec()
        assert [list(values) for values in dpus.answers.int64()] == [[40, 41]] * 3


def test_reading_a_symbol_that_does_not_fit_the_host(hardware):
    with DpuSet(64, machine=Machine(hardware), options=INTERPRETED, binary=program) as dpus:
        with (
            addresses(GIB),
            pytest.raises(OutOfMemoryError, match="no 2,147,483,648 bytes for symbol 'table' of 64 DPUs"),
        ):
            dpus.table  # noqa: B018 - reading copies
        dpus.exec()
