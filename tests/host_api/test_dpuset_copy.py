"""DpuSet.copy: which side is whose, the shapes of host data, sizes and offsets, and what is refused (upmem-sdk 1.6)."""

from __future__ import annotations

import array

import numpy as np
import pytest

from pim_runtime import DpuSymbol
from pim_runtime.allocation import Allocation
from pim_runtime.errors import (
    ArgumentError,
    DpuErrorCode,
    InvalidMemoryTransferError,
    InvalidSymbolAccessError,
)

pytestmark = pytest.mark.quick

EVERY_BUFFER = [
    bytes(range(8)), bytearray(range(8)), memoryview(bytes(range(8))), array.array("B", range(8)),
    np.arange(8, dtype=np.uint8), np.arange(8, dtype=np.int8),
]  # fmt: skip


@pytest.fixture
def commands(monkeypatch):
    """The transfer commands that leave the host API."""
    seen = []
    original = Allocation.transfer

    def transfer(self, command, what):
        seen.append(command)
        original(self, command, what)

    monkeypatch.setattr(Allocation, "transfer", transfer)
    return seen


def contents(dpus, symbol="rows"):
    data = np.zeros((len(dpus), 128), np.uint8)
    dpus.copy(data, symbol)
    return data


@pytest.mark.parametrize("buffer", EVERY_BUFFER, ids=lambda buffer: type(buffer).__name__)
def test_one_buffer_goes_to_all(four, buffer, commands):
    four.copy("rows", buffer)
    assert commands[0].mode == "broadcast"
    expected = np.zeros((4, 128), np.uint8)
    expected[:, :8] = range(8)
    np.testing.assert_array_equal(contents(four), expected)


def test_rows_of_an_array_are_scattered_and_gathered_in_place(four, commands):
    sent = np.arange(64, dtype=np.int64).reshape(4, 16)
    received = np.zeros_like(sent)
    four.copy("rows", sent)
    four.copy(received, "rows")
    np.testing.assert_array_equal(received, sent)
    write, read = commands
    assert (write.mode, read.mode) == ("push", "pull")
    assert np.shares_memory(write.rows, sent)
    assert np.shares_memory(read.rows, received)
    assert np.may_share_memory(write.rows[3], sent[3])


def test_more_axes_than_two_and_any_type(four):
    sent = np.arange(4 * 2 * 4, dtype=np.float64).reshape(4, 2, 4)
    received = np.zeros_like(sent)
    four.copy("rows", sent)
    four.copy(received, "rows")
    np.testing.assert_array_equal(received, sent)


def test_a_view_of_rows_is_filled_where_it_is(four):
    four.copy("rows", np.arange(64).reshape(4, 16))
    whole = np.zeros((6, 16), np.int64)
    four.copy(whole[1:5], "rows")
    np.testing.assert_array_equal(whole[1:5], np.arange(64).reshape(4, 16))
    assert not whole[0].any()
    assert not whole[5].any()


def test_a_list_of_buffers_in_place(four, commands):
    sent = [np.full(2, dpu) for dpu in range(4)]
    received = [bytearray(16), np.zeros(2, np.int64), array.array("q", [0, 0]), memoryview(bytearray(16))]
    four.copy("rows", sent)
    four.copy(received, "rows")
    assert [np.frombuffer(buffer, np.int64).tolist() for buffer in received] == [[dpu] * 2 for dpu in range(4)]
    assert all(np.shares_memory(row, buffer) for row, buffer in zip(commands[0].rows, sent, strict=True))


def test_a_tuple_and_read_only_buffers_to_the_dpus(four):
    locked = np.full(1, 9)
    locked.flags.writeable = False
    four.copy("rows", (locked, bytes(8), bytearray(8), memoryview(b"\1" + bytes(7))))
    assert [int(values[0]) for values in four.rows.int64()] == [9, 0, 0, 1]


def test_none_leaves_a_dpu_out(four):
    four.copy("rows", [np.full(1, 5), None, np.full(1, 6), None])
    assert [int(values[0]) for values in four.rows.int64()] == [5, 0, 6, 0]
    received = [bytearray(8), None, None, bytearray(8)]
    four.copy(received, "rows")
    assert [None if data is None else data[0] for data in received] == [5, None, None, 0]


def test_some_dpus_of_two_ranks(allocate):
    dpus = allocate(66)
    dpus.copy("rows", [None] * 65 + [np.full(1, 3)])
    assert [int(values[0]) for values in dpus.rows.int64()] == [0] * 65 + [3]


def test_nobody_takes_part(four):
    text = "^invalid memory symbol access: 4294967295 bytes at offset 0 of 'rows', which has 128 bytes"
    with pytest.raises(InvalidSymbolAccessError, match=text):
        four.copy("rows", [None] * 4)
    rows_before = len(four.timeline)
    four.copy("rows", [None] * 4, size=8)
    assert len(four.timeline) == rows_before


def test_size_takes_the_beginning_of_each_buffer_and_offset_moves_in_the_symbol(four):
    four.copy("rows", np.arange(64).reshape(4, 16), size=16, offset=32)
    assert [list(values[3:7]) for values in four.rows.int64()] == [[0, 16 * dpu, 16 * dpu + 1, 0] for dpu in range(4)]
    received = np.full((4, 3), -1)
    four.copy(received, "rows", size=16, offset=32)
    assert received.tolist() == [[16 * dpu, 16 * dpu + 1, -1] for dpu in range(4)]
    four.copy("rows", bytes(range(24)), size=8, offset=120)
    assert four.dpus()[2].rows.uint8()[120:].tolist() == list(range(8))


def test_symbols_as_objects(four, programs):
    binary = four.load(programs[0])
    symbol = DpuSymbol.of(binary, "rows")
    assert (symbol.name, symbol.value(), symbol.size()) == ("rows", 0x0800_0000 + binary.symbols["rows"].address, 128)
    four.copy(symbol, b"abcdefgh")
    assert four.dpus()[3].rows.data()[:8] == b"abcdefgh"
    host = DpuSymbol.of(binary, "pair")
    assert (host.value(), host.size()) == (binary.symbols["pair"].address, 16)
    four.copy(np.zeros((4, 2), np.int64), host)


@pytest.mark.parametrize(("dst", "src"), [("rows", "pair"), (bytearray(8), bytearray(8)), (bytearray(8), None)])
def test_exactly_one_side_is_a_symbol(four, dst, src):
    with pytest.raises(ArgumentError, match=r"^can only execute Host <-> DPU transfers"):
        four.copy(dst, src)


@pytest.mark.parametrize(
    "buffer", [np.zeros(4, np.int32), array.array("i", [0] * 4), memoryview(np.zeros(2)), np.array(5)],
    ids=["numpy", "array", "memoryview", "scalar"],
)  # fmt: skip
def test_one_buffer_of_wide_elements_is_refused_with_a_hint(four, buffer):
    elements = memoryview(buffer).nbytes // memoryview(buffer).itemsize
    text = f"a single buffer of {elements} elements and .* bytes: the SDK would move {elements} bytes; pass buffer.view"
    with pytest.raises(ArgumentError, match=text):
        four.copy("rows", buffer)
    four.copy("rows", np.frombuffer(buffer, np.uint8) if memoryview(buffer).ndim else buffer.reshape(1).view(np.uint8))


@pytest.mark.parametrize("wrong", [5, None, 1.5, {"a": 1}, np.zeros(2, "M8[s]")])
def test_what_is_no_buffer(four, wrong):
    with pytest.raises(
        InvalidMemoryTransferError, match=r"^invalid memory transfer: a \w+ is no host buffer .*; use a NumPy"
    ):
        four.copy("rows", wrong)
    if wrong is not None:
        with pytest.raises(InvalidMemoryTransferError, match="is no host buffer"):
            four.copy("rows", [wrong] * 4)


def test_python_objects_are_no_data(four):
    for dst, src in [("rows", np.full((4, 2), None)), (np.full((4, 2), None), "rows"), ("rows", np.array([None]))]:
        with pytest.raises(
            InvalidMemoryTransferError, match="the host buffer holds Python objects; use an array of numbers"
        ):
            four.copy(dst, src)


@pytest.mark.parametrize(
    "scattered", [np.zeros((4, 4), np.int64)[:, ::2], np.zeros((16, 4), np.int64).T, np.zeros(64, np.uint8)[::2]]
)
def test_non_contiguous_arrays_are_refused_with_a_hint(four, scattered):
    text = r"^invalid memory transfer: the host buffer is not C-contiguous; use np\.ascontiguousarray"
    for dst, src in [("rows", scattered), (scattered, "rows")]:
        with pytest.raises(InvalidMemoryTransferError, match=text):
            four.copy(dst, src)
    four.copy("rows", np.ascontiguousarray(scattered))


@pytest.mark.parametrize("locked", [[bytes(8)] * 4, np.broadcast_to(np.zeros(2), (4, 2)).copy()])
def test_read_only_targets(four, locked):
    if isinstance(locked, np.ndarray):
        locked.flags.writeable = False
    with pytest.raises(InvalidMemoryTransferError, match=r"^invalid memory transfer: the host buffer is read-only"):
        four.copy(locked, "rows")


def test_dpus_do_not_share_a_target(four):
    one = bytearray(16)
    overlapping = [memoryview(one)[first : first + 8] for first in (0, 4, 8)]
    for targets in ([one] * 4, [*overlapping, bytearray(8)]):
        with pytest.raises(InvalidMemoryTransferError, match="several DPUs would fill one host buffer; give every DPU"):
            four.copy(targets, "rows")
    four.copy([memoryview(one)[0:8], memoryview(one)[8:16], None, bytearray(8)], "rows")
    four.copy("rows", [one] * 4)


def test_one_buffer_from_several_dpus(four):
    with pytest.raises(
        ArgumentError, match=r"one host buffer for 4 DPUs: give an array \[nr_dpus, ...\] or a list of 4"
    ):
        four.copy(bytearray(8), "rows")
    four.dpus()[0].copy(bytearray(8), "rows")


def test_unequal_lengths(four):
    for dst, src in [("rows", [bytes(8), bytes(16), None, bytes(8)]), ([bytearray(8)] * 3 + [bytearray(16)], "rows")]:
        for size in (None, 8):
            text = r"^invalid memory transfer: host buffers of different lengths: \[8, 16\] bytes"
            with pytest.raises(InvalidMemoryTransferError, match=text) as caught:
                four.copy(dst, src, size=size)
            assert caught.value.code is DpuErrorCode.DPU_ERR_INVALID_MEMORY_TRANSFER


@pytest.mark.parametrize(
    "wrong", [[bytes(8)] * 3, [bytes(8)] * 5, [], np.zeros((3, 2)), np.zeros((5, 2)), np.zeros((1, 2))]
)
def test_number_of_buffers(four, wrong):
    with pytest.raises(ArgumentError, match=r"^invalid number of host buffers for this DPU set") as caught:
        four.copy("rows", wrong)
    assert caught.value.code is None


def test_size_of_the_buffer(four):
    for dst, src in [("rows", bytes(8)), ("rows", np.zeros((4, 1))), ([bytearray(8) for _ in four], "rows")]:
        with pytest.raises(ArgumentError, match=r"^host buffer is too small: 8 bytes, 16 are transferred"):
            four.copy(dst, src, size=16)


@pytest.mark.parametrize("empty", [b"", np.zeros((4, 0)), [b""] * 4, np.zeros(0, np.uint8)])
def test_nothing_to_move_is_a_no_op(four, empty):
    before = contents(four)
    rows_before = len(four.timeline)
    four.copy("rows", empty)
    four.copy("rows", bytes(8), size=0)
    four.copy(np.zeros((4, 2)), "rows", size=0, offset=128)
    assert len(four.timeline) == rows_before
    np.testing.assert_array_equal(contents(four), before)


def test_one_dpu_takes_and_fills_one_buffer(four):
    dpu = four.dpus()[1]
    dpu.copy("rows", b"12345678")
    target = bytearray(8)
    dpu.copy(target, "rows")
    assert target == b"12345678"
    dpu.copy([target], "rows", offset=8)
    assert target == bytes(8)


def test_the_mram_heap_by_its_name(four, programs):
    heap = "__sys_used_mram_end"
    binary = four.load(programs[0])
    four.copy(heap, b"heapheap", offset=binary.mram_heap_bytes - 8)
    last = np.zeros((4, 8), np.uint8)
    four.copy(last, heap, offset=binary.mram_heap_bytes - 8)
    assert bytes(last[2]) == b"heapheap"
    with pytest.raises(InvalidSymbolAccessError):
        four.copy(heap, bytes(16), offset=binary.mram_heap_bytes - 8)
