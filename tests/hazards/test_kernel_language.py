"""What a kernel may not say: refused before any engine runs, with file, line, source text and a caret under it.

Every case is a broken kernel and its corrected twin, which runs in the interpreted engine.
"""

from __future__ import annotations

import linecache
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pim_runtime import DpuFaultError, DpuProgram, DpuSet, KernelError
from pim_runtime.device import barrier_wait, div, dpu_function, int32, me, mem_alloc, mram_read, mutex_lock, printf, shr
from pim_runtime.device.faults import FaultCode

SCALE = 1.5
SCALE_IN_QUARTERS = 6
ROWS = np.int32(7)
TABLE = [1, 2, 3]
ENTRIES = (1, 2, 3)
CASES = []


@dataclass(frozen=True, kw_only=True)
class Case:
    """`define(total, values, done)` gives the broken and the mended kernel. The caret is under `under` in `line`."""

    define: object
    reason: str
    line: str
    under: str
    mend: str


def case(*, reason, line, under=None, name=None, mend=""):
    """Add the decorated function to CASES. `under`: by default the first character of the line.

    `name`: what the caret is under where Python records columns, from 3.11 on.
    """
    if name is not None and sys.version_info >= (3, 11):
        under = name

    def add(define):
        CASES.append(Case(define=define, reason=reason, line=line, under=under or line[0], mend=mend))
        return define

    return add


def twice(x):
    return 2 * x


@dpu_function
def doubled(x):
    return 2 * x


@dpu_function
def halved(x):
    return x / 2


@dpu_function
def half(x):
    return shr(int32, x, 1)


@dpu_function
def meets(t, barrier):
    yield barrier_wait(t, barrier)


FLOAT, SCALING = "DPU kernels are integer-only, but this is float", "scale it to an integer"
DIVISION, DIVIDING = "DPU kernels are integer-only, but `/` gives a float", "use // or div(...) or a shift"
NAMES = "kernels see integers, symbols, pim_runtime.device and @dpu_function helpers"
YIELDS = "a kernel yields only what can block: barrier_wait, handshake_notify, handshake_wait_for, mutex_lock, sem_take"


@case(reason=FLOAT, line="total.store(t, int32(me(t) * 1.5))", under="1.5", mend=SCALING)
def float_literal(total, values, done):
    def broken(t):
        total.store(t, int32(me(t) * 1.5))

    def mended(t):
        total.store(t, me(t) * 3 // 2)

    return broken, mended


@case(reason=DIVISION, line="total.store(t, values.load(t) / 2)", under="values.load(t) / 2", mend=DIVIDING)
def true_division(total, values, done):
    def broken(t):
        total.store(t, values.load(t) / 2)

    def mended(t):
        total.store(t, div(int32, values.load(t), 2))

    return broken, mended


@case(reason=DIVISION, line="half /= 2", under="half /= 2", mend=DIVIDING)
def division_in_place(total, values, done):
    def broken(t):
        half = values.load(t)
        half /= 2
        total.store(t, half)

    def mended(t):
        half = values.load(t)
        half //= 2
        total.store(t, half)

    return broken, mended


@case(reason=FLOAT, line="total.store(t, float(me(t)))", under="float")
def float_cast(total, values, done):
    def broken(t):
        total.store(t, float(me(t)))

    def mended(t):
        total.store(t, int32(me(t)))

    return broken, mended


@case(
    reason="a kernel cannot use module `math`",
    line="total.store(t, math.isqrt(values.load(t)))",
    name="math",
    mend="import what it needs from pim_runtime.device",
)
def math_module(total, values, done):
    def broken(t):
        total.store(t, math.isqrt(values.load(t)))

    def mended(t):
        root = 0
        while (root + 1) * (root + 1) <= values.load(t):
            root += 1
        total.store(t, root)

    return broken, mended


@case(
    reason="a kernel cannot use module `np`",
    line="total.store(t, np.mean(values.array(t)))",
    name="np",
    mend="import what it needs from pim_runtime.device",
)
def numpy_mean(total, values, done):
    def broken(t):
        total.store(t, np.mean(values.array(t)))

    def mended(t):
        view, acc = values.array(t), 0
        for i in range(len(view)):
            acc += view[i]
        total.store(t, acc // len(view))

    return broken, mended


@case(
    reason="DPU kernels are integer-only, but `SCALE` is float",
    line="total.store(t, me(t) * SCALE)",
    name="SCALE",
    mend=SCALING,
)
def float_global(total, values, done):
    def broken(t):
        total.store(t, me(t) * SCALE)

    def mended(t):
        total.store(t, me(t) * SCALE_IN_QUARTERS >> 2)

    return broken, mended


@case(reason=DIVISION, line="return x / 2", under="x / 2", mend=DIVIDING)
def float_in_a_helper(total, values, done):
    def broken(t):
        total.store(t, halved(values.load(t)))

    def mended(t):
        total.store(t, half(values.load(t)))

    return broken, mended


@case(reason="a DPU has no lists; allocate a WRAM view with mem_alloc", line="acc = [0, 0]", under="[0, 0]")
def list_display(total, values, done):
    def broken(t):
        acc = [0, 0]
        acc[1] = 1
        total.store(t, acc[1])

    def mended(t):
        acc = mem_alloc(t, int32, 2)
        acc[1] = 1
        total.store(t, acc[1])

    return broken, mended


@case(reason="a kernel cannot use `TABLE`, a list", line="total.store(t, TABLE[me(t)])", name="TABLE", mend=NAMES)
def list_global(total, values, done):
    def broken(t):
        total.store(t, TABLE[me(t)])

    def mended(t):
        total.store(t, ENTRIES[me(t)])

    return broken, mended


@case(
    reason="a DPU has no lists; use a loop over a WRAM view",
    line="total.store(t, max([i * i for i in range(4)]))",
    under="[i * i for i in range(4)]",
)
def list_comprehension(total, values, done):
    def broken(t):
        total.store(t, max([i * i for i in range(4)]))

    def mended(t):
        most = 0
        for i in range(4):
            most = max(most, i * i)
        total.store(t, most)

    return broken, mended


@case(
    reason="a kernel cannot define functions; write the helper at module level and mark it @dpu_function",
    line="square = lambda x: x * x",
    under="lambda x: x * x",
)
def lambda_expression(total, values, done):
    def broken(t):
        square = lambda x: x * x  # noqa: E731
        total.store(t, square(3))

    def mended(t):
        total.store(t, doubled(3))

    return broken, mended


@case(reason="a DPU has no exceptions; a fault ends the DPU", line="try:", under="t")
def try_statement(total, values, done):
    def broken(t):
        try:
            total.store(t, 1 // me(t))
        except ZeroDivisionError:
            total.store(t, 0)

    def mended(t):
        total.store(t, 1 // me(t) if me(t) else 0)

    return broken, mended


@case(
    reason="a view has no slices; use view.window(first, length)",
    line="part = values.array(t)[2:4]",
    under="2:4",
)
def slice_of_a_view(total, values, done):
    def broken(t):
        part = values.array(t)[2:4]
        total.store(t, part[0])

    def mended(t):
        part = values.array(t).window(2, 2)
        total.store(t, part[0])

    return broken, mended


@case(
    reason="`twice` is an ordinary Python function",
    line="total.store(t, twice(me(t)))",
    name="twice",
    mend="mark it @dpu_function to call it from a kernel",
)
def ordinary_function(total, values, done):
    def broken(t):
        total.store(t, twice(me(t)))

    def mended(t):
        total.store(t, doubled(me(t)))

    return broken, mended


@case(reason="`valeus` is not defined", line="total.store(t, valeus.load(t))", name="valeus")
def undefined_name(total, values, done):
    def broken(t):
        total.store(t, valeus.load(t))  # noqa: F821

    def mended(t):
        total.store(t, values.load(t))

    return broken, mended


@case(
    reason="a kernel cannot use `sum`, a builtin_function_or_method",
    line="total.store(t, sum(ENTRIES))",
    name="sum",
    mend=NAMES,
)
def builtin_without_counterpart(total, values, done):
    def broken(t):
        total.store(t, sum(ENTRIES))

    def mended(t):
        total.store(t, max(ENTRIES[0], ENTRIES[1]))

    return broken, mended


@case(
    reason="barrier_wait has no effect without yield",
    line="barrier_wait(t, done)",
    under="barrier_wait(t, done)",
    mend="write `yield barrier_wait(...)`",
)
def missing_yield(total, values, done):
    def broken(t):
        barrier_wait(t, done)

    def mended(t):
        yield barrier_wait(t, done)

    return broken, mended


@case(reason=YIELDS, line="yield me(t)", under="yield me(t)")
def yield_of_something_else(total, values, done):
    def broken(t):
        yield me(t)

    def mended(t):
        yield barrier_wait(t, done)

    return broken, mended


@case(reason=YIELDS, line="yield  # let the others run", under="yield")
def yield_of_nothing(total, values, done):
    def broken(t):
        yield  # let the others run

    def mended(t):
        yield barrier_wait(t, done)

    return broken, mended


@case(
    reason="only the kernel itself may block, not a dpu_function",
    line="yield barrier_wait(t, barrier)",
    under="yield barrier_wait(t, barrier)",
)
def blocking_helper(total, values, done):
    def broken(t):
        total.store(t, meets(t, done))

    def mended(t):
        yield barrier_wait(t, done)

    return broken, mended


@case(
    reason="`values` is a symbol, not an array",
    line="größe = values[0]",
    under="values",
    mend="index values.array(t)",
)
def symbol_as_array(total, values, done):
    def broken(t):
        größe = values[0]
        total.store(t, größe)

    def mended(t):
        größe = values.array(t)[0]
        total.store(t, größe)

    return broken, mended


@case(
    reason="`rows` is in MRAM, where a kernel cannot load or store",
    line="ä = 1; rows[ä] = 2",
    under="rows",
    mend="mram_read(t, rows.address + offset, buffer, nr_bytes) copies into a WRAM buffer; index that",
)
def mram_as_array(total, values, done):
    rows = DpuProgram("mram_as_array").mram("rows", int32, 4)

    # fmt: off
    def broken(t):
        ä = 1; rows[ä] = 2  # noqa: E702
    # fmt: on

    def mended(t):
        buffer = mem_alloc(t, int32, 4)
        mram_read(t, rows.address, buffer, 16)

    return broken, mended


@case(
    reason="`ROWS` is a NumPy int32, not an int", line="total.store(t, ROWS)", name="ROWS", mend="define it as int(7)"
)
def numpy_integer(total, values, done):
    def broken(t):
        total.store(t, ROWS)

    def mended(t):
        total.store(t, SCALE_IN_QUARTERS)

    return broken, mended


@case(
    reason="a DPU has no exceptions; stop with assert_that(t, condition) or halt(t)",
    line='raise ValueError("no")',
    under='raise ValueError("no")',
)
def exception(total, values, done):
    def broken(t):
        raise ValueError("no")

    def mended(t):
        """A docstring may have lines
        that begin further left.
        """
        total.store(t, 1)

    return broken, mended


@case(
    reason="a DPU has no strings; printf takes a literal format",
    line='word = "five"',
    under='"five"',
)
def string(total, values, done):
    def broken(t):
        word = "five"
        total.store(t, len(word))

    def mended(t):
        """Docstrings and formats are no values."""
        printf(t, "%d\n", 5)
        total.store(t, 5)

    return broken, mended


@case(
    reason="a kernel takes exactly one argument, its tasklet: `def kernel(t):`",
    line="def broken(t, length):",
    under="d",
)
def second_argument(total, values, done):
    def broken(t, length):
        total.store(t, length)

    def mended(t):
        total.store(t, values.size)

    return broken, mended


@case(reason="a kernel takes plain positional arguments only", line="def broken(t=None):", under="d")
def default_argument(total, values, done):
    def broken(t=None):
        total.store(t, 1)

    def mended(t):
        total.store(t, 1)

    return broken, mended


@case(
    reason="a DPU has no strings; printf takes a literal format",
    line='total.store(t, len(f"{me(t)}"))',
    under='f"{me(t)}"',
)
def f_string(total, values, done):
    def broken(t):
        total.store(t, len(f"{me(t)}"))

    def mended(t):
        total.store(t, 1 if me(t) < 10 else 2)

    return broken, mended


@pytest.fixture
def declared():
    """A program without a kernel, and what the cases declare in it."""
    program = DpuProgram("language", nr_tasklets=2)
    return program, program.host("total", int32), program.wram("values", int32, 8, initial=9), program.barrier("done")


def names(cases):
    return [case.define.__name__ for case in cases]


def declare_and_build(program, kernel, hardware):
    program.kernel(kernel)
    program.build(hardware)


@pytest.mark.quick
@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_broken_kernel_is_refused_with_a_caret(case, declared, hardware):
    program, *symbols = declared
    broken, _ = case.define(*symbols)
    with pytest.raises(KernelError) as caught:
        declare_and_build(program, broken, hardware)
    head, source, caret, *mend = str(caught.value).splitlines()
    file, line, reason = head.split(":", 2)
    assert reason.strip() == case.reason
    text = Path(__file__).read_text().splitlines()[int(line) - 1]
    assert file == Path(__file__).name
    assert text.strip().split("  # noqa")[0] == case.line
    assert source == f"    {text}"
    assert source[caret.index("^") : len(caret)] == case.under
    assert set(caret.strip()) == {"^"}
    assert "\n".join(mend) == case.mend


@pytest.mark.quick
@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_mended_kernel_runs(case, declared, machine, interpreted):
    program, *symbols = declared
    _, mended = case.define(*symbols)
    program.kernel(mended)
    with DpuSet(1, machine=machine, options=interpreted, binary=program) as dpus:
        dpus.exec()


def stores_a_view(total, values, done):
    def kernel(t):
        total.store(t, values.array(t))

    return kernel


def stores_a_float(total, values, done):
    def kernel(t):
        total.store(t, 2**-1)

    return kernel


@pytest.mark.parametrize("define", [stores_a_view, stores_a_float])
def test_what_only_types_show(define, declared, machine, engine_options):
    """The compiler refuses at load what the interpreter meets when it runs; both name the line."""
    program, *symbols = declared
    kernel = program.kernel(define(*symbols))
    line = kernel.__code__.co_firstlineno + 1
    with DpuSet(1, machine=machine, options=engine_options) as dpus:
        if engine_options.engine == "compiled":
            with pytest.raises(
                KernelError, match=f"{Path(__file__).name}:{line}: DPU kernels are integer-only"
            ) as refused:
                dpus.load(program)
            assert str(refused.value).splitlines()[1:] == [
                "    " + Path(__file__).read_text().splitlines()[line - 1],
                "            ^",
            ]
        else:
            dpus.load(program)
            with pytest.raises(DpuFaultError) as caught:
                dpus.exec()
            (fault,) = caught.value.faults
            assert (fault.code, fault.line) == (FaultCode.FLOAT, line)
            assert "DPU kernels are integer-only" in fault.text


@pytest.mark.quick
def test_a_view_is_not_iterated(declared, machine, interpreted):
    program, total, values, _ = declared

    @program.kernel
    def kernel(t):
        for value in values.array(t):
            total.store(t, value)

    not_iterable = pytest.raises(DpuFaultError, match="'View' object is not iterable")
    with DpuSet(1, machine=machine, options=interpreted, binary=program) as dpus, not_iterable:
        dpus.exec()


@pytest.mark.quick
def test_a_kernel_that_is_no_function_or_comes_twice(declared):
    program, *_ = declared
    with pytest.raises(KernelError, match="program 'language': a kernel is a plain function, not DpuFunction"):
        program.kernel(half)
    program.kernel(float_literal(*declared[1:])[1])
    with pytest.raises(KernelError, match="program 'language' has a kernel already: float_literal"):
        program.kernel(true_division(*declared[1:])[1])


@pytest.mark.quick
def test_a_program_without_a_kernel(declared, hardware):
    with pytest.raises(KernelError, match=r"program 'language' has no kernel: decorate one with @program.kernel"):
        declared[0].build(hardware)


@pytest.mark.quick
@pytest.mark.parametrize(
    "remembered", [[], ["a = 1\n"], ["a = 1; b = 2\n"], ["if a:\n"], ["def other(t):\n", "    pass\n"]]
)
def test_a_kernel_without_source(declared, monkeypatch, remembered):
    """Python may remember another text under the name of a string."""
    monkeypatch.setitem(linecache.cache, "<string>", (1, None, remembered, "<string>"))
    namespace = {}
    exec("def kernel(t):\n    pass\n", namespace)
    with pytest.raises(KernelError, match="the source of kernel cannot be read; put the kernel in a file"):
        declared[0].kernel(namespace["kernel"])


def passes_a_symbol(total, values, done):
    def kernel(t):
        mram_read(t, total, values.array(t), 8)

    return kernel, "mram_read(t: Tasklet, mram_address: int, buffer: View, nr_bytes: int) -> None: Copy `nr_bytes` from"


def forgets_the_type(total, values, done):
    def kernel(t):
        mem_alloc(t, 4)

    return kernel, "mem_alloc(t: Tasklet, kind: IntegerType, length: int) -> View: A view of `length` fresh elements"


def locks_a_barrier(total, values, done):
    def kernel(t):
        yield mutex_lock(t, done)

    return kernel, "mutex_lock(t: Tasklet, mutex: Mutex) -> int: `yield mutex_lock(t, m)`"


@pytest.mark.parametrize("define", [passes_a_symbol, forgets_the_type, locks_a_barrier])
def test_wrong_arguments_show_the_signature(define, declared, machine):
    program, *symbols = declared
    kernel, signature = define(*symbols)
    program.kernel(kernel)
    with DpuSet(1, machine=machine) as dpus, pytest.raises(KernelError) as refused:
        dpus.load(program)
    head, source, _, mend = str(refused.value).splitlines()
    line = kernel.__code__.co_firstlineno + 1
    assert head == f"{Path(__file__).name}:{line}: {mend.partition('(')[0]} does not take these arguments"
    assert source == "    " + Path(__file__).read_text().splitlines()[line - 1]
    assert mend.startswith(signature)
