"""The C names (upmem-sdk 2.2, 2.5 and 2.7): signatures, prepared buffers, and what works on which kind of set."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import DpuProgram
from pim_runtime.api import (
    DPU_ALLOCATE_ALL,
    DPU_FOREACH,
    DPU_MRAM_HEAP_POINTER_NAME,
    DPU_RANK_FOREACH,
    DpuLaunchPolicy,
    DpuXfer,
    DpuXferFlags,
    dpu_alloc,
    dpu_alloc_ranks,
    dpu_broadcast_to,
    dpu_copy_from,
    dpu_copy_to,
    dpu_free,
    dpu_get_nr_dpus,
    dpu_get_nr_ranks,
    dpu_get_symbol,
    dpu_launch,
    dpu_load,
    dpu_prepare_xfer,
    dpu_push_xfer,
    dpu_sync,
)
from pim_runtime.errors import (
    ArgumentError,
    InvalidBufferSizeError,
    InvalidDpuSetError,
    InvalidLaunchPolicyError,
    InvalidMemoryTransferError,
    InvalidMramAccessError,
    InvalidParallelMemoryTransferError,
    InvalidSymbolAccessError,
    UnknownSymbolError,
)

pytestmark = pytest.mark.quick

TO, FROM = DpuXfer.DPU_XFER_TO_DPU, DpuXfer.DPU_XFER_FROM_DPU
NO_RESET = DpuXferFlags.DPU_XFER_NO_RESET


def first_words(dpus):
    return [int(values[0]) for values in dpus.rows.int64()]


def test_a_host_program_from_alloc_to_free(machine, interpreted, programs):
    """The shape of every PrIM host program."""
    dpu_set = dpu_alloc(70, None, machine=machine, options=interpreted)
    binary = dpu_load(dpu_set, programs[0])
    assert (dpu_get_nr_dpus(dpu_set), dpu_get_nr_ranks(dpu_set)) == (70, 2)
    data = np.arange(70 * 4, dtype=np.int64).reshape(70, 4)
    for dpu, i in DPU_FOREACH(dpu_set):
        dpu_prepare_xfer(dpu, data[i])
    dpu_push_xfer(dpu_set, TO, "rows", 0, 32, DpuXferFlags.DPU_XFER_DEFAULT)
    dpu_launch(dpu_set, DpuLaunchPolicy.DPU_SYNCHRONOUS)
    dpu_sync(dpu_set)
    back = np.zeros_like(data)
    for dpu, i in DPU_FOREACH(dpu_set):
        dpu_prepare_xfer(dpu, back[i])
    dpu_push_xfer(dpu_set, FROM, "rows", 0, 32)
    np.testing.assert_array_equal(back, data)
    for rank, i in DPU_RANK_FOREACH(dpu_set):
        assert dpu_get_nr_dpus(rank) == [64, 6][i]
    assert dpu_get_symbol(binary, "number").size() == 4
    dpu_free(dpu_set)
    assert machine.free_ranks == 40


def test_constants_have_the_sdks_values():
    assert DPU_ALLOCATE_ALL == 0xFFFF_FFFF
    assert DPU_MRAM_HEAP_POINTER_NAME == "__sys_used_mram_end"
    assert (int(DpuLaunchPolicy.DPU_ASYNCHRONOUS), int(DpuLaunchPolicy.DPU_SYNCHRONOUS)) == (0, 1)
    assert (int(TO), int(FROM)) == (0, 1)
    assert [int(flag) for flag in (DpuXferFlags.DPU_XFER_DEFAULT, NO_RESET)] == [0, 1]
    assert [int(flag) for flag in (DpuXferFlags.DPU_XFER_ASYNC, DpuXferFlags.DPU_XFER_PARALLEL)] == [2, 4]


def test_allocate_all(machine, interpreted):
    with dpu_alloc_ranks(38, "", machine=machine, options=interpreted):
        dpus = dpu_alloc(DPU_ALLOCATE_ALL, machine=machine, options=interpreted)
        assert dpu_get_nr_dpus(dpus) == 128
        dpu_free(dpus)


def test_pushed_buffers_are_forgotten_unless_told(four):
    dpu_prepare_xfer(four, np.arange(4, dtype=np.int64).reshape(4, 1))
    dpu_push_xfer(four, TO, "rows", 0, 8, NO_RESET)
    dpu_push_xfer(four, TO, "rows", 8, 8)
    assert [values[:2].tolist() for values in four.rows.int64()] == [[dpu, dpu] for dpu in range(4)]
    commands = len(four.timeline)
    dpu_push_xfer(four, TO, "rows", 16, 8)
    assert len(four.timeline) == commands, "nobody has a buffer"


def test_a_push_of_nothing_forgets_too(four):
    dpu_prepare_xfer(four, bytes(8))
    dpu_push_xfer(four, TO, "rows", 0, 0)
    four.copy("rows", bytes([1] * 8))
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert all(first_words(four))


def test_null_leaves_a_dpu_out_and_clears(four):
    dpu_prepare_xfer(four, np.full((4, 1), 5))
    dpu_prepare_xfer(four.dpus()[1], None)
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert first_words(four) == [5, 0, 5, 5]
    dpu_prepare_xfer(four, np.full((4, 1), 6))
    dpu_prepare_xfer(four, None)
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert first_words(four) == [5, 0, 5, 5]


def test_a_second_prepare_overwrites(four):
    dpu_prepare_xfer(four, np.full((4, 1), 1))
    dpu_prepare_xfer(four.dpus()[2], np.full(1, 2))
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert first_words(four) == [1, 1, 2, 1]


def test_one_buffer_serves_all_dpus_of_a_set(four):
    dpu_prepare_xfer(four, np.full(1, 9))
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert first_words(four) == [9] * 4
    dpu_prepare_xfer(four, bytearray(8))
    with pytest.raises(
        InvalidMemoryTransferError, match="several DPUs would fill one host buffer; give every DPU its own"
    ):
        dpu_push_xfer(four, FROM, "rows", 0, 8)


def test_the_buffers_contents_count_at_the_push(four):
    data = np.zeros((4, 1), np.int64)
    dpu_prepare_xfer(four, data)
    data[:] = 3
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert first_words(four) == [3] * 4


def test_the_table_is_shared_by_all_sets_over_the_ranks(allocate):
    dpus = allocate(66)
    dpu_prepare_xfer(dpus, np.arange(66, dtype=np.int64).reshape(66, 1))
    dpu_push_xfer(dpus.ranks()[1], TO, "rows", 0, 8)
    dpu_push_xfer(dpus.dpus()[3], TO, "rows", 0, 8)
    assert first_words(dpus) == [0, 0, 0, 3] + [0] * 60 + [64, 65]
    dpu_push_xfer(dpus, TO, "rows", 0, 8)
    assert first_words(dpus) == list(range(66)), "the others were still prepared"
    write = dpus.timeline.rows[-2]
    assert (write.operation, write.nr_dpus) == ("write", 63)


@pytest.mark.parametrize(
    ("push", "error"),
    [
        (lambda dpus: dpu_push_xfer(dpus, TO, "nope", 0, 8), UnknownSymbolError),
        (lambda dpus: dpu_push_xfer(dpus, TO, "rows", 128, 8), InvalidSymbolAccessError),
        (lambda dpus: dpu_push_xfer(dpus, TO, "rows", 4, 8), InvalidMramAccessError),
        (lambda dpus: dpu_push_xfer(dpus, 2, "rows", 0, 8), InvalidMemoryTransferError),
        (lambda dpus: dpu_push_xfer(dpus, TO, "rows", 0, 16), InvalidBufferSizeError),
    ],
    ids=["symbol", "size", "alignment", "direction", "buffer"],
)
def test_an_early_error_keeps_the_prepared_buffers(four, push, error):
    dpu_prepare_xfer(four, np.full((4, 1), 4))
    with pytest.raises(error):
        push(four)
    dpu_push_xfer(four, TO, "rows", 0, 8)
    assert first_words(four) == [4] * 4


def test_read_only_buffers_can_be_pushed_but_not_filled(four):
    dpu_prepare_xfer(four, bytes(range(8)))
    dpu_push_xfer(four, TO, "rows", 0, 8)
    dpu = four.dpus()[0]
    dpu_prepare_xfer(dpu, bytes(8))
    with pytest.raises(InvalidMemoryTransferError, match="the host buffer is read-only; DPU data needs a writable one"):
        dpu_push_xfer(dpu, FROM, "rows", 0, 8)
    target = bytearray(8)
    dpu_prepare_xfer(dpu, target)
    dpu_push_xfer(dpu, FROM, "rows", 0, 8)
    assert target == bytes(range(8))


def test_prepare_checks_its_buffer(four):
    with pytest.raises(ArgumentError, match=r"^invalid number of host buffers for this DPU set"):
        dpu_prepare_xfer(four, np.zeros((3, 2)))
    with pytest.raises(InvalidMemoryTransferError, match="a int is no host buffer"):
        dpu_prepare_xfer(four, 3)
    with pytest.raises(InvalidMemoryTransferError, match="not C-contiguous"):
        dpu_prepare_xfer(four, np.zeros(8)[::2])


def test_copy_to_is_a_broadcast_and_copy_from_needs_a_single_dpu(four):
    dpu_copy_to(four, "rows", 8, np.arange(3), 16)
    dpu_copy_to(four.dpus()[1], "rows", 0, b"abcdefgh")
    target = np.zeros(3, np.int64)
    dpu_copy_from(four.dpus()[1], "rows", 0, target)
    assert target.tolist() == [int.from_bytes(b"abcdefgh", "little"), 0, 1]
    dpu_copy_from(four.dpus()[2], "rows", 0, target, 8)
    assert target.tolist() == [0, 0, 1]
    assert [row.mode for row in four.timeline.rows[-4:]] == ["broadcast", "serial_to", "serial_from", "serial_from"]
    for part in (four, four.ranks()[0]):
        with pytest.raises(
            InvalidDpuSetError, match=r"^invalid action for this dpu set: dpu_copy_from works on a single DPU"
        ):
            dpu_copy_from(part, "rows", 0, bytearray(8))


def test_copy_from_refuses_even_a_set_of_one(allocate):
    one = allocate(1)
    with pytest.raises(InvalidDpuSetError):
        dpu_copy_from(one, "rows", 0, bytearray(8))
    dpu_copy_from(one.dpus()[0], "rows", 0, bytearray(8))


def test_copies_check_their_buffers(four):
    dpu = four.dpus()[0]
    for copy in (
        lambda: dpu_copy_to(four, "rows", 0, bytes(8), 16),
        lambda: dpu_broadcast_to(four, "rows", 0, bytes(8), 16),
        lambda: dpu_copy_from(dpu, "rows", 0, bytearray(8), 16),
    ):
        with pytest.raises(
            InvalidBufferSizeError, match=r"^invalid buffer size: host buffer is too small: 8 bytes, 16 "
        ):
            copy()
    with pytest.raises(InvalidMemoryTransferError, match="read-only"):
        dpu_copy_from(dpu, "rows", 0, bytes(8))


def test_broadcast_to_sets_ranks_and_dpus(allocate):
    dpus = allocate(66)
    dpu_broadcast_to(dpus, "rows", 0, np.full(1, 1), 8, DpuXferFlags.DPU_XFER_DEFAULT)
    dpu_broadcast_to(dpus.ranks()[1], "rows", 0, np.full(2, 2), 8)
    dpu_broadcast_to(dpus.dpus()[0], "rows", 0, np.full(1, 3))
    assert first_words(dpus) == [3] + [1] * 63 + [2, 2]


def test_symbols_instead_of_names(four, programs):
    symbol = dpu_get_symbol(four.load(programs[0]), "pair")
    dpu_broadcast_to(four, symbol, 8, np.full(1, 4))
    target = np.zeros(2, np.int64)
    dpu_copy_from(four.dpus()[3], symbol, 0, target)
    assert target.tolist() == [10, 4]
    dpu_prepare_xfer(four, np.full((4, 1), 5))
    dpu_push_xfer(four, TO, symbol, 0, 8)
    assert [values.tolist() for values in four.pair.int64()] == [[5, 4]] * 4
    with pytest.raises(
        UnknownSymbolError, match=r"^undefined symbol: 'hidden' in program 'shelf'; the host sees .*number"
    ):
        dpu_get_symbol(four.load(programs[0]), "hidden")


def test_what_only_asynchronous_queues_could_do(four):
    with pytest.raises(InvalidLaunchPolicyError, match=r"^invalid launch policy: .*launches are synchronous here"):
        dpu_launch(four, DpuLaunchPolicy.DPU_ASYNCHRONOUS)
    assert four.number.int32() == [7] * 4
    dpu_prepare_xfer(four, bytes(8))
    with pytest.raises(ArgumentError, match=r"^DPU_XFER_ASYNC: transfers are synchronous here"):
        dpu_push_xfer(four, TO, "rows", 0, 8, DpuXferFlags.DPU_XFER_ASYNC)
    with pytest.raises(
        InvalidParallelMemoryTransferError, match=r"^invalid parallel transfer \(should be to/from WRAM\)"
    ):
        dpu_broadcast_to(four, "rows", 0, bytes(8), 8, DpuXferFlags.DPU_XFER_PARALLEL)
    with pytest.raises(InvalidMemoryTransferError, match=r"^invalid memory transfer: direction 5: use DPU_XFER_TO_DPU"):
        dpu_push_xfer(four, 5, "rows", 0, 8)


def test_load_for_another_number_of_tasklets(four, programs):
    assert dpu_load(four, programs[0], nr_tasklets=5).nr_tasklets == 5
    (result,) = four.exec()
    assert result.counters.nr_tasklets == 5
    with pytest.raises(ArgumentError, match="a program is a DpuProgram or DpuBinary, not type"):
        dpu_load(four, DpuProgram)
