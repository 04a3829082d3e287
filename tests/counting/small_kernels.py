"""Functions under test inside the smallest kernels that can call them, and what those functions alone counted."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from itertools import count

import numpy as np

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine, device, load_profile
from pim_runtime.counters import NR_COUNTERS, Counter
from pim_runtime.device import int32, wram_view
from pim_runtime.timing.prices import slot_prices

__all__ = [
    "EXACT",
    "HARDWARE",
    "amounts",
    "function_of",
    "launched",
    "of_arrays",
    "of_expression",
    "of_numbers",
    "of_views",
    "priced",
    "slots",
]

HARDWARE = load_profile("upmem-v1a")
EXACT = EngineOptions(engine="interpreted", timing="exact")
NUMBERS = count()
READ_BACK = 3  # slots of `of_numbers` around the function: two loads and a store


def launched(program, inputs=None, options=EXACT, *, nr_dpus=1, nr_tasklets=None):
    """(result of one launch, every host variable afterwards as {name: [nr_dpus, n]}); inputs: [nr_dpus, n]."""
    with DpuSet(nr_dpus, machine=Machine(HARDWARE), options=options) as dpus:
        binary = dpus.load(program, nr_tasklets=nr_tasklets)
        for name, rows in (inputs or {}).items():
            dpus.copy(name, rows)
        (result,) = dpus.exec()
        outputs = {name: symbol for name, symbol in binary.symbols.items() if symbol.section == "host"}
        left = {name: np.zeros((nr_dpus, symbol.size), symbol.kind.dtype) for name, symbol in outputs.items()}
        for name, rows in left.items():
            dpus.copy(rows, name)
        return result, left


def amounts(result) -> dict[Counter, int]:
    """Counters of a launch that are not zero, summed over DPUs, phases and tasklets."""
    return {counter: total for counter in Counter if (total := result.counters.total(counter))}


def slots(number: int, **others: int) -> dict[Counter, int]:
    """What a test expects: plain slots, and other counters by their name."""
    named = {Counter.SLOTS: number, **{Counter[name]: amount for name, amount in others.items()}}
    return {counter: amount for counter, amount in named.items() if amount}


def priced(counts: Mapping[Counter, int]) -> int:
    """Issue slots that counts stand for, library routines included."""
    row = np.zeros(NR_COUNTERS, np.int64)
    row[list(counts)] = list(counts.values())
    return int(slot_prices(HARDWARE) @ row)


def of_numbers(function, x=0, y=0, kinds=(int32, int32), result=None):
    """Counts of function(t, x, y); x and y are loaded from variables of two types.

    What it returns is stored as type `result`, by default that of x.
    """
    program = DpuProgram("numbers")
    left, right, out = (
        program.host("x", kinds[0], 8),
        program.host("y", kinds[1], 8),
        program.host("result", result or kinds[0], 8),
    )

    @program.kernel
    def kernel(t):
        x, y = left.array(t)[0], right.array(t)[0]
        out.array(t)[0] = function(t, x, y)

    inputs = {"x": np.full((1, 8), x, kinds[0].dtype), "y": np.full((1, 8), y, kinds[1].dtype)}
    return _without(amounts(launched(program, inputs)[0]), READ_BACK)


def function_of(text):
    """A helper f(t, x, y) that returns the value of an expression in kernel language."""
    filename = f"<expression {next(NUMBERS)}>"
    source = f"@dpu_function\ndef f(t, x, y):\n    return {text}\n"
    linecache.cache[filename] = len(source), None, source.splitlines(keepends=True), filename
    names = {name: getattr(device, name) for name in device.__all__}
    exec(compile(source, filename, "exec"), names)
    return names["f"]


def of_expression(text, kind=int32, x=5, y=3, result=None):
    """Counts of an expression of two variables x and y, stored as their type or as `result`."""
    return of_numbers(function_of(text), x, y, (kind, kind), result)


def of_arrays(function, kind=int32, length=8, a=0, b=0, n=0):
    """Counts of function(t, a, b, out, n): a and b are arrays of visibly `length` such elements, n a variable."""
    program = DpuProgram("arrays")
    one, two, three = (program.host(name, kind, length) for name in ("a", "b", "out"))
    number = program.host("n", int32)

    @program.kernel
    def kernel(t):
        function(t, one.array(t), two.array(t), three.array(t), number.load(t))

    inputs = {"a": _row(a, length, kind), "b": _row(b, length, kind)}
    return _without(amounts(launched(program, {**inputs, "n": np.array([[n]], np.int32)})[0]), 1)


def of_views(function, kind=int32, length=8, a=0, b=0):
    """Counts of function(t, a, b, out): as of_arrays, but how long the arrays are is only known at run time."""
    program = DpuProgram("views")
    one, two, three = (program.host(name, kind, length) for name in ("a", "b", "out"))
    number = program.host("n", int32)

    @program.kernel
    def kernel(t):
        n = number.load(t)
        views = wram_view(t, kind, one.address, n), wram_view(t, kind, two.address, n)
        function(t, views[0], views[1], wram_view(t, kind, three.address, n))

    inputs = {"a": _row(a, length, kind), "b": _row(b, length, kind)}
    return _without(amounts(launched(program, {**inputs, "n": np.array([[length]], np.int32)})[0]), 1)


def _without(counts: dict[Counter, int], around: int) -> dict[Counter, int]:
    return slots(counts.pop(Counter.SLOTS) - around, **{counter.name: amount for counter, amount in counts.items()})


def _row(numbers, length, kind):
    """One number or `length` numbers, as the elements of one DPU."""
    return np.broadcast_to(np.array(numbers, kind.dtype), (1, length)).copy()
