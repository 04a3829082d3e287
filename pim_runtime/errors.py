"""Exceptions of the runtime, and the SDK's error codes with their texts.

    PimError                      everything that the project raises on purpose
      DpuError                    what an SDK call reports; `code` is its DpuErrorCode, None for a bad Python argument
        AllocationError ...       one leaf per code in use (the table at the end of this module)
        CheckpointError           a saved state that cannot be written, read, or given to these DPUs
        DpuFaultError             a launch in which DPUs faulted; `faults` says which, where and why
      KernelError                 a kernel that breaks the kernel language; shows the source line
      DebuggerQuitError           the user quit the debugger in a kernel
      LinkError                   a program whose symbols do not fit the machine
      OutputError                 a file that cannot be written
      ProfileError                a hardware profile that is not valid

CacheWarning is no error: what it is about is slower, and works.
The text of a DpuError begins with the SDK's own text (SDK 2025.1, `dpu_error_to_string`); what follows says where,
which value, which limit and how to mend it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine.faults import Fault

__all__ = [
    "AllocationError",
    "ArgumentError",
    "CacheWarning",
    "CheckpointError",
    "DebuggerQuitError",
    "DifferentDpuProgramsError",
    "DpuError",
    "DpuErrorCode",
    "DpuFaultError",
    "InvalidBufferSizeError",
    "InvalidDpuSetError",
    "InvalidLaunchPolicyError",
    "InvalidMemoryTransferError",
    "InvalidMramAccessError",
    "InvalidParallelMemoryTransferError",
    "InvalidProfileError",
    "InvalidSymbolAccessError",
    "InvalidWramAccessError",
    "KernelError",
    "LinkError",
    "LogBufferTooSmallError",
    "LogContextMissingError",
    "LogFormatError",
    "NoProgramLoadedError",
    "OutOfMemoryError",
    "OutputError",
    "PimError",
    "ProfileError",
    "TooManyTaskletsError",
    "UnknownSymbolError",
]


class DpuErrorCode(enum.Enum):
    """`dpu_error_t` of SDK 2025.1: (number, text of `dpu_error_to_string`). Compare by name: numbers move."""

    DPU_OK = (0, "success")
    DPU_ERR_INTERNAL = (1, "internal error")
    DPU_ERR_SYSTEM = (2, "system error")
    DPU_ERR_DRIVER = (3, "driver error")
    DPU_ERR_ALLOCATION = (4, "dpu allocation error")
    DPU_ERR_INVALID_DPU_SET = (5, "invalid action for this dpu set")
    DPU_ERR_INVALID_THREAD_ID = (6, "invalid thread id")
    DPU_ERR_INVALID_NOTIFY_ID = (7, "invalid notify id")
    DPU_ERR_INVALID_WRAM_ACCESS = (8, "invalid wram access")
    DPU_ERR_INVALID_IRAM_ACCESS = (9, "invalid iram access")
    DPU_ERR_INVALID_MRAM_ACCESS = (10, "invalid mram access")
    DPU_ERR_INVALID_SYMBOL_ACCESS = (11, "invalid memory symbol access")
    DPU_ERR_MRAM_BUSY = (12, "mram is busy")
    DPU_ERR_TRANSFER_ALREADY_SET = (13, "dpu transfer is already set")
    DPU_ERR_INVALID_PARALLEL_MEMORY_TRANSFER = (14, "invalid parallel transfer (should be to/from WRAM)")
    DPU_ERR_WRAM_FIFO_FULL = (15, "cannot push to WRAM FIFO, FIFO full")
    DPU_ERR_NO_PROGRAM_LOADED = (16, "no program has been loaded in the dpu set")
    DPU_ERR_DIFFERENT_DPU_PROGRAMS = (17, "cannot access symbol on dpus with different programs")
    DPU_ERR_CORRUPTED_MEMORY = (18, "corrupted memory")
    DPU_ERR_DPU_DISABLED = (19, "dpu is disabled")
    DPU_ERR_DPU_ALREADY_RUNNING = (20, "dpu is already running")
    DPU_ERR_INVALID_MEMORY_TRANSFER = (21, "invalid memory transfer")
    DPU_ERR_INVALID_LAUNCH_POLICY = (22, "invalid launch policy")
    DPU_ERR_DPU_FAULT = (23, "dpu is in fault")
    DPU_ERR_ELF_INVALID_FILE = (24, "invalid ELF file")
    DPU_ERR_ELF_NO_SUCH_FILE = (25, "no such ELF file")
    DPU_ERR_ELF_NO_SUCH_SECTION = (26, "no such ELF section")
    DPU_ERR_TIMEOUT = (27, "result timeout")
    DPU_ERR_INVALID_PROFILE = (28, "invalid profile")
    DPU_ERR_UNKNOWN_SYMBOL = (29, "undefined symbol")
    DPU_ERR_LOG_FORMAT = (30, "logging format error")
    DPU_ERR_LOG_CONTEXT_MISSING = (31, "logging context missing")
    DPU_ERR_LOG_BUFFER_TOO_SMALL = (32, "logging buffer too small")
    DPU_ERR_VPD_INVALID_FILE = (33, "invalid VPD file")
    DPU_ERR_VPD_NO_REPAIR = (34, "repairs have not been generated")
    DPU_ERR_NO_THREAD_PER_RANK = (35, "no thread to perform multiple-rank operation")
    DPU_ERR_INVALID_BUFFER_SIZE = (36, "invalid buffer size")
    DPU_ERR_NONBLOCKING_SYNC_CALLBACK = (37, "nonblocking and synchronous callback is invalid")
    DPU_ERR_TOO_MANY_TASKLETS = (38, "dpu program uses more tasklets than the hardware has threads")
    DPU_ERR_SG_TOO_MANY_BLOCKS = (39, "scatter/gather transfer prepare exceed max number of blocks")
    DPU_ERR_SG_LENGTH_MISMATCH = (40, "scatter/gather transfer mismatch between nr bytes in blocks and length")
    DPU_ERR_SG_NOT_ACTIVATED = (41, "scatter/gather transfer not activated")
    DPU_ERR_SG_NOT_MRAM_SYMBOL = (42, "scatter/gather transfer unsupported symbol (must be a mram symbol)")

    @property
    def number(self) -> int:
        """Value of the C enumerator."""
        return self.value[0]

    @property
    def text(self) -> str:
        """What `dpu_error_to_string` returns."""
        return self.value[1]


class CacheWarning(UserWarning):
    """Compiled kernels cannot be kept on disk. They run all the same, and are compiled again by the next process."""


class PimError(Exception):
    """Base of every error that the project raises on purpose."""


class KernelError(PimError):
    """A kernel breaks a rule of the kernel language. The message shows file, line, source text and a caret."""


class DebuggerQuitError(PimError):
    """The user quit the debugger in a kernel, so the launch was stopped. The DPUs can go on to be used."""


class LinkError(PimError):
    """A program does not fit the machine. The message lists what takes the space."""


class OutputError(PimError, OSError):
    """A file cannot be written. What was there before is there still."""


class ProfileError(PimError, ValueError):
    """A hardware profile is not valid. The message names file, key, value, rule and mend."""


class DpuError(PimError):
    """An SDK call failed. `str(error)` is the SDK's text, then the details of this failure."""

    code: DpuErrorCode | None = None

    def __init__(self, detail: str = "") -> None:
        text = self.code.text if self.code else ""
        super().__init__(": ".join(part for part in (text, detail) if part))


class ArgumentError(DpuError):
    """A Python argument is wrong before any DPU is involved; the SDK raises a DpuError without a code here."""


class CheckpointError(DpuError):
    """A saved state cannot be written, read, or given to these DPUs. Neither file nor DPUs have changed."""


class OutOfMemoryError(DpuError, MemoryError):
    """This computer has no memory left for what a command needs beside the DPUs' memories."""

    code = DpuErrorCode.DPU_ERR_SYSTEM


class AllocationError(DpuError):
    """No DPUs, or not enough of them, can be allocated."""

    code = DpuErrorCode.DPU_ERR_ALLOCATION


class InvalidDpuSetError(DpuError):
    """The call is not meant for this kind of set (rank set, single DPU, freed set)."""

    code = DpuErrorCode.DPU_ERR_INVALID_DPU_SET


class InvalidWramAccessError(DpuError):
    """A WRAM transfer is not 4-byte aligned or leaves the WRAM."""

    code = DpuErrorCode.DPU_ERR_INVALID_WRAM_ACCESS


class InvalidMramAccessError(DpuError):
    """An MRAM transfer is not 8-byte aligned or leaves the MRAM."""

    code = DpuErrorCode.DPU_ERR_INVALID_MRAM_ACCESS


class InvalidSymbolAccessError(DpuError):
    """A transfer runs past the end of its symbol."""

    code = DpuErrorCode.DPU_ERR_INVALID_SYMBOL_ACCESS


class InvalidParallelMemoryTransferError(DpuError):
    """DPU_XFER_PARALLEL was asked for a transfer that is not between the host and the WRAM of a rank set."""

    code = DpuErrorCode.DPU_ERR_INVALID_PARALLEL_MEMORY_TRANSFER


class NoProgramLoadedError(DpuError):
    """A symbol access or a launch came before any load."""

    code = DpuErrorCode.DPU_ERR_NO_PROGRAM_LOADED


class DifferentDpuProgramsError(DpuError):
    """The DPUs of the set run different programs, so a symbol name is ambiguous."""

    code = DpuErrorCode.DPU_ERR_DIFFERENT_DPU_PROGRAMS


class InvalidMemoryTransferError(DpuError):
    """The direction or the host buffers of a transfer are wrong."""

    code = DpuErrorCode.DPU_ERR_INVALID_MEMORY_TRANSFER


class InvalidLaunchPolicyError(DpuError):
    """The launch policy is not one of the SDK's, or not available."""

    code = DpuErrorCode.DPU_ERR_INVALID_LAUNCH_POLICY


class InvalidProfileError(DpuError):
    """A profile string is not `key=value,...` or names an unknown backend."""

    code = DpuErrorCode.DPU_ERR_INVALID_PROFILE


class UnknownSymbolError(DpuError):
    """The program has no host-visible symbol of that name."""

    code = DpuErrorCode.DPU_ERR_UNKNOWN_SYMBOL


class LogFormatError(DpuError):
    """A printf format asks for what a DPU cannot print."""

    code = DpuErrorCode.DPU_ERR_LOG_FORMAT


class LogContextMissingError(DpuError):
    """The program never prints, so there is no log to read."""

    code = DpuErrorCode.DPU_ERR_LOG_CONTEXT_MISSING


class LogBufferTooSmallError(DpuError):
    """The last launch printed more than the log buffer holds."""

    code = DpuErrorCode.DPU_ERR_LOG_BUFFER_TOO_SMALL


class InvalidBufferSizeError(DpuError):
    """A host buffer does not have the size that the transfer needs."""

    code = DpuErrorCode.DPU_ERR_INVALID_BUFFER_SIZE


class TooManyTaskletsError(DpuError):
    """The program wants more tasklets than the DPU has hardware threads."""

    code = DpuErrorCode.DPU_ERR_TOO_MANY_TASKLETS


class DpuFaultError(DpuError):
    """One or more DPUs faulted; the others completed and all memories stay readable.

    `faults` holds one Fault per DPU in fault, in DPU order. The message shows each distinct fault once with the range
    of DPUs that it hit.
    """

    code = DpuErrorCode.DPU_ERR_DPU_FAULT

    def __init__(self, detail: str, faults: Sequence[Fault]) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)
