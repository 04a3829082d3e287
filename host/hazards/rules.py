"""Broken rules of the machine: what hardware reports as a fault without a place, or does not report at all."""

from __future__ import annotations

from functools import partial

import numpy as np

from dpu_kernels.hazards.broken_rules import Rule, breaking_rules, countdown, misbehave, ratio, remainder
from pim_runtime.device.faults import FaultCode

from .hazard import Group, Hazard, Variant
from .places import line_with
from .stage import MAX_ITERATIONS, Stage

__all__ = ["HAZARDS"]

Request = tuple[int, ...]

CULPRIT = 2  # the tasklet
MRAM_BYTES, WRAM_BYTES = 64 << 20, 64 << 10
GOOD_DMA = (64, 0, 16, 4096)  # MRAM address, first byte of the buffer, bytes, size of the buffer


def _ask(stage: Stage, variant: Variant, *, rule: Rule, planted: Request, mended: Request) -> None:
    """DPU 1 does what is asked for, DPU 0 the mended version of it."""
    dpus = stage.allocate(2, breaking_rules)
    rows = np.zeros((2, 5), np.int64)
    rows[:, 0] = rule
    rows[0, 1 : 1 + len(mended)] = mended
    chosen = planted if variant == "planted" else mended
    rows[1, 1 : 1 + len(chosen)] = chosen
    dpus.copy("request", rows)
    dpus.copy("culprit", np.full((2, 1), CULPRIT))
    dpus.exec()


def _rule(
    name: str,
    rule: Rule,
    code: FaultCode,
    at: str,
    says: str,
    *,
    planted: Request,
    mended: Request,
    group: Group = "broken rules",
) -> Hazard:
    return Hazard(
        name=name,
        group=group,
        run=partial(_ask, rule=rule, planted=planted, mended=mended),
        reported_as=code.name,
        says=says,
        at=line_with(at, misbehave, ratio, remainder, countdown),
    )


def _dma(name: str, code: FaultCode, says: str, *, planted: Request, mended: Request = GOOD_DMA) -> list[Hazard]:
    """The same mistake in both directions."""
    calls = ((Rule.READ, "mram_read", "mram_read(t, a, bytes_"), (Rule.WRITE, "mram_write", "mram_write(t, bytes_"))
    return [_rule(f"{call} {name}", rule, code, at, says, planted=planted, mended=mended) for rule, call, at in calls]


DMA = (
    *_dma("of 0 bytes", FaultCode.DMA_SIZE, "DMA of 0 bytes", planted=(64, 0, 0, 4096)),
    *_dma("of 12 bytes", FaultCode.DMA_SIZE, "DMA of 12 bytes", planted=(64, 0, 12, 4096)),
    *_dma("of 2056 bytes", FaultCode.DMA_SIZE, "8 to 2048 bytes", planted=(64, 0, 2056, 4096)),
    *_dma("of -8 bytes", FaultCode.DMA_SIZE, "DMA of -8 bytes", planted=(64, 0, -8, 4096)),
    *_dma("at MRAM 0x44", FaultCode.DMA_MRAM_ALIGNMENT, "must be a multiple of 8", planted=(68, 0, 16, 4096)),
    *_dma("at an odd WRAM address", FaultCode.DMA_WRAM_ALIGNMENT, "must be a multiple of 8", planted=(64, 4, 16, 64)),
    *_dma("over the end of MRAM", FaultCode.DMA_MRAM_RANGE, "leaves the MRAM", planted=(MRAM_BYTES - 8, 0, 16, 64)),
    *_dma("before the start of MRAM", FaultCode.DMA_MRAM_RANGE, "leaves the MRAM", planted=(-8, 0, 8, 64)),
    *_dma("past its buffer", FaultCode.DMA_WRAM_RANGE, "holds 16 bytes", planted=(64, 8, 24, 16)),
)

LOAD_AT, STORE_AT = "result = words.array(t)[a]", "words.array(t)[a] = b"
VIEW_AT, WINDOW_AT, ALLOC_AT = "wram_view(t, int32, a, b)", ".window(a, b))", "mem_alloc(t, int64, a)"
INDEX, RANGE = FaultCode.WRAM_INDEX, FaultCode.WRAM_RANGE

VIEWS = (
    _rule("load one past the end", Rule.LOAD, INDEX, LOAD_AT, "index 8", planted=(8,), mended=(7,)),
    _rule("load at index -1", Rule.LOAD, INDEX, LOAD_AT, "do not wrap", planted=(-1,), mended=(0,)),
    _rule("store one past the end", Rule.STORE, INDEX, STORE_AT, "index 8", planted=(8, 5), mended=(7, 5)),
    _rule("store far before the start", Rule.STORE, INDEX, STORE_AT, "index -4096", planted=(-4096, 5), mended=(0, 5)),
    _rule("view past the end of WRAM", Rule.VIEW, RANGE, VIEW_AT, "leaves the WRAM",
          planted=(WRAM_BYTES - 16, 5), mended=(WRAM_BYTES - 16, 4)),
    _rule("view of -1 elements", Rule.VIEW, RANGE, VIEW_AT, "-1 elements", planted=(64, -1), mended=(64, 1)),
    _rule("misaligned view", Rule.VIEW, FaultCode.WRAM_ALIGNMENT, VIEW_AT, "multiple of 4",
          planted=(66, 2), mended=(68, 2)),
    _rule("window past its view", Rule.WINDOW, FaultCode.WINDOW, WINDOW_AT, "window(4, 5)",
          planted=(4, 5), mended=(4, 4)),
    _rule("heap exhausted", Rule.ALLOC, FaultCode.HEAP_FULL, ALLOC_AT, "mem_reset()", planted=(8192,), mended=(64,)),
    _rule("mem_alloc of -1 elements", Rule.ALLOC, FaultCode.ALLOC_SIZE, ALLOC_AT, "must not be negative",
          planted=(-1,), mended=(1,)),
)  # fmt: skip

ZERO = FaultCode.DIVISION_BY_ZERO
STOPS = (
    _rule("a // 0", Rule.FLOOR_DIVIDE, ZERO, "result = a // b", "by zero", planted=(7, 0), mended=(7, 2)),
    _rule("a % 0", Rule.MODULO, ZERO, "result = a % b", "by zero", planted=(7, 0), mended=(7, 2)),
    _rule("div by 0", Rule.DIV, ZERO, "div(int32, a, b)", "by zero", planted=(7, 0), mended=(7, 2)),
    _rule("rem by 0", Rule.REM, ZERO, "rem(int32, a, b)", "by zero", planted=(7, 0), mended=(7, 2)),
    _rule("a // 0 in a helper", Rule.HELPER_DIVIDES, ZERO, "return a // b", "by zero", planted=(7, 0), mended=(7, 2)),
    _rule("a % 0 in a helper without a tasklet", Rule.BARE_HELPER, ZERO, "return a % b", "by zero",
          planted=(7, 0), mended=(7, 2)),
    _rule("helper() // 0", Rule.AFTER_HELPER, ZERO, "ratio(t, a, 1) // b", "by zero", planted=(7, 0), mended=(7, 2)),
    _rule("range with a step of 0", Rule.STEP, FaultCode.INTERNAL, "for i in range(0, a, b):", "must not be zero",
          planted=(7, 0), mended=(7, 2)),
    _rule("assert_that", Rule.ASSERT_THAT, FaultCode.ASSERT, "assert_that(t, a == b)", "assertion failed",
          planted=(1, 2), mended=(1, 1)),
    _rule("assert", Rule.PYTHON_ASSERT, FaultCode.ASSERT, "assert a == b", "assertion failed",
          planted=(1, 2), mended=(1, 1)),
    _rule("halt", Rule.HALT, FaultCode.HALT, "halt(t)", "halt() was called", planted=(1, 1), mended=(1, 2)),
    _rule("perfcounter of both kinds", Rule.PERFCOUNTER, FaultCode.PERFCOUNTER, "perfcounter_config(t, a", "not both",
          planted=(7,), mended=(1,)),
)  # fmt: skip

RUNAWAY = FaultCode.RUNAWAY
LOOPS = (
    _rule("while loop that never ends", Rule.ENDLESS, RUNAWAY, "# by its own fault", "max_iterations",
          planted=(9, 0), mended=(9, 3), group="endless loops"),
    _rule("for loop of 2**40 iterations", Rule.LONG_LOOP, RUNAWAY, "# much longer than meant", "max_iterations",
          planted=(1 << 40,), mended=(MAX_ITERATIONS // 2,), group="endless loops"),
    _rule("spinning on a mutex", Rule.SPIN, RUNAWAY, "# nobody else runs meanwhile", "runs alone",
          planted=(1,), mended=(0,), group="endless loops"),
    _rule("endless loop in a helper", Rule.HELPER_LOOPS, RUNAWAY, "# in a helper", "max_iterations",
          planted=(9, 0), mended=(9, 3), group="endless loops"),
)  # fmt: skip

HAZARDS = (*DMA, *VIEWS, *STOPS, *LOOPS)
