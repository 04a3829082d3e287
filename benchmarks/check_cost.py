"""What checking costs: wall time of attention launches with and without the rules of the machine, and of faults.

    python -m benchmarks.check_cost [--dpus 1024] [--repeats 9] [--shape TOKENSxDIM ...] [--fault-dpus 2560]

Launches of both kinds alternate in one run, on DPUs that hold the same data; a ratio is that of their medians. Without
checks, kernels are compiled without a rule of the machine and without a budget of loop iterations, which is dangerous
and for measuring only. The second table launches a kernel that every 100th DPU breaks off.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.delivery import add_json_option, delivered
from benchmarks.faulting import FaultingSet
from benchmarks.same_attention import same_attention
from host.attention.workload import Method, synthetic_workload
from pim_runtime import EngineOptions
from pim_runtime.cli.output import Check, Column, Report, Section, Table
from pim_runtime.device.tasklet import Checks

METHODS = tuple(
    Method(dtype=dtype, norm=norm, acc="wide")
    for norm, dtype in (("div_d", "int8"), ("softmax", "int8"), ("div_d", "int32"))
)
SHAPES = ("4096x128", "4096x64", "512x128")
CHECKS: tuple[Checks, ...] = ("off", "on")
LARGEST_CHECK_RATIO, LARGEST_FAULT_RATIO = 2.0, 2.0


class Shape(NamedTuple):
    """Tokens of a context, and elements of a row."""

    tokens: int
    dim: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """From TOKENSxDIM."""
        if not re.fullmatch(r"\d+x\d+", text):
            raise argparse.ArgumentTypeError(f"{text!r} is not TOKENSxDIM, such as {SHAPES[0]}")
        return cls(*map(int, text.split("x")))


class Compared(NamedTuple):
    """Median seconds of two launches that alternated."""

    name: str
    base_s: float
    other_s: float

    @property
    def ratio(self) -> float:
        return self.other_s / self.base_s


def main(argv: list[str] | None = None) -> int:
    """Measure all shapes and the faults, print the tables; 1 when a ratio is above its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dpus", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--shape", type=Shape.parse, nargs="+", default=tuple(map(Shape.parse, SHAPES)))
    parser.add_argument("--fault-dpus", type=int, default=2560)
    add_json_option(parser)
    arguments = parser.parse_args(argv)
    checked = [
        attention_launches(method, shape, arguments.dpus, arguments.repeats)
        for method in METHODS
        for shape in arguments.shape
    ]
    faulting = faulting_launches(arguments.fault_dpus, arguments.repeats)
    report = _report(checked, faulting, arguments)
    return delivered(report, "check_cost", arguments.json)


def attention_launches(method: Method, shape: Shape, nr_dpus: int, repeats: int) -> Compared:
    """Launches of one kernel without checks, and with them."""
    one = synthetic_workload(method, batch=1, heads=1, tokens=shape.tokens, dim=shape.dim, data="random", seed=0)
    with ExitStack() as stack:
        unchecked, checked = (
            stack.enter_context(same_attention(one, nr_dpus, EngineOptions(checks=checks))) for checks in CHECKS
        )
        name = f"{method.norm}-{method.dtype}, {shape.tokens} x {shape.dim}"
        return Compared(name, *_alternating(unchecked.launch, checked.launch, repeats))


def faulting_launches(nr_dpus: int, repeats: int) -> Compared:
    """Launches in which all DPUs come to their end, and in which every 100th faults."""
    with ExitStack() as stack:
        healthy, faulting = (stack.enter_context(FaultingSet(nr_dpus, share)) for share in (0, 100))
        return Compared("one fault per 100 DPUs", *_alternating(healthy.launch, faulting.launch, repeats))


def _alternating(base: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of both, after one call that is not measured."""
    base(), other()
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for launch, taken in zip((base, other), seconds, strict=True):
            started = time.perf_counter()
            launch()
            taken.append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _report(checked: list[Compared], faulting: Compared, arguments: argparse.Namespace) -> Report:
    sections = (
        Section(
            title=f"Checks: {arguments.dpus} DPUs, random data, one launch, medians",
            tables=(_table("kernel", ("unchecked", "checked"), checked),),
            checks=tuple(_check(row, "an unchecked launch", LARGEST_CHECK_RATIO) for row in checked),
        ),
        Section(
            title=f"Faults: {arguments.fault_dpus} DPUs, one launch, medians",
            tables=(_table("launch", ("healthy", "with faults"), [faulting]),),
            checks=(_check(faulting, "a healthy launch", LARGEST_FAULT_RATIO),),
            notes=("A launch with faults includes the report of them.",),
        ),
    )
    return Report(title="What checking costs", sections=sections)


def _table(name: str, times: tuple[str, str], rows: list[Compared]) -> Table:
    columns = (
        Column(name=name),
        *(Column(name=time_of, unit="ms", origin="measured here") for time_of in times),
        Column(name="ratio", origin="measured here"),
    )
    return Table(
        title="",
        columns=columns,
        rows=tuple((row.name, 1e3 * row.base_s, 1e3 * row.other_s, row.ratio) for row in rows),
    )


def _check(row: Compared, base: str, largest: float) -> Check:
    return Check(
        name=f"{row.name}: at most {largest} of {base}", passed=row.ratio <= largest, detail=f"{row.ratio:.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
