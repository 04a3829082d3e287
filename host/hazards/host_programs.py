"""Mistakes of host programs: the SDK's error codes, and what the SDK leaves undefined."""

from __future__ import annotations

import io

import numpy as np

from dpu_kernels.hazards.broken_rules import breaking_rules
from dpu_kernels.hazards.endless_waiting import waiting
from pim_runtime import DpuProgram
from pim_runtime.api import (
    DpuXfer,
    DpuXferFlags,
    dpu_copy_from,
    dpu_free,
    dpu_launch,
    dpu_load,
    dpu_prepare_xfer,
    dpu_push_xfer,
)
from pim_runtime.device import Tasklet, int64, printf

from .hazard import Hazard, HostProgram, Variant
from .stage import Stage

__all__ = ["HAZARDS"]

talking = DpuProgram("talking")
lines = talking.host("lines", int64)


@talking.kernel
def talk(t: Tasklet) -> None:
    """Print a number of lines."""
    for line in range(lines.load(t)):
        printf(t, "%d %d %d\n", line, line, line)


def _launch_before_load(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2)
    if variant == "mended":
        dpus.load(breaking_rules)
    dpu_launch(dpus)  # planted


def _copy_before_load(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2)
    if variant == "mended":
        dpus.load(breaking_rules)
    dpus.copy("table", bytes(8))  # planted


def _unknown_symbol(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("tabel" if variant == "planted" else "table", bytes(8))  # planted


def _hidden_symbol(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("words" if variant == "planted" else "answer", bytes(8))  # planted


def _past_its_symbol(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("table", bytes(16), offset=8 * (511 if variant == "planted" else 510))  # planted


def _unaligned_mram(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("table", bytes(12 if variant == "planted" else 16))  # planted


def _unaligned_wram(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("answer", bytes(2 if variant == "planted" else 4))  # planted


def _small_buffer(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("table", bytes(16), size=24 if variant == "planted" else 16)  # planted


def _wrong_number_of_rows(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("table", np.zeros((3 if variant == "planted" else 2, 8), np.int64))  # planted


def _elements_for_bytes(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    numbers = np.arange(4)
    dpus.copy("table", numbers if variant == "planted" else numbers.view(np.uint8))  # planted


def _strided_rows(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    rows = np.zeros((2, 16), np.int64)[:, ::2]
    dpus.copy("table", rows if variant == "planted" else rows.copy())  # planted


def _floats_in_objects(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpus.copy("table", np.array([[1], [2]], object if variant == "planted" else np.int64))  # planted


def _read_only_buffer(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    rows = np.zeros((2, 8), np.int64)
    rows.flags.writeable = variant == "mended"
    dpus.copy(rows, "table")  # planted


def _one_buffer_for_two(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    row = bytearray(8)
    dpus.copy([row, row if variant == "planted" else bytearray(8)], "table")  # planted


def _copy_from_a_set(stage: Stage, variant: Variant) -> None:
    dpus, row = stage.allocate(2, breaking_rules), bytearray(8)
    dpu_copy_from(dpus if variant == "planted" else dpus.dpus()[0], "table", 0, row, 8)  # planted


def _parallel_from_mram(stage: Stage, variant: Variant) -> None:
    dpus, rows = stage.allocate(2, breaking_rules), np.zeros((2, 1), np.int64)
    dpu_prepare_xfer(dpus.ranks()[0], rows)
    flags = DpuXferFlags.DPU_XFER_PARALLEL if variant == "planted" else DpuXferFlags.DPU_XFER_DEFAULT
    dpu_push_xfer(dpus.ranks()[0], DpuXfer.DPU_XFER_TO_DPU, "table", 0, 8, flags)  # planted


def _too_many_dpus(stage: Stage, variant: Variant) -> None:
    stage.allocate(129 if variant == "planted" else 128)  # planted


def _no_dpus(stage: Stage, variant: Variant) -> None:
    stage.allocate(0 if variant == "planted" else 1)  # planted


def _free_twice(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2)
    if variant == "planted":
        dpu_free(dpus)
    dpu_free(dpus)  # planted


def _free_a_rank(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2)
    dpu_free(dpus.ranks()[0] if variant == "planted" else dpus)  # planted


def _use_after_free(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    if variant == "planted":
        dpu_free(dpus)
    dpus.copy("table", bytes(8))  # planted


def _two_programs(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(2, breaking_rules)
    dpu_load(dpus.dpus()[1], waiting if variant == "planted" else breaking_rules)
    dpus.copy("culprit", bytes(8))  # planted


def _log_of_a_silent_program(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(1, breaking_rules if variant == "planted" else talking)
    dpus.log(io.StringIO())  # planted


def _overrun_log(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(1, talking)
    dpus.copy("lines", np.array([[32769 if variant == "planted" else 16]]))
    dpus.exec()
    dpus.log(io.StringIO())  # planted


def _no_program(stage: Stage, variant: Variant) -> None:
    dpus = stage.allocate(1)
    dpus.load("kernel.elf" if variant == "planted" else breaking_rules)  # type: ignore[arg-type]  # planted


def _mistake(name: str, run: HostProgram, reported_as: str, says: str) -> Hazard:
    return Hazard.of_host(name, "host program", run, reported_as, says)


HAZARDS = (
    _mistake("launch before load", _launch_before_load, "NoProgramLoadedError", "call dpu_load first"),
    _mistake("copy before load", _copy_before_load, "NoProgramLoadedError", "no program has been loaded"),
    _mistake("unknown symbol", _unknown_symbol, "UnknownSymbolError", "'tabel'"),
    _mistake("symbol that the host cannot see", _hidden_symbol, "UnknownSymbolError", "program.host"),
    _mistake("copy past its symbol", _past_its_symbol, "InvalidSymbolAccessError", "which has 4096 bytes"),
    _mistake("MRAM copy of 12 bytes", _unaligned_mram, "InvalidMramAccessError", "multiples of 8"),
    _mistake("WRAM copy of 2 bytes", _unaligned_wram, "InvalidWramAccessError", "multiples of 4"),
    _mistake("more bytes than the buffer", _small_buffer, "ArgumentError", "too small"),
    _mistake("three rows for two DPUs", _wrong_number_of_rows, "ArgumentError", "for 2 DPUs"),
    _mistake("elements where the SDK counts bytes", _elements_for_bytes, "ArgumentError", "would move 4 bytes"),
    _mistake("strided rows", _strided_rows, "InvalidMemoryTransferError", "not C-contiguous"),
    _mistake("rows of Python objects", _floats_in_objects, "InvalidMemoryTransferError", "Python objects"),
    _mistake("results into a read-only buffer", _read_only_buffer, "InvalidMemoryTransferError", "read-only"),
    _mistake("results of two DPUs into one buffer", _one_buffer_for_two, "InvalidMemoryTransferError", "one host"),
    _mistake("dpu_copy_from of a whole set", _copy_from_a_set, "InvalidDpuSetError", "invalid action"),
    _mistake("parallel transfer to MRAM", _parallel_from_mram, "InvalidParallelMemoryTransferError", "WRAM"),
    _mistake("more DPUs than there are", _too_many_dpus, "AllocationError", "at most 128 DPUs"),
    _mistake("no DPUs", _no_dpus, "AllocationError", "at least one"),
    _mistake("free twice", _free_twice, "InvalidDpuSetError", "freed"),
    _mistake("free of a rank", _free_a_rank, "InvalidDpuSetError", "not a rank"),
    _mistake("use after free", _use_after_free, "InvalidDpuSetError", "allocate a new one"),
    _mistake("symbol of two programs", _two_programs, "DifferentDpuProgramsError", "different programs"),
    _mistake("log of a program that never prints", _log_of_a_silent_program, "LogContextMissingError", "printf"),
    _mistake("log that was overrun", _overrun_log, "LogBufferTooSmallError", "holds 1048576"),
    _mistake("file name for a program", _no_program, "ArgumentError", "'kernel.elf'"),
)
