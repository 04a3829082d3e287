"""Undefined values: a kernel may load, copy and compute with them, and must not depend on them."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime import DpuProgram, device
from pim_runtime.check.finding import SourcePlace
from pim_runtime.check.undefined import SUBSTITUTES, CheckedInteger, Origin, Undefined, defined
from pim_runtime.device import (
    div,
    dpu_function,
    int16,
    int32,
    int64,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    printf,
    uint8,
    wram_view,
)

pytestmark = pytest.mark.quick

COPY, PAD, TIMES_ZERO, MASKED, COMPARED, TRUTH, INDEX, LOOP, DIVISOR, DIV, PRINT, ADDRESS, RESULT, CAST = range(14)

fresh = DpuProgram("fresh")
what = fresh.host("what", int64)
table = fresh.mram("table", int32, 4)
given_words = fresh.mram_noinit("given_words", int32, 6)
out = fresh.mram_noinit("out", int32, 6)
total = fresh.host("total", int64)


@dpu_function
def halved(value):
    return value // 2


@fresh.kernel
def use(t):
    """Load a fresh word and do `what` with it."""
    do = what.load(t)
    mem_reset(t)
    block, words = mem_alloc(t, int32, 2), mem_alloc(t, int32, 6)
    value = halved(block[0]) + 1  # loaded
    if do == COPY:
        mram_write(t, block, out.address, 8)
    elif do == PAD:
        mram_read(t, given_words.address, words, 24)
        for i in range(6):
            words[i] = words[i] + 1
        mram_write(t, words, out.address, 24)
    elif do == TIMES_ZERO:
        total.store(t, 5 + 0 * value)
    elif do == MASKED:
        total.store(t, value & 0)
    elif do == COMPARED:
        if value > 3:  # used
            total.store(t, 1)
    elif do == TRUTH:
        if not value:  # used
            total.store(t, 1)
    elif do == INDEX:
        words[value & 1] = 0  # used
    elif do == LOOP:
        for i in range(value & 3):  # used
            total.store(t, i)
    elif do == DIVISOR:
        total.store(t, 7 // (value | 1))  # used
    elif do == DIV:
        total.store(t, div(int32, 7, value | 1))  # used
    elif do == PRINT:
        printf(t, "%d\n", value)  # used
    elif do == ADDRESS:
        mram_read(t, table.address + (value & 8), words, 8)  # used
    elif do == RESULT:
        total.store(t, value)
    elif do == CAST:
        total.store(t, int16(0 * value) + int64(0))


@pytest.mark.parametrize("do", [COPY, PAD, TIMES_ZERO, MASKED, CAST])
def test_nothing_depends_on_it(checked, do):
    assert checked(fresh, {"what": do, "given_words": [1, 2, 3, 4]}) == []


@pytest.mark.parametrize(
    ("do", "purpose"),
    {
        COMPARED: "in a comparison", TRUTH: "in a decision", INDEX: "as an index", LOOP: "as the bound of a loop",
        DIVISOR: "as a divisor", DIV: "as a divisor", PRINT: "in a message", ADDRESS: "as an address",
    }.items(),
)  # fmt: skip
def test_a_use_names_the_load_and_the_use(checked, do, purpose):
    found = [finding for finding in checked(fresh, {"what": do}) if finding.tasklets]
    (finding,) = found
    loaded, used = finding.places
    assert (finding.kind, finding.symbol, finding.tasklets) == ("uninitialised", "WRAM heap", (0,))
    assert "# loaded" in str(loaded)
    assert "# used" in str(used)
    assert f"loaded at {loaded}, {purpose} at {used}" in finding.text
    assert "which nobody has written since mem_alloc" in finding.text


def test_a_result_that_depends_on_it(checked):
    stored, poisoned = checked(fresh, {"what": RESULT})
    assert "total (WRAM" in stored.text
    assert "which outlives the launch, depends on WRAM heap + 0x0" in stored.text
    assert (poisoned.symbol, poisoned.kind) == ("total", "uninitialised")
    assert "when undefined memory holds 0xa5 and 0x5a" in poisoned.text


def test_the_host_reads_what_a_kernel_computed_from_nothing(checked):
    (finding,) = checked(fresh, {"what": PAD, "given_words": [1, 2, 3, 4]}, reads=["out"])
    host, kernel = finding.places
    assert finding.symbol == "given_words"
    assert host.filename.endswith("conftest.py")
    assert "words[i] = words[i] + 1" in str(kernel)
    assert f"the host reads out[4] (MRAM {out.address + 16:#x})" in finding.text
    assert checked(fresh, {"what": PAD, "given_words": range(6)}, reads=["out"]) == []


padded = DpuProgram("padded")
data = padded.mram_noinit("data", int32, 8)
doubled = padded.mram_noinit("doubled", int32, 8)
work = padded.wram("work", int32, 8)


@padded.kernel
def double(t):
    """Double all of `data` in a buffer that is a variable."""
    block = work.array(t)
    mram_read(t, data.address, block, 32)
    for i in range(8):
        block[i] = 2 * block[i]
    mram_write(t, block, doubled.address, 32)


def test_padding_in_a_buffer_that_is_a_variable(checked):
    assert checked(padded, {"data": range(6)}) == []
    (finding,) = (finding for finding in checked(padded) if finding.places)
    assert "work[0] (WRAM" in finding.text
    assert "depends on data[0] (MRAM 0x0), which neither host nor kernel has written" in finding.text


def test_the_host_reads_what_nobody_wrote(checked):
    (finding,) = checked(fresh, {"what": COPY + 100}, reads=["given_words", "table"])
    assert (finding.kind, finding.symbol, finding.tasklets, finding.phase) == ("uninitialised", "given_words", (), None)
    assert "the host reads 24 bytes of 'given_words'" in finding.text
    assert "of which 24 were never written" in finding.text


low = DpuProgram("low")
address = low.host("address", int64)
stored_byte = low.host("stored_byte", int64)


@low.kernel
def touch(t):
    view = wram_view(t, uint8, address.load(t), 1)
    if stored_byte.load(t) == 1:
        view[0] = 0
    elif view[0] == 1:
        address.store(t, 0)


@pytest.mark.parametrize("store", [0, 1])
def test_words_of_the_runtime(checked, store):
    for at in (0, 39):
        (finding,) = checked(low, {"address": at, "stored_byte": store})
        assert finding.kind == "runtime words"
        assert f"tasklet 0 {'writes' if store else 'reads'} WRAM {at:#x} at " in finding.text
    assert checked(low, {"address": stored_byte.address, "stored_byte": store}) == []


ORIGIN = Origin("x", "x[0]", SourcePlace("kernel.py", 1), is_padding=False)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
FOLLOWING = (operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor, operator.floordiv,
             operator.mod)  # fmt: skip
DECIDING = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


def undefined(value, uses):
    return Undefined.of(value, ORIGIN, lambda origin, purpose: uses.append(purpose))


@given(NUMBERS, NUMBERS, st.sampled_from(FOLLOWING), st.sampled_from(["left", "right", "both"]))
def test_arithmetic_gives_the_same_numbers_and_stays_undefined(a, b, operation, side):
    uses = []
    x = a if side == "right" else undefined(a, uses)
    y = b if side == "left" else undefined(b, uses)
    divides = operation in (operator.floordiv, operator.mod)
    if divides and b == 0:
        with pytest.raises(ZeroDivisionError):
            operation(x, y)
        return
    result = operation(x, y)
    absorbed = operation in (operator.mul, operator.and_) and 0 in {"left": [b], "right": [a], "both": []}[side]
    assert (int(result), type(result)) == (operation(a, b), int if absorbed else Undefined)
    assert uses == (["as a divisor"] if divides and side != "left" else [])


@given(NUMBERS, NUMBERS, st.sampled_from(DECIDING), st.booleans())
def test_comparisons_are_uses_and_decide_as_ever(a, b, comparison, swapped):
    uses = []
    x, y = (a, undefined(b, uses)) if swapped else (undefined(a, uses), b)
    assert comparison(x, y) is comparison(a, b)
    assert uses == ["in a comparison"]


@given(NUMBERS, st.integers(0, 63), st.sampled_from([int16, int32, int64, uint8]))
def test_casts_shifts_and_signs(a, n, kind):
    uses = []
    x = undefined(a, uses)
    for result, expected in (
        (CheckedInteger.like(kind)(x), kind(a)),
        (x << n, a << n),
        (x >> n, a >> n),
        (-x, -a),
        (+x, +a),
        (~x, ~a),
        (abs(x), abs(a)),
        (SUBSTITUTES[device.shr](kind, x, n), device.shr(kind, a, n)),
        (SUBSTITUTES[device.clz](kind, x), device.clz(kind, a)),
        (SUBSTITUTES[int](x), a),
    ):
        assert (int(result), type(result)) == (expected, Undefined)
    assert CheckedInteger.like(kind)(a) == kind(a)
    assert uses == []
    assert defined(x, "as a size") == a
    assert type(defined(x, "as a size")) is int
    assert uses == ["as a size"] * 2
