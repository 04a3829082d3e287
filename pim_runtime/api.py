"""The SDK's C functions (`dpu.h`), in Python: what C returns as an error code is raised as a DpuError.

`dpu_alloc` returns the set instead of filling a struct; sets, ranks and DPUs are DpuSets. Synchronous operations only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

import numpy as np

from .check import Check
from .checkpoint.context import DpuContext
from .dpuset import ALLOCATE_ALL, DpuSet
from .engine.protocol import EngineOptions
from .errors import (
    ArgumentError,
    InvalidDpuSetError,
    InvalidLaunchPolicyError,
    InvalidMemoryTransferError,
    InvalidParallelMemoryTransferError,
)
from .machine import Machine
from .program import DpuBinary, DpuProgram
from .sdk_flags import DpuCheckpointFlags, DpuLaunchPolicy, DpuXfer, DpuXferFlags
from .symbols import HEAP_NAME
from .timing import TransferMode
from .transfers import DpuSymbol, host_bytes, rows_of

__all__ = [
    "DPU_ALLOCATE_ALL",
    "DPU_FOREACH",
    "DPU_MRAM_HEAP_POINTER_NAME",
    "DPU_RANK_FOREACH",
    "DpuCheckpointFlags",
    "DpuLaunchPolicy",
    "DpuXfer",
    "DpuXferFlags",
    "dpu_alloc",
    "dpu_alloc_ranks",
    "dpu_broadcast_to",
    "dpu_checkpoint_deserialize",
    "dpu_checkpoint_free",
    "dpu_checkpoint_get_serialized_context_size",
    "dpu_checkpoint_restore",
    "dpu_checkpoint_save",
    "dpu_checkpoint_serialize",
    "dpu_copy_from",
    "dpu_copy_to",
    "dpu_free",
    "dpu_get_nr_dpus",
    "dpu_get_nr_ranks",
    "dpu_get_symbol",
    "dpu_launch",
    "dpu_load",
    "dpu_log_read",
    "dpu_prepare_xfer",
    "dpu_push_xfer",
    "dpu_sync",
]

DPU_ALLOCATE_ALL = ALLOCATE_ALL
DPU_MRAM_HEAP_POINTER_NAME = HEAP_NAME


def dpu_alloc(
    nr_dpus: int,
    profile: str | None = None,
    *,
    machine: Machine | None = None,
    options: EngineOptions | None = None,
    check: Check | None = None,
) -> DpuSet:
    """Allocate `nr_dpus` DPUs, or every free rank for DPU_ALLOCATE_ALL. Raises AllocationError."""
    return DpuSet(nr_dpus, profile=profile or "", machine=machine, options=options, check=check)


def dpu_alloc_ranks(
    nr_ranks: int,
    profile: str | None = None,
    *,
    machine: Machine | None = None,
    options: EngineOptions | None = None,
    check: Check | None = None,
) -> DpuSet:
    """Allocate whole ranks. Raises AllocationError."""
    return DpuSet(nr_ranks=nr_ranks, profile=profile or "", machine=machine, options=options, check=check)


def dpu_free(dpu_set: DpuSet) -> None:
    """Give the DPUs back. Raises InvalidDpuSetError for anything but a set as allocated, once."""
    dpu_set.free()


def dpu_get_nr_dpus(dpu_set: DpuSet) -> int:
    """DPUs in the set."""
    return len(dpu_set)


def dpu_get_nr_ranks(dpu_set: DpuSet) -> int:
    """Ranks that the set spreads over."""
    return len(dpu_set.ranks())


def DPU_FOREACH(dpu_set: DpuSet) -> Iterator[tuple[DpuSet, int]]:  # noqa: N802 - the SDK's name
    """`for dpu, i in DPU_FOREACH(set)`: every DPU with its index in the set."""
    return ((dpu, index) for index, dpu in enumerate(dpu_set.dpus()))


def DPU_RANK_FOREACH(dpu_set: DpuSet) -> Iterator[tuple[DpuSet, int]]:  # noqa: N802 - the SDK's name
    """`for rank, i in DPU_RANK_FOREACH(set)`: every rank with its index in the set."""
    return ((rank, index) for index, rank in enumerate(dpu_set.ranks()))


def dpu_load(dpu_set: DpuSet, program: DpuProgram | DpuBinary, *, nr_tasklets: int | None = None) -> DpuBinary:
    """Build and load a program. Raises LinkError, KernelError, TooManyTaskletsError."""
    return dpu_set.load(program, nr_tasklets=nr_tasklets)


def dpu_get_symbol(program: DpuBinary, name: str) -> DpuSymbol:
    """A host-visible symbol of a loaded program. Raises UnknownSymbolError."""
    return DpuSymbol.of(program, name)


def dpu_copy_to(
    dpu_set: DpuSet, symbol: str | DpuSymbol, offset: int, source: object, length: int | None = None
) -> None:
    """Copy the first `length` bytes of a host buffer (default: all) to every DPU of the set."""
    data = host_bytes(source, writable=False)[None, :]
    nbytes = data.shape[1] if length is None else length
    mode: TransferMode = "serial_to" if len(dpu_set) == 1 else "broadcast"
    dpu_set.write(symbol, data, nbytes, offset, mode)


def dpu_copy_from(dpu: DpuSet, symbol: str | DpuSymbol, offset: int, target: object, length: int | None = None) -> None:
    """Copy `length` bytes (default: as many as the buffer holds) from one DPU to a writable host buffer.

    Raises InvalidDpuSetError for a set or rank, even one with a single DPU.
    """
    _need_single_dpu(dpu, "dpu_copy_from")
    data = host_bytes(target, writable=True)[None, :]
    nbytes = data.shape[1] if length is None else length
    dpu.read(symbol, data, nbytes, offset, "serial_from")


def dpu_broadcast_to(
    dpu_set: DpuSet,
    symbol: str | DpuSymbol,
    offset: int,
    source: object,
    length: int | None = None,
    flags: DpuXferFlags = DpuXferFlags.DPU_XFER_DEFAULT,
) -> None:
    """Copy the same host bytes to every DPU of the set."""
    _need_synchronous(flags)
    data = host_bytes(source, writable=False)[None, :]
    nbytes = data.shape[1] if length is None else length
    dpu_set.write(symbol, data, nbytes, offset, "broadcast")


def dpu_prepare_xfer(dpu_set: DpuSet, buffer: object) -> None:
    """Say which host buffer the next push uses for these DPUs; None leaves them out.

    An array [nr_dpus, ...] with more than one axis gives row i to DPU i; any other buffer serves every DPU of the set,
    as in C. A second call overwrites the first.
    """
    if isinstance(buffer, np.ndarray) and buffer.ndim >= 2:
        dpu_set.prepare(list(rows_of(buffer, len(dpu_set), writable=False)))
    else:
        data = None if buffer is None else host_bytes(buffer, writable=False)
        dpu_set.prepare([data] * len(dpu_set))


def dpu_push_xfer(
    dpu_set: DpuSet,
    xfer: DpuXfer,
    symbol: str | DpuSymbol,
    offset: int,
    length: int,
    flags: DpuXferFlags = DpuXferFlags.DPU_XFER_DEFAULT,
) -> None:
    """Transfer `length` bytes per DPU between the prepared buffers and a symbol; DPUs without a buffer are left out.

    The buffers are forgotten afterwards unless DPU_XFER_NO_RESET is given. Raises InvalidMemoryTransferError for a bad
    direction or a read-only target, InvalidBufferSizeError for a buffer shorter than `length`, and symbol errors.
    """
    if xfer not in DpuXfer.__members__.values():
        raise InvalidMemoryTransferError(f"direction {xfer!r}: use DPU_XFER_TO_DPU or DPU_XFER_FROM_DPU")
    _need_synchronous(flags)
    dpu_set.push(
        "push" if xfer == DpuXfer.DPU_XFER_TO_DPU else "pull",
        symbol,
        offset,
        length,
        afterwards="keep" if flags & DpuXferFlags.DPU_XFER_NO_RESET else "forget",
    )


def dpu_launch(dpu_set: DpuSet, policy: DpuLaunchPolicy = DpuLaunchPolicy.DPU_SYNCHRONOUS) -> None:
    """Run the loaded program on every DPU of the set and wait.

    Raises NoProgramLoadedError, DpuFaultError after all DPUs have stopped, InvalidLaunchPolicyError.
    """
    if policy != DpuLaunchPolicy.DPU_SYNCHRONOUS:
        raise InvalidLaunchPolicyError(f"{policy!r}: launches are synchronous here; use DPU_SYNCHRONOUS")
    dpu_set.exec()


def dpu_sync(dpu_set: DpuSet) -> None:
    """Wait for queued jobs of the set. Every operation is synchronous, so there are none."""
    dpu_set.sync()


def dpu_log_read(dpu: DpuSet, stream: TextIO) -> None:
    """Print the log of one DPU. Raises InvalidDpuSetError for a set or rank, LogContextMissingError without printf."""
    _need_single_dpu(dpu, "dpu_log_read")
    dpu.log(stream)


def dpu_checkpoint_save(
    dpu_set: DpuSet, flags: DpuCheckpointFlags = DpuCheckpointFlags.DPU_CHECKPOINT_ALL
) -> DpuContext:
    """A copy of the state of a set, a rank or a DPU; the SDK's takes single DPUs only. Raises CheckpointError."""
    context = dpu_set.checkpoint(**_memories(flags))
    return context if flags & DpuCheckpointFlags.DPU_CHECKPOINT_INTERNAL else context.without_internal()


def dpu_checkpoint_restore(dpu_set: DpuSet, flags: DpuCheckpointFlags, context: DpuContext) -> None:
    """Make the DPUs what they were. Raises CheckpointError, and changes nothing, where the context does not fit."""
    internal = flags & DpuCheckpointFlags.DPU_CHECKPOINT_INTERNAL
    dpu_set.restore(context if internal else context.without_internal(), **_memories(flags))


def dpu_checkpoint_get_serialized_context_size(context: DpuContext) -> int:
    """Bytes of `dpu_checkpoint_serialize`."""
    return len(context.serialize())


def dpu_checkpoint_serialize(context: DpuContext) -> bytes:
    """The context as bytes, which are those of a file (DpuContext.save)."""
    return context.serialize()


def dpu_checkpoint_deserialize(buffer: bytes | bytearray | memoryview) -> DpuContext:
    """Back from `dpu_checkpoint_serialize`. Raises CheckpointError for anything else."""
    return DpuContext.from_buffer(buffer)


def dpu_checkpoint_free(context: DpuContext) -> None:
    """For programs translated from C: a context's memory is free when the last name of it is gone."""


def _memories(flags: DpuCheckpointFlags) -> dict[str, bool]:
    """The arguments of DpuSet.checkpoint and DpuSet.restore."""
    return {
        "iram": bool(flags & DpuCheckpointFlags.DPU_CHECKPOINT_IRAM),
        "mram": bool(flags & DpuCheckpointFlags.DPU_CHECKPOINT_MRAM),
        "wram": bool(flags & DpuCheckpointFlags.DPU_CHECKPOINT_WRAM),
    }


def _need_single_dpu(dpu: DpuSet, call: str) -> None:
    if not dpu.is_single_dpu:
        raise InvalidDpuSetError(f"{call} works on a single DPU: iterate with DPU_FOREACH")


def _need_synchronous(flags: DpuXferFlags) -> None:
    if flags & DpuXferFlags.DPU_XFER_ASYNC:
        raise ArgumentError("DPU_XFER_ASYNC: transfers are synchronous here; leave the flag out")
    if flags & DpuXferFlags.DPU_XFER_PARALLEL:
        raise InvalidParallelMemoryTransferError("no launch runs in the background here; leave the flag out")
