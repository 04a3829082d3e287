"""Kernels that are no DPU program: refused when they are built, before any engine runs them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from pim_runtime import DpuProgram
from pim_runtime.device import barrier_wait, dpu_function, int64, me
from pim_runtime.symbols import Barrier, WramSymbol

from .hazard import Hazard, Variant
from .places import line_with
from .stage import Stage

__all__ = ["HAZARDS"]

Kernel = Callable[[Any], Any]
Definition = Callable[[WramSymbol, Barrier], tuple[Kernel, Kernel]]


def doubled(x: int) -> int:
    """An ordinary function."""
    return 2 * x


@dpu_function
def doubled_on_dpus(x: int) -> int:
    """The same, for kernels."""
    return 2 * x


@dpu_function
def factorial(n: int) -> int:
    """A function that calls itself: a DPU's stack is small, and nobody checks it."""
    return 1 if n < 2 else n * factorial(n - 1)


@dpu_function
def product(n: int) -> int:
    """The same as a loop."""
    result = 1
    for factor in range(2, n + 1):
        result *= factor
    return result


def _float(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        total.store(t, int64(me(t) * 1.5))  # type: ignore[arg-type]  # a float

    def mended(t: Any) -> None:
        total.store(t, me(t) * 3 // 2)

    return planted, mended


def _true_division(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        total.store(t, total.load(t) / 2)  # type: ignore[arg-type]  # gives a float

    def mended(t: Any) -> None:
        total.store(t, total.load(t) // 2)

    return planted, mended


def _forgotten_yield(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        barrier_wait(t, done)  # waits for nobody

    def mended(t: Any) -> Any:
        yield barrier_wait(t, done)

    return planted, mended


def _ordinary_function(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        total.store(t, doubled(me(t)))  # unmarked

    def mended(t: Any) -> None:
        total.store(t, doubled_on_dpus(me(t)))

    return planted, mended


def _module(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        total.store(t, math.isqrt(total.load(t)))  # of the host

    def mended(t: Any) -> None:
        total.store(t, total.load(t))

    return planted, mended


def _exception(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        try:  # on a DPU
            total.store(t, 1 // me(t))
        except ZeroDivisionError:
            total.store(t, 0)

    def mended(t: Any) -> None:
        total.store(t, 0 if me(t) == 0 else 1 // me(t))

    return planted, mended


def _list(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        numbers = [me(t), 2]  # allocates
        total.store(t, numbers[0])

    def mended(t: Any) -> None:
        total.store(t, me(t))

    return planted, mended


def _recursion(total: WramSymbol, done: Barrier) -> tuple[Kernel, Kernel]:
    def planted(t: Any) -> None:
        total.store(t, factorial(me(t)))

    def mended(t: Any) -> None:
        total.store(t, product(me(t)))

    return planted, mended


def _run(stage: Stage, variant: Variant, *, define: Definition) -> None:
    program = DpuProgram("language", nr_tasklets=1)
    planted, mended = define(program.host("total", int64), program.barrier("done"))
    program.kernel(planted if variant == "planted" else mended)
    stage.allocate(1, program).exec()


def _refused(name: str, define: Definition, at: str, says: str, *where: Callable[..., Any]) -> Hazard:
    return Hazard(
        name=name,
        group="kernel language",
        run=partial(_run, define=define),
        reported_as="KernelError",
        says=says,
        at=line_with(at, *(where or (define,))),
        engines=("interpreted",),  # no engine sees the mistake
    )


HAZARDS = (
    _refused("floating point", _float, "# a float", "integer-only"),
    _refused("true division", _true_division, "# gives a float", "use //"),
    _refused("forgotten yield", _forgotten_yield, "# waits for nobody", "yield"),
    _refused("ordinary Python function", _ordinary_function, "# unmarked", "@dpu_function"),
    _refused("module of the host", _module, "# of the host", "module `math`"),
    _refused("exception handler", _exception, "# on a DPU", "try"),
    _refused("Python list", _list, "# allocates", "list"),
    _refused("recursion", _recursion, "factorial(n - 1)", "calls itself", factorial),
)
