"""Hazards on the host's side, each with its corrected twin; tests/host_api has the API in full."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import DpuProgram, DpuSet, Machine
from pim_runtime.api import DpuXfer, dpu_alloc, dpu_alloc_ranks, dpu_free, dpu_prepare_xfer, dpu_push_xfer
from pim_runtime.device import int32, int64, me
from pim_runtime.errors import (
    AllocationError,
    ArgumentError,
    InvalidBufferSizeError,
    InvalidDpuSetError,
    InvalidMramAccessError,
    InvalidSymbolAccessError,
    InvalidWramAccessError,
    NoProgramLoadedError,
    UnknownSymbolError,
)

pytestmark = pytest.mark.quick

program = DpuProgram("plain", nr_tasklets=2)
rows = program.mram_noinit("rows", int64, 16)
pair = program.host("pair", int32, 2)
hidden = program.wram("hidden", int32, 2)


@program.kernel
def note(t):
    pair.array(t)[me(t)] = hidden.array(t)[me(t)] + 1


@pytest.fixture
def dpus(machine, interpreted):
    with DpuSet(4, machine=machine, options=interpreted, binary=program) as dpus:
        yield dpus


def test_launch_without_a_program(machine, interpreted):
    with DpuSet(2, machine=machine, options=interpreted) as dpus:
        with pytest.raises(
            NoProgramLoadedError, match="DPU 0 would run whatever its instruction memory holds; call dpu_load"
        ):
            dpus.exec()
        dpus.dpus()[0].load(program)
        with pytest.raises(NoProgramLoadedError, match="DPU 1 would run"):
            dpus.exec()
        assert not dpus.timeline.duration_ps("launch"), "nothing has run"
        dpus.load(program)
        dpus.exec()


def test_a_symbol_that_does_not_exist(dpus):
    with pytest.raises(UnknownSymbolError, match=r"'row' in program 'plain'; the host sees .*pair, rows"):
        dpus.copy("row", bytes(8))
    dpus.copy("rows", bytes(8))


def test_a_plain_wram_variable_is_invisible(dpus):
    with pytest.raises(
        UnknownSymbolError, match=r"plain WRAM variables are not visible, declare them with program\.host"
    ):
        dpus.copy("hidden", bytes(8))
    with pytest.raises(AttributeError, match="'hidden' is neither an attribute of DpuSet nor a symbol"):
        _ = dpus.hidden
    dpus.exec()
    assert [list(values) for values in dpus.pair.int32()] == [[1, 1]] * 4


def test_a_transfer_past_its_symbol(dpus):
    with pytest.raises(InvalidSymbolAccessError, match="16 bytes at offset 120 of 'rows', which has 128 bytes"):
        dpus.copy("rows", bytes(16), offset=120)
    with pytest.raises(InvalidSymbolAccessError, match="8 bytes at offset -8 of 'rows'"):
        dpus.copy("rows", bytes(8), offset=-8)
    dpus.copy("rows", bytes(16), offset=112)


@pytest.mark.parametrize(("offset", "size"), [(4, 8), (0, 4), (2, 2), (0, 12)])
def test_a_misaligned_mram_transfer(dpus, offset, size):
    says = f"{size} bytes at offset {offset} of 'rows': MRAM transfers start and end at multiples of 8 bytes; pad"
    with pytest.raises(InvalidMramAccessError, match=says):
        dpus.copy("rows", bytes(size), offset=offset)
    dpus.copy("rows", bytes(16), offset=offset & -8)


@pytest.mark.parametrize(("offset", "size"), [(2, 4), (0, 2), (1, 1), (4, 3)])
def test_a_misaligned_wram_transfer(dpus, offset, size):
    says = f"{size} bytes at offset {offset} of 'pair': WRAM transfers start and end at multiples of 4 bytes; pad"
    with pytest.raises(InvalidWramAccessError, match=says):
        dpus.copy("pair", bytes(size), offset=offset)
    dpus.copy("pair", bytes(4), offset=offset & -4)


def test_buffers_of_a_wrong_size(dpus):
    with pytest.raises(ArgumentError, match="host buffer is too small: 8 bytes, 16 are transferred"):
        dpus.copy("rows", bytes(8), size=16)
    with pytest.raises(ArgumentError, match="invalid number of host buffers for this DPU set: 3 for 4 DPUs"):
        dpus.copy("rows", [bytes(8)] * 3)
    dpu_prepare_xfer(dpus, np.zeros((4, 1), np.int64))
    with pytest.raises(InvalidBufferSizeError, match="host buffer is too small: 8 bytes, 16 are transferred"):
        dpu_push_xfer(dpus, DpuXfer.DPU_XFER_TO_DPU, "rows", 0, 16)
    dpu_push_xfer(dpus, DpuXfer.DPU_XFER_TO_DPU, "rows", 0, 8)


def test_more_dpus_than_the_machine_has(hardware, interpreted):
    machine = Machine(hardware)
    with pytest.raises(
        AllocationError, match="2561 DPUs requested, that is 41 ranks of 64: 40 of 40 ranks are free, at most 2560"
    ):
        dpu_alloc(2561, machine=machine, options=interpreted)
    with pytest.raises(AllocationError, match="41 ranks requested: 40 of 40 are free"):
        dpu_alloc_ranks(41, machine=machine, options=interpreted)
    for nothing in (0, -1):
        with pytest.raises(AllocationError, match=f"{nothing} DPUs requested: at least one is needed"):
            dpu_alloc(nothing, machine=machine, options=interpreted)
        with pytest.raises(AllocationError, match=f"{nothing} ranks requested: at least one is needed"):
            dpu_alloc_ranks(nothing, machine=machine, options=interpreted)
    assert machine.free_ranks == 40
    with DpuSet(2560, machine=machine, options=interpreted):
        assert machine.free_ranks == 0


def test_free_twice_and_free_a_part(machine, interpreted):
    dpus = dpu_alloc(70, machine=machine, options=interpreted)
    with pytest.raises(InvalidDpuSetError, match="only the set that was allocated can be freed, not a rank"):
        dpu_free(dpus.ranks()[0])
    with pytest.raises(InvalidDpuSetError, match="only the set that was allocated can be freed, not a dpu"):
        dpu_free(dpus.dpus()[0])
    dpu_free(dpus)
    with pytest.raises(InvalidDpuSetError, match="the set was freed; allocate a new one"):
        dpu_free(dpus)


@pytest.mark.parametrize(
    "use",
    [
        lambda dpus: dpus.exec(),
        lambda dpus: dpus.load(program),
        lambda dpus: dpus.copy("rows", bytes(8)),
        lambda dpus: dpus.copy([bytearray(8) for _ in dpus], "rows"),
        lambda dpus: dpus.pair,
        lambda dpus: dpus.sync(),
        lambda dpus: dpus.free(),
        lambda dpus: dpu_prepare_xfer(dpus, bytes(8)),
        lambda dpus: dpus.dpus()[1].exec(),
    ],
    ids=["exec", "load", "copy to", "copy from", "attribute", "sync", "free", "prepare", "exec of a part"],
)
def test_use_after_free(machine, interpreted, use):
    dpus = DpuSet(4, machine=machine, options=interpreted, binary=program)
    dpus.free()
    with pytest.raises(
        InvalidDpuSetError, match=r"^invalid action for this dpu set: the set was freed; allocate a new one"
    ):
        use(dpus)
