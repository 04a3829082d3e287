"""Programs that do not fit the machine: refused by `build`, with a list of what takes the space."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import DpuProgram, DpuSet, LinkError
from pim_runtime.device import int8, int32, int64, me, mem_alloc, uint8

pytestmark = pytest.mark.quick

WRAM_BYTES, MRAM_BYTES = 64 << 10, 64 << 20
RUNTIME_BYTES = 40  # null word, heap pointer and print state


def with_kernel(program):
    @program.kernel
    def idle(t):
        me(t)

    return program


def lines_of(program, hardware, **options):
    with pytest.raises(LinkError) as caught:
        program.build(hardware, **options)
    return str(caught.value).splitlines()


def test_wram_overflow_lists_what_takes_the_space(hardware):
    program = DpuProgram("wide", nr_tasklets=16)
    program.wram("scratch", int32, (8, 1024))
    program.host("parameters", int64, 1024)
    program.wram("flag", int8)
    with_kernel(program)
    needed = RUNTIME_BYTES + 32768 + 8 + 8192 + 16 * (1024 + 8)
    assert needed <= WRAM_BYTES
    program.build(hardware)
    stacks = 24 * 1024
    needed += 8 * (1024 + 8)
    assert lines_of(program, hardware, nr_tasklets=24) == [
        f"program 'wide' needs {needed:,} bytes of WRAM, {needed - WRAM_BYTES:,} more than the 65,536 there are:",
        "     32,768 bytes  wram int32 scratch[8, 1024]",
        f"     {stacks:,} bytes  stacks: 24 x 1024",
        "      8,192 bytes  host int64 parameters[1024]",
        "        192 bytes  software cache",
        "         40 bytes  runtime variables",
        "          1 bytes  wram int8 flag",
        "Make the largest smaller, use fewer tasklets, or move data to MRAM",
    ]


def test_stack_overflow_at_build(hardware):
    program = with_kernel(DpuProgram("deep", nr_tasklets=24, stack_bytes=2800))
    assert "     67,200 bytes  stacks: 24 x 2800" in lines_of(program, hardware)
    with_kernel(DpuProgram("flat", nr_tasklets=24, stack_bytes=2096)).build(hardware)


def test_wram_that_is_exactly_full(hardware, machine, interpreted):
    largest = WRAM_BYTES - RUNTIME_BYTES - 1024 - 8
    program = DpuProgram("full")
    scratch = program.wram("scratch", uint8, largest)

    @program.kernel
    def touch_the_ends(t):
        scratch.array(t)[0] = 1
        scratch.array(t)[len(scratch.array(t)) - 1] = len(mem_alloc(t, uint8, 0))

    with DpuSet(1, machine=machine, options=interpreted, binary=program) as dpus:
        dpus.exec()
    larger = DpuProgram("larger")
    larger.wram("scratch", uint8, largest + 1)
    assert "needs 65,544 bytes of WRAM, 8 more" in lines_of(with_kernel(larger), hardware)[0]


def test_mram_overflow_lists_what_takes_the_space(hardware):
    program = DpuProgram("tall")
    program.mram_noinit("keys", int8, 48 << 20)
    program.mram("values", int64, 2 << 20)
    program.mram("flag", int8)
    with_kernel(program)
    assert lines_of(program, hardware) == [
        "program 'tall' needs 67,108,872 bytes of MRAM, 8 more than the 67,108,864 there are:",
        "  50,331,648 bytes  mram_noinit int8 keys[50331648]",
        "  16,777,216 bytes  mram int64 values[2097152]",
        "          1 bytes  mram int8 flag",
        "Make the largest smaller, use fewer tasklets, or move data to the host",
    ]
    full = DpuProgram("full")
    full.mram_noinit("keys", int8, MRAM_BYTES)
    assert with_kernel(full).build(hardware).mram_heap_bytes == 0


def test_the_57th_mutex():
    program = DpuProgram("locks")
    bits = [program.mutex(f"lock{number}").bit for number in range(56)]
    assert bits == list(range(200, 256))
    with pytest.raises(LinkError, match=r"'one_more': all 56 mutex bits are taken by lock0, lock1, .*, lock55; share"):
        program.mutex("one_more")


def test_barriers_and_semaphores_take_bits_too():
    program = DpuProgram("barriers")
    for number in range(28):
        program.barrier(f"barrier{number}")
        program.semaphore(f"semaphore{number}", number)
    with pytest.raises(LinkError, match="'one_more': all 56 mutex bits are taken by barrier0, semaphore0"):
        program.barrier("one_more")


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (0, "barrier 'b': a count of 0 never opens"),
        (-1, "barrier 'b': a count of -1 never opens"),
        (128, r"'b': count 128 does not fit the 8-bit counter \(-127 to 127\)"),
    ],
)
def test_barrier_counts(count, says):
    with pytest.raises(LinkError, match=says):
        DpuProgram("barriers").barrier("b", count)
    DpuProgram("barriers").barrier("b", 127)


@pytest.mark.parametrize("count", [-128, 128])
def test_semaphore_counts(count):
    with pytest.raises(LinkError, match=rf"'s': count {count} does not fit the 8-bit counter \(-127 to 127\)"):
        DpuProgram("semaphores").semaphore("s", count)
    DpuProgram("semaphores").semaphore("s", -127)


@pytest.mark.parametrize("nr_tasklets", [0, 25, -1, 16.0])
def test_number_of_tasklets(nr_tasklets, hardware):
    says = f"program 'busy': {nr_tasklets} tasklets; a DPU runs 1 to 24"
    with pytest.raises(LinkError, match=says):
        DpuProgram("busy", nr_tasklets=nr_tasklets)
    program = with_kernel(DpuProgram("busy", nr_tasklets=24))
    with pytest.raises(LinkError, match=says):
        program.build(hardware, nr_tasklets=nr_tasklets)
    assert program.build(hardware).nr_tasklets == 24
    assert program.build(hardware, nr_tasklets=1).nr_tasklets == 1


@pytest.mark.parametrize("stack_bytes", [0, -8, 100])
def test_size_of_stacks(stack_bytes):
    with pytest.raises(LinkError, match=f"stacks of {stack_bytes} bytes; a stack is a positive multiple of 8 bytes"):
        DpuProgram("stacks", stack_bytes=stack_bytes)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda p: p.host("a", int32), "symbol 'a': the name is taken"),
        (lambda p: p.barrier("a"), "symbol 'a': the name is taken"),
        (lambda p: p.host("a b", int32), "symbol 'a b': the name is no C identifier"),
        (lambda p: p.host("n", int32, 0), r"symbol 'n': shape 0 must be positive integers"),
        (lambda p: p.host("n", int32, (4, -1)), r"symbol 'n': shape \(4, -1\) must be positive integers"),
        (lambda p: p.wram("n", int8, 4, initial=[1, 2, 3]), r"initial values of shape \(3,\) do not fit shape \(4,\)"),
        (lambda p: p.wram("n", int8, 2, initial=[0, 128]), "initial values 0 to 128 do not fit int8"),
        (lambda p: p.wram("n", uint8, 2, initial=[-1, 1]), "initial values -1 to 1 do not fit uint8"),
        (lambda p: p.wram("n", int32, 2, initial=[0.5, 1]), "initial values are float64, not integers"),
    ],
)
def test_declarations_that_cannot_be(declare, says):
    program = DpuProgram("declared")
    program.wram("a", int8)
    with pytest.raises(LinkError, match=says):
        declare(program)


@pytest.mark.parametrize("kind", ["float32", np.float64, object, "bool", "no such type"])
def test_symbols_of_no_integer_type(kind):
    with pytest.raises(TypeError, match=r"DPU symbols are int8 ... int64 or uint8 ... uint64"):
        DpuProgram("declared").host("x", kind)
    assert DpuProgram("declared").host("x", np.int16).kind.name == "int16"


def test_a_symbol_after_its_program_was_linked():
    program = DpuProgram("linked")
    assert program.wram("a", int8).address == RUNTIME_BYTES
    with pytest.raises(LinkError, match="symbol 'b': the program is linked already; declare every symbol before"):
        program.wram("b", int8)


def test_a_chip_with_fewer_mutex_bits(hardware):
    program = with_kernel(DpuProgram("locks"))
    for name in ("left", "right"):
        program.mutex(name)
    program.build(hardware.with_values({"dpu.reserved_atomic_bits": 254}))
    with pytest.raises(LinkError, match="'locks' takes 2 mutex bits, the chip has 1: left, right"):
        program.build(hardware.with_values({"dpu.reserved_atomic_bits": 255}))


def test_a_profile_with_another_dma_instruction(hardware):
    program = with_kernel(DpuProgram("any"))
    with pytest.raises(
        LinkError, match="has DMAs of 8 to 4096 bytes in steps of 8; the emulated instruction moves 8 to"
    ):
        program.build(hardware.with_values({"dma.max_bytes": 4096}))
