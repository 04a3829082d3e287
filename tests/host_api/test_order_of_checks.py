"""Which error wins when several rules are broken: the SDK's order of checks (upmem-sdk 2.5)."""

from __future__ import annotations

import numpy as np
import pytest

from pim_runtime import DpuSet, DpuSymbol
from pim_runtime.api import DpuXfer, dpu_broadcast_to, dpu_copy_from, dpu_copy_to, dpu_prepare_xfer, dpu_push_xfer
from pim_runtime.errors import (
    DifferentDpuProgramsError,
    InvalidBufferSizeError,
    InvalidMramAccessError,
    InvalidSymbolAccessError,
    InvalidWramAccessError,
    NoProgramLoadedError,
    UnknownSymbolError,
)

pytestmark = pytest.mark.quick


def push(dpus, symbol, offset, length, buffer):
    dpu_prepare_xfer(dpus, buffer)
    dpu_push_xfer(dpus, DpuXfer.DPU_XFER_TO_DPU, symbol, offset, length)


def pull(dpus, symbol, offset, length, buffer):
    dpu_prepare_xfer(dpus, bytearray(buffer))
    dpu_push_xfer(dpus, DpuXfer.DPU_XFER_FROM_DPU, symbol, offset, length)


TRANSFERS = {
    "copy_to": lambda dpus, symbol, offset, length, buffer: dpu_copy_to(dpus, symbol, offset, buffer, length),
    "copy_from": lambda dpus, symbol, offset, length, buffer: dpu_copy_from(
        dpus.dpus()[0], symbol, offset, bytearray(buffer), length
    ),
    "broadcast": lambda dpus, symbol, offset, length, buffer: dpu_broadcast_to(dpus, symbol, offset, buffer, length),
    "push": push,
    "pull": pull,
}


@pytest.fixture(params=TRANSFERS.values(), ids=TRANSFERS)
def transfer(request):
    return request.param


def test_no_program_before_an_unknown_symbol(machine, interpreted, transfer):
    text = r"^no program has been loaded in the dpu set: DPU 0 has no program"
    refused = pytest.raises(NoProgramLoadedError, match=text)
    with DpuSet(2, machine=machine, options=interpreted) as dpus, refused:
        transfer(dpus, "nope", 3, 3, bytes(1))


def test_a_symbol_object_needs_no_program(machine, interpreted, programs):
    symbol = DpuSymbol.of(programs[0].build(machine.hardware), "rows")
    with DpuSet(2, machine=machine, options=interpreted) as dpus:
        dpus.copy(symbol, bytes(8))


@pytest.mark.parametrize("name", sorted(set(TRANSFERS) - {"copy_from"}))  # which sees one DPU only
def test_different_programs_before_an_unknown_symbol(four, programs, name):
    four.dpus()[2].load(programs[1])
    text = "^cannot access symbol on dpus with different programs: DPU 0 runs 'shelf', DPU 2 'silent'"
    for symbol in ("nope", "number"):
        with pytest.raises(DifferentDpuProgramsError, match=text):
            TRANSFERS[name](four, symbol, 3, 3, bytes(1))


def test_no_program_before_different_programs(machine, interpreted, programs):
    with DpuSet(4, machine=machine, options=interpreted) as dpus:
        dpus.dpus()[0].load(programs[0])
        dpus.dpus()[3].load(programs[1])
        with pytest.raises(NoProgramLoadedError, match="DPU 1 has no program"):
            dpus.copy("number", bytes(4))


def test_unknown_symbol_before_sizes(four, transfer):
    with pytest.raises(UnknownSymbolError, match=r"^undefined symbol: 'nope'"):
        transfer(four, "nope", 1 << 40, 3, bytes(1))


@pytest.mark.parametrize("symbol", ["rows", "pair"])
def test_the_end_of_the_symbol_before_alignment(four, transfer, symbol):
    with pytest.raises(InvalidSymbolAccessError, match=r"^invalid memory symbol access: 3 bytes at offset 127"):
        transfer(four, symbol, 127, 3, bytes(1))


def test_alignment_before_the_size_of_the_buffer(four, transfer):
    with pytest.raises(InvalidMramAccessError, match=r"^invalid mram access: 12 bytes at offset 0 of 'rows'"):
        transfer(four, "rows", 0, 12, bytes(1))
    with pytest.raises(InvalidWramAccessError, match=r"^invalid wram access: 8 bytes at offset 2 of 'pair'"):
        transfer(four, "pair", 2, 8, bytes(1))


def test_the_size_of_the_buffer_last(four, transfer):
    with pytest.raises(InvalidBufferSizeError, match=r"^invalid buffer size: host buffer is too small: 4 bytes, 8 are"):
        transfer(four, "rows", 0, 8, bytes(4))


def test_alignment_before_no_op(four, transfer):
    with pytest.raises(InvalidWramAccessError, match=r"^invalid wram access: 0 bytes at offset 2 of 'pair'"):
        transfer(four, "pair", 2, 0, b"")
    transfer(four, "pair", 4, 0, b"")
    transfer(four, "rows", 128, 0, b"")


def test_small_scalars_need_padding(four, transfer):
    with pytest.raises(InvalidWramAccessError, match="3 bytes at offset 0 of 'odd': WRAM transfers start and end"):
        transfer(four, "odd", 0, 3, bytes(4))
    with pytest.raises(InvalidSymbolAccessError, match="4 bytes at offset 0 of 'odd', which has 3 bytes"):
        transfer(four, "odd", 0, 4, bytes(4))


@pytest.mark.parametrize(
    ("symbol", "nbytes", "error"),
    [
        (DpuSymbol("far", 0x0800_0000 + (64 << 20) - 8, 64), 16, InvalidMramAccessError),
        (DpuSymbol("far", (64 << 10) - 4, 64), 8, InvalidWramAccessError),
    ],
)
def test_made_up_symbols_end_where_the_memory_ends(four, transfer, symbol, nbytes, error):
    with pytest.raises(error, match=r"the [MW]RAM ends at"):
        transfer(four, symbol, 0, nbytes, bytes(nbytes))


def test_pythons_own_checks_come_first(four):
    """In the SDK too, the number and size of the host's buffers are looked at before any DPU is involved."""
    with pytest.raises(Exception, match=r"^invalid number of host buffers"):
        four.copy("nope", np.zeros((3, 1)))
    with pytest.raises(Exception, match=r"^host buffer is too small"):
        four.copy("nope", bytes(8), size=16)
    with pytest.raises(UnknownSymbolError):
        four.copy("nope", bytes(8))
