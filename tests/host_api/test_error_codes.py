"""Error codes and texts are the SDK's (upmem-sdk 2.3), and every error class begins its message with its text."""

from __future__ import annotations

import pytest

from pim_runtime import errors
from pim_runtime.errors import DpuError, DpuErrorCode, DpuFaultError, KernelError, LinkError, PimError, ProfileError

pytestmark = pytest.mark.quick

TABLE = """\
0 DPU_OK success
1 INTERNAL internal error
2 SYSTEM system error
3 DRIVER driver error
4 ALLOCATION dpu allocation error
5 INVALID_DPU_SET invalid action for this dpu set
6 INVALID_THREAD_ID invalid thread id
7 INVALID_NOTIFY_ID invalid notify id
8 INVALID_WRAM_ACCESS invalid wram access
9 INVALID_IRAM_ACCESS invalid iram access
10 INVALID_MRAM_ACCESS invalid mram access
11 INVALID_SYMBOL_ACCESS invalid memory symbol access
12 MRAM_BUSY mram is busy
13 TRANSFER_ALREADY_SET dpu transfer is already set
14 INVALID_PARALLEL_MEMORY_TRANSFER invalid parallel transfer (should be to/from WRAM)
15 WRAM_FIFO_FULL cannot push to WRAM FIFO, FIFO full
16 NO_PROGRAM_LOADED no program has been loaded in the dpu set
17 DIFFERENT_DPU_PROGRAMS cannot access symbol on dpus with different programs
18 CORRUPTED_MEMORY corrupted memory
19 DPU_DISABLED dpu is disabled
20 DPU_ALREADY_RUNNING dpu is already running
21 INVALID_MEMORY_TRANSFER invalid memory transfer
22 INVALID_LAUNCH_POLICY invalid launch policy
23 DPU_FAULT dpu is in fault
24 ELF_INVALID_FILE invalid ELF file
25 ELF_NO_SUCH_FILE no such ELF file
26 ELF_NO_SUCH_SECTION no such ELF section
27 TIMEOUT result timeout
28 INVALID_PROFILE invalid profile
29 UNKNOWN_SYMBOL undefined symbol
30 LOG_FORMAT logging format error
31 LOG_CONTEXT_MISSING logging context missing
32 LOG_BUFFER_TOO_SMALL logging buffer too small
33 VPD_INVALID_FILE invalid VPD file
34 VPD_NO_REPAIR repairs have not been generated
35 NO_THREAD_PER_RANK no thread to perform multiple-rank operation
36 INVALID_BUFFER_SIZE invalid buffer size
37 NONBLOCKING_SYNC_CALLBACK nonblocking and synchronous callback is invalid
38 TOO_MANY_TASKLETS dpu program uses more tasklets than the hardware has threads
39 SG_TOO_MANY_BLOCKS scatter/gather transfer prepare exceed max number of blocks
40 SG_LENGTH_MISMATCH scatter/gather transfer mismatch between nr bytes in blocks and length
41 SG_NOT_ACTIVATED scatter/gather transfer not activated
42 SG_NOT_MRAM_SYMBOL scatter/gather transfer unsupported symbol (must be a mram symbol)
"""

LEAVES = {
    "OutOfMemoryError": 2,
    "AllocationError": 4, "InvalidDpuSetError": 5, "InvalidWramAccessError": 8, "InvalidMramAccessError": 10,
    "InvalidSymbolAccessError": 11, "InvalidParallelMemoryTransferError": 14, "NoProgramLoadedError": 16,
    "DifferentDpuProgramsError": 17, "InvalidMemoryTransferError": 21, "InvalidLaunchPolicyError": 22,
    "DpuFaultError": 23, "InvalidProfileError": 28, "UnknownSymbolError": 29, "LogFormatError": 30,
    "LogContextMissingError": 31, "LogBufferTooSmallError": 32, "InvalidBufferSizeError": 36,
    "TooManyTaskletsError": 38,
}  # fmt: skip


def test_the_table():
    expected = [line.split(" ", 2) for line in TABLE.splitlines()]
    names = [name if name == "DPU_OK" else f"DPU_ERR_{name}" for _, name, _ in expected]
    assert [code.name for code in DpuErrorCode] == names
    assert [[str(code.number), code.text] for code in DpuErrorCode] == [[number, text] for number, _, text in expected]


def test_every_leaf_has_its_code():
    classes = {name: getattr(errors, name) for name in errors.__all__}
    leaves = {
        name: cls.code.number for name, cls in classes.items() if issubclass(cls, DpuError) and cls.code is not None
    }
    assert leaves == LEAVES


@pytest.mark.parametrize("name", sorted(set(LEAVES) - {"DpuFaultError"}))
def test_texts_begin_with_the_sdks(name):
    cls = getattr(errors, name)
    assert str(cls("what and where")) == f"{cls.code.text}: what and where"
    assert str(cls()) == cls.code.text
    assert isinstance(cls(), DpuError)


def test_the_tree():
    assert str(DpuFaultError("where", [])) == "dpu is in fault: where"
    assert DpuFaultError("where", []).faults == ()
    assert str(DpuError("plain text")) == "plain text"
    assert all(issubclass(cls, PimError) for cls in (DpuError, KernelError, LinkError, ProfileError))
    assert issubclass(ProfileError, ValueError)
