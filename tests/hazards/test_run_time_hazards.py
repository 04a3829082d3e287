"""Broken rules at run time, one by one: what the fault says, and that the corrected twin runs clean.

Every case runs with the culprit on DPU 65 (rank 1) and its twin on DPU 64 in the same launch, on both engines, and
states every field of the fault: engines that meet the same expectation agree with each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import pytest

from pim_runtime import DpuFaultError
from pim_runtime.device.faults import FaultCode

MRAM_END, WRAM_END = 64 << 20, 64 << 10
BYTES = 40  # address of `bytes_`, the first WRAM variable
INT64_MIN = -(1 << 63)


@dataclass(frozen=True, kw_only=True)
class Hazard:
    """`broken` and `mended` requests, the fault's code and values, its source text, and phrases of the report."""

    broken: tuple
    mended: tuple
    code: FaultCode
    values: tuple[int, ...]
    at: str
    says: tuple[str, ...]


def hazard(operation, at, code, values, says, *, broken, mended):
    return Hazard(broken=(operation, *broken), mended=(operation, *mended), code=code, values=values, at=at, says=says)


READ_AT, WRITE_AT = "mram_read(t, a, bytes_", "mram_write(t, bytes_"
BOTH_WAYS = [("READ", READ_AT), ("WRITE", WRITE_AT)]
RULE_OF_SIZE = "a transfer is 8 to 2048 bytes in steps of 8. Round the size up"
GOOD_DMA = (64, 0, 16, 4096)  # MRAM address, first byte in WRAM, bytes, length of the window

DMA = {
    f"{operation.lower()} {name}": hazard(operation, at, code, values, says, broken=broken, mended=mended)
    for operation, at in BOTH_WAYS
    for name, code, values, says, broken, mended in [
        *(
            (f"of {size} bytes", FaultCode.DMA_SIZE, (size, 0, 0, 0), (f"DMA of {size} bytes", RULE_OF_SIZE),
             (64, 0, size, 4096), (64, 0, mended, 4096))
            for size, mended in [(0, 8), (4, 8), (7, 8), (12, 16), (2056, 2048), (-8, 8)]
        ),
        ("at MRAM 0x44", FaultCode.DMA_MRAM_ALIGNMENT, (68, 16, 64, 0),
         ("DMA of 16 bytes at MRAM 0x44", "must be a multiple of 8", "Start at 0x40"), (68, 0, 16, 4096), GOOD_DMA),
        ("at odd WRAM", FaultCode.DMA_WRAM_ALIGNMENT, (BYTES + 4, 16, BYTES, 0),
         ("at WRAM 0x2c", "must be a multiple of 8", "Start the window at 0x28"), (64, 4, 16, 64), GOOD_DMA),
        ("over the end of MRAM", FaultCode.DMA_MRAM_RANGE, (MRAM_END - 8, 16, MRAM_END, 0),
         ("DMA of 16 bytes at MRAM 0x3fffff8", "ends at 0x4000000", "Check the offset"),
         (MRAM_END - 8, 0, 16, 4096), (MRAM_END - 16, 0, 16, 4096)),
        ("before MRAM", FaultCode.DMA_MRAM_RANGE, (-8, 8, MRAM_END, 0), ("MRAM -0x8",), (-8, 0, 8, 64), (0, 0, 8, 64)),
        ("far behind MRAM", FaultCode.DMA_MRAM_RANGE, ((1 << 63) - 8, 8, MRAM_END, 0), ("leaves the MRAM",),
         ((1 << 63) - 8, 0, 8, 64), (0, 0, 8, 64)),
        ("past the buffer", FaultCode.DMA_WRAM_RANGE, (24, 16, BYTES + 8, 0),
         ("DMA of 24 bytes: the WRAM buffer at 0x30 holds 16 bytes", "Allocate a larger buffer"),
         (64, 8, 24, 16), (64, 8, 16, 16)),
    ]
}  # fmt: skip


LOAD_AT, STORE_AT = "result = words.array(t)[a]", "words.array(t)[a] = b"
INDICES = {
    f"{operation.lower()} at index {index}": hazard(
        operation, at, FaultCode.WRAM_INDEX, (index, 8, 7, 0),
        (f"index {index} of a WRAM view with 8 elements (valid: 0 to 7)", "negative indices do not wrap"),
        broken=(index, 5), mended=(7, 5),
    )
    for operation, at in [("LOAD", LOAD_AT), ("STORE", STORE_AT)]
    for index in (8, 1000, -1, -8, INT64_MIN, (1 << 63) - 1)
}  # fmt: skip

VIEW_AT = "wram_view(t, int32, a, b)"
VIEWS = {
    f"view of {length} elements at {address}": hazard(
        "VIEW", VIEW_AT, FaultCode.WRAM_RANGE, (address, length, 4, WRAM_END),
        (f"a WRAM view of {length} elements of 4 bytes at {address:#x}", "ends at 0x10000"),
        broken=(address, length), mended=(WRAM_END - 16, 4),
    )
    for address, length in [
        (WRAM_END - 16, 5), (WRAM_END, 1), (-4, 1), (64, -1), (1 << 62, 1), (64, 1 << 62), (INT64_MIN, 2), (0, 1 << 61),
    ]
} | {
    "view of int32 at 66": hazard(
        "VIEW", VIEW_AT, FaultCode.WRAM_ALIGNMENT, (66, 4, 0, 0),
        ("a WRAM view of 4-byte elements at 0x42: the address must be a multiple of 4",),
        broken=(66, 2), mended=(68, 2),
    )
}  # fmt: skip
WINDOWS = {
    f"window({first}, {length})": hazard(
        "WINDOW", "words.array(t).window(a, b)", FaultCode.WINDOW, (first, length, 8, 0),
        (f"window({first}, {length}) of a WRAM view with 8 elements", "must lie inside"),
        broken=(first, length), mended=(4, 4),
    )
    for first, length in [(4, 5), (-1, 2), (9, 0), (0, -1), (8, (1 << 63) - 1)]
}  # fmt: skip

HEAP_START = BYTES + 4096 + 32 + 8 + 4 * (1024 + 8)  # bytes_, words, barrier, stacks and software cache
HEAP_START += 5 * 8 + 2 * 8  # request, culprit, answer
FREE = WRAM_END - HEAP_START - 1  # the SDK faults when the new heap pointer reaches the end of WRAM
ALLOC_AT = "result = len(mem_alloc(t, int64, a))"
HEAP = {
    "mem_alloc of more than there is": hazard(
        "ALLOC", ALLOC_AT, FaultCode.HEAP_FULL, (8 * (FREE // 8 + 1), HEAP_START, FREE, WRAM_END),
        (f"only {FREE} bytes are left before the end of WRAM (0x10000)", "Call mem_reset()"),
        broken=(FREE // 8 + 1,), mended=(FREE // 8,),
    ),
    "mem_alloc of 2**61 int64": hazard(
        "ALLOC", ALLOC_AT, FaultCode.HEAP_FULL, (8 * 0xFFFF_FFFF, HEAP_START, FREE, WRAM_END), ("Call mem_reset()",),
        broken=(1 << 61,), mended=(1,),
    ),
    "mem_alloc of a negative length": hazard(
        "ALLOC", ALLOC_AT, FaultCode.ALLOC_SIZE, (-1, 0, 0, 0),
        ("mem_alloc of -1 elements: the number must not be negative",), broken=(-1,), mended=(1,),
    ),
}  # fmt: skip

DIVISIONS = {
    name: hazard(
        operation, at, FaultCode.DIVISION_BY_ZERO, (0, 0, 0, 0),
        ("integer division by zero. Test the divisor first",), broken=(7, 0), mended=(7, 2),
    )
    for name, operation, at in [
        ("a // 0", "FLOOR_DIVIDE", "result = a // b"),
        ("a % 0", "MODULO", "result = a % b"),
        ("div by 0", "DIV", "div(int32, a, b)"),
        ("rem by 0", "REM", "rem(int32, a, b)"),
        ("a // 0 in a helper", "HELPER_DIVIDES", "return a // b"),
        ("helper() // 0", "AFTER_HELPER", "result = ratio(t, a, 1) // b"),
    ]
}  # fmt: skip

STOPS = {
    "assert_that": hazard("ASSERT_THAT", "assert_that(t, a == b)", FaultCode.ASSERT, (0,) * 4, ("assertion failed",),
                          broken=(1, 2), mended=(1, 1)),
    "assert": hazard("PYTHON_ASSERT", "assert a == b", FaultCode.ASSERT, (0,) * 4, ("assertion failed",),
                     broken=(1, 2), mended=(1, 1)),
    "halt": hazard("HALT", "halt(t)", FaultCode.HALT, (0,) * 4, ("halt() was called",), broken=(1, 1), mended=(1, 2)),
    "perfcounter of both kinds": hazard(
        "PERFCOUNTER", "perfcounter_config(t, a, True)", FaultCode.PERFCOUNTER, (7, 0, 0, 0),
        ("perfcounter_config(7): this chip counts cycles or instructions, not both",), broken=(7,), mended=(1,)),
    "range with a step of 0": hazard(
        "STEP", "for i in range(0, a, b):", FaultCode.INTERNAL, (0,) * 4,
        ("the kernel raised an exception of its own: ValueError: range() arg 3 must not be zero",),
        broken=(7, 0), mended=(7, 2)),
}  # fmt: skip

HAZARDS = DMA | INDICES | VIEWS | WINDOWS | HEAP | DIVISIONS | STOPS


@pytest.mark.parametrize("case", HAZARDS.values(), ids=HAZARDS)
def test_fault_names_place_and_rule_and_the_twin_runs(case, run, misbehaving, source):
    with pytest.raises(DpuFaultError) as caught:
        run({64: case.mended, 65: case.broken})
    (fault,) = caught.value.faults
    line = source.line_of(case.at)
    assert (fault.dpu, fault.tasklet, fault.phase) == (65, 2, 1)
    assert (fault.code, fault.values) == (case.code, case.values)
    assert (fault.filename, fault.line) == (source.filename, line)

    report = str(caught.value)
    assert report.startswith("dpu is in fault: 1 of 66 DPUs\nrank 1, DPU 65 (1.0.1), tasklet 2, phase 1, at ")
    with open(source.filename) as text:
        source_text = text.read().splitlines()[line - 1].strip()
    assert f"at {PurePath(source.filename).name}:{line} `{source_text}`:\n    {fault.text}" in report
    for phrase in case.says:
        assert phrase in fault.text

    answers = misbehaving.answer.int64()
    assert answers[64] != 0, "the twin beside it has run to its end"
    assert answers[65] == 0, "the culprit has not"
    assert run({65: case.mended})[65] == answers[64], "and nothing is left of the fault"
