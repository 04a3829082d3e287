"""What a context says about its DPUs, and what it refuses to be given to."""

from __future__ import annotations

import numpy as np
import pytest
from walker import walker

from pim_runtime import Check, CheckpointError, DpuContext, DpuError, DpuProgram, DpuSet, Machine, load_profile
from pim_runtime.api import (
    DpuCheckpointFlags,
    dpu_checkpoint_deserialize,
    dpu_checkpoint_free,
    dpu_checkpoint_get_serialized_context_size,
    dpu_checkpoint_restore,
    dpu_checkpoint_save,
    dpu_checkpoint_serialize,
)
from pim_runtime.device import dpu_function, halt, int32, int64, me, mram_read, mutex_lock
from pim_runtime.errors import ArgumentError, DpuFaultError, InvalidDpuSetError

pytestmark = pytest.mark.quick

faulty = DpuProgram("faulty", nr_tasklets=2)
what = faulty.host("what", int64)
words = faulty.wram("words", int64, 8)


@faulty.kernel
def fail(t):
    """Tasklet 1 does wrong in one of five ways."""
    if me(t) == 1:
        if what.load(t) == 1:
            halt(t)
        elif what.load(t) == 2:
            mram_read(t, 4, words.array(t), 8)
        elif what.load(t) == 3:
            words.array(t)[8] = 1
        elif what.load(t) == 4:
            words.array(t)[0] = 1 // words.array(t)[0]


@pytest.fixture
def allocate(engine_options):
    """`allocate(n, hardware, clock)`: n DPUs of a machine of their own, freed after the test."""
    allocated = []

    def of(nr_dpus, hardware=None, clock="closed", binary=walker):
        machine = Machine(hardware or load_profile("upmem-v1a"), clock=clock)
        allocated.append(DpuSet(nr_dpus, machine=machine, options=engine_options, binary=binary))
        return allocated[-1]

    yield of
    for dpus in allocated:
        dpus.free()


def program(name="mine", nr_tasklets=2, length=4, factor=3, initial=None):
    """A program with a helper and a constant, which can differ in one respect each."""
    made = DpuProgram(name, nr_tasklets=nr_tasklets)
    numbers = made.host("numbers", int32, length, initial=initial)

    @dpu_function
    def scaled(value):
        return factor * value

    @made.kernel
    def scale(t):
        numbers.array(t)[me(t)] = scaled(numbers.array(t)[me(t)])

    return made


def refused(dpus, context, match, **parts):
    """The set refuses the context, and has not changed."""
    before = dpus.checkpoint().serialize()
    with pytest.raises(CheckpointError, match=match):
        dpus.restore(context, **parts)
    assert dpus.checkpoint().serialize() == before


def test_faults_are_told_as_the_sdk_does(allocate):
    dpus = allocate(5, binary=faulty)
    dpus.copy("what", np.arange(5).reshape(5, 1))
    with pytest.raises(DpuFaultError):
        dpus.exec()
    context = DpuContext.from_buffer(dpus.checkpoint().serialize())
    assert [dpu.bkp_fault() for dpu in context] == [None, (1, 4), None, None, (1, 2)]
    assert [dpu.dma_fault() for dpu in context] == [None, None, 1, None, None]
    assert [dpu.mem_fault() for dpu in context] == [None, None, None, 1, None]
    assert context[3].fault.line == fail.__code__.co_firstlineno + 9
    assert "index 8 of a WRAM view with 8 elements" in context[3].fault.text
    assert dpus.dpus()[3].checkpoint().fault == context[3].fault

    dpus.copy("what", np.zeros((5, 1), np.int64))
    dpus.exec()
    assert [dpu.fault for dpu in dpus.checkpoint()] == [None] * 5
    dpus.restore(context)
    assert dpus.checkpoint()[1].bkp_fault() == (1, 4)


def test_deadlocks_are_told_with_who_waits_for_what(allocate):
    program = DpuProgram("stuck", nr_tasklets=3)
    first = program.mutex("first")

    @program.kernel
    def cross(t):
        if me(t) < 2:
            yield mutex_lock(t, first)

    dpus = allocate(1, binary=program)
    with pytest.raises(DpuFaultError, match="deadlock"):
        dpus.exec()
    before = dpus.checkpoint()
    after = DpuContext.from_buffer(before.serialize())
    assert after.fault == before.fault
    assert after.fault.waits[0].what == "mutex 'first'"
    assert [bit for bit, taken in enumerate(after.atomic_bits()) if taken] == [first.bit]
    assert after.bkp_fault() is after.dma_fault() is after.mem_fault() is None


def test_the_checker_takes_what_was_restored_as_written(engine_options):
    def allocate():
        machine = Machine(load_profile("upmem-v1a"))
        return DpuSet(1, machine=machine, options=engine_options, binary=walker, check=Check(dpus=1, orders=0))

    with allocate() as dpus, allocate() as other:
        dpus.copy("history", np.arange(48, dtype=np.int64).reshape(1, 48))
        other.restore(dpus.checkpoint())
        other.exec()
        assert not other.findings


def test_memories_of_one_dpu(allocate):
    dpus = allocate(3)
    fill_rows = np.arange(3 * 8, dtype=np.int64).reshape(3, 8)
    dpus.copy("history", fill_rows)
    context = dpus.checkpoint()
    assert len(context) == 3
    assert context[2].mram()[:64] == fill_rows[2].tobytes()
    assert len(context[2].mram()) == 64 << 20
    assert len(context[2].wram()) == 65536
    assert len(context[2].iram()) == 32
    assert context[0].iram() == context[1].iram()
    assert repr(context) == "<DpuContext of a set of 3 DPUs with program 'walker' with 3 tasklets>"
    with pytest.raises(InvalidDpuSetError, match=r"holds 3 DPUs: choose one of them, as in context\[0\]"):
        context.mram()
    with pytest.raises(IndexError, match="DPU 3"):
        _ = context[3]


def test_parts_can_be_left_out(allocate):
    dpus, other = allocate(2), allocate(2)
    dpus.copy("history", np.ones((2, 8), np.int64))
    dpus.exec()
    context = dpus.checkpoint(mram=False)
    with pytest.raises(CheckpointError, match=r"saved without mram: it has internal, iram, wram"):
        context[0].mram()
    refused(other, context, r"has no mram, only internal, iram, wram: restore with mram=False")
    other.restore(context, mram=False)
    assert other.checkpoint()[0].wram() == dpus.checkpoint()[0].wram()
    assert not any(other.checkpoint()[0].mram()[:64])


def test_the_c_functions(allocate):
    dpus, other = allocate(2), allocate(2)
    dpus.exec()
    context = dpu_checkpoint_save(dpus)
    buffer = dpu_checkpoint_serialize(context)
    assert dpu_checkpoint_get_serialized_context_size(context) == len(buffer)
    dpu_checkpoint_restore(other, DpuCheckpointFlags.DPU_CHECKPOINT_ALL, dpu_checkpoint_deserialize(buffer))
    assert other.timeline.rows == dpus.timeline.rows
    dpu_checkpoint_free(context)

    flags = DpuCheckpointFlags.DPU_CHECKPOINT_WRAM | DpuCheckpointFlags.DPU_CHECKPOINT_IRAM
    only_wram = dpu_checkpoint_save(dpus, flags)
    assert only_wram.state.parts == ("iram", "wram")
    dpus.exec()
    rows = list(dpus.timeline.rows)
    dpu_checkpoint_restore(dpus, flags, only_wram)
    assert dpus.timeline.rows == rows
    assert dpus.step.int64() == [1, 1]
    assert dpu_checkpoint_save(dpus, DpuCheckpointFlags.DPU_CHECKPOINT_NONE).state.parts == ()


def test_another_number_of_dpus_is_refused(allocate):
    context = allocate(3).checkpoint()
    refused(allocate(4), context, r"the checkpoint has 3 DPUs, this set 4: allocate 3 DPUs, or restore single ones")


def test_another_machine_is_refused(allocate):
    context = allocate(1).checkpoint()
    slow = load_profile("upmem-v1a").with_values({"pipeline.clock_mhz": 200})
    refused(allocate(1, slow), context, r"pipeline\.clock_mhz 350, here 200\. Allocate from a machine with the same")
    refused(allocate(1, load_profile("prim-2021")), context, "these DPUs are of 'prim-2021'")
    refused(allocate(1, clock="event"), context, r"form 'closed', here 'event'\. Allocate from a Machine\(")


def test_a_machine_with_fewer_ranks_will_do(allocate):
    context = allocate(1).checkpoint()
    allocate(1, load_profile("upmem-v1a").with_values({"geometry.ranks": 2})).restore(context)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"name": "yours"}, r"program 'mine' with 2 tasklets, but program 'yours' with 2 tasklets is loaded"),
        ({"nr_tasklets": 4}, r"but program 'mine' with 4 tasklets is loaded"),
        ({"length": 6}, r"has the variable `host int32 numbers\[6\] at 0x28` in place of `host int32 numbers\[4\] at"),
        ({"factor": 5}, r"but the one that is loaded has another kernel, constants or initial values"),
        ({"initial": (1, 2, 3, 4)}, r"but the one that is loaded has another kernel, constants or initial values"),
    ],
)
def test_another_program_is_refused(allocate, other, said):
    context = allocate(1, binary=program()).checkpoint()
    refused(allocate(1, binary=program(**other)), context, rf"{said}.*load the program that it was saved with")
    allocate(1, binary=program()).restore(context)
    allocate(1, binary=program(**other)).restore(context, iram=False)


def test_no_program_is_no_match(allocate):
    context = allocate(1).checkpoint()
    refused(allocate(1, binary=None), context, "saved with program 'walker' with 3 tasklets, but none is loaded")
    empty = allocate(1, binary=None).checkpoint()
    assert empty.iram() == b""
    allocate(1).restore(empty)


def test_sets_with_several_programs(allocate):
    dpus, other = allocate(3), allocate(3)
    for each in (dpus, other):
        each.dpus()[1].load(faulty)
    dpus.dpus()[1].copy("what", np.ones(8, np.uint8))
    other.restore(DpuContext.from_buffer(dpus.checkpoint().serialize()))
    assert other.dpus()[1].what.int64() == dpus.dpus()[1].what.int64() != 0
    refused(allocate(3), dpus.checkpoint(), r"DPU 1 was saved with program 'faulty'")


def test_wrong_arguments(allocate, engine_options):
    dpus = allocate(1)
    with pytest.raises(ArgumentError, match=r"a context is a DpuContext, not bytes"):
        dpus.restore(b"")
    context = dpus.checkpoint()
    lone = DpuSet(1, binary=walker, machine=Machine(load_profile("upmem-v1a")), options=engine_options)
    lone.free()
    for call in (lone.checkpoint, lambda: lone.restore(context)):
        with pytest.raises(InvalidDpuSetError, match="was freed"):
            call()


def test_memories_that_are_no_multiple_of_a_block(allocate):
    odd = load_profile("upmem-v1a").with_values({"dpu.wram_bytes": 63488, "dpu.mram_bytes": 1_000_008})
    small = program()
    dpus, other = allocate(5, odd, binary=small), allocate(5, odd, binary=small)
    dpus.copy("__sys_used_mram_end", np.full((5, 1_000_008), 7, np.uint8))
    other.copy("__sys_used_mram_end", np.full((5, 1_000_008), 9, np.uint8))
    other.dpus()[3].restore(dpus.checkpoint()[3])
    found = np.zeros((5, 1_000_008), np.uint8)
    other.copy(found, "__sys_used_mram_end")
    assert [set(row) for row in found] == [{9}, {9}, {9}, {7}, {9}]


def test_every_error_is_a_dpu_error():
    assert issubclass(CheckpointError, DpuError)
