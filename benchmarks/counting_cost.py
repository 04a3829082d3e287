"""What counting instructions costs: wall time of attention launches by the choice of timing.

    python -m benchmarks.counting_cost [--dpus 1024] [--repeats 7] [--kernel KERNEL ...] [--timing TIMING ...]

Launches without and with counting alternate in one run, on DPUs that hold the same data; a ratio is that of their
medians. timing=off is the base of all ratios: it compiles the kernel as its author wrote it, with no counter in it.
Both sets of DPUs are in memory at the same time, with int32 8 GiB.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from benchmarks.delivery import add_json_option, delivered
from benchmarks.same_attention import same_attention
from dpu_kernels.attention import DTypeName, Norm
from host.attention.attention_set import AttentionSet
from host.attention.workload import Method, synthetic_workload
from pim_runtime import EngineOptions
from pim_runtime.cli.output import Check, Column, Report, Section, Table

TOKENS, DIM = 4096, 128
DEFAULT = EngineOptions().timing
TIMINGS = (DEFAULT, "exact", "static")
LARGEST_RATIO = 1.25  # of the default; "exact" and "static" are measured, too, but have no target


class Kernel(NamedTuple):
    """An attention kernel."""

    norm: Norm
    dtype: DTypeName
    acc: Literal["wide", "wrap"]

    def __str__(self) -> str:
        return f"{self.norm}-{self.dtype}-{self.acc}"


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        str(kernel): kernel
        for kernel in (
            *(Kernel("div_d", dtype, acc) for acc in ("wide", "wrap") for dtype in ("int8", "int16", "int32")),
            Kernel("softmax", "int8", "wide"),
        )
    }
)


class Measured(NamedTuple):
    """Median seconds of a launch without and with counting."""

    kernel: str
    timing: str
    off_s: float
    counted_s: float

    @property
    def ratio(self) -> float:
        return self.counted_s / self.off_s


def main(argv: list[str] | None = None) -> int:
    """Measure every kernel with every timing, print the table; 1 when the default misses the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dpus", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--kernel", choices=tuple(KERNELS), nargs="+", default=tuple(KERNELS))
    parser.add_argument("--timing", nargs="+", default=TIMINGS)
    add_json_option(parser)
    arguments = parser.parse_args(argv)
    rows = [row for name in arguments.kernel for row in measure(KERNELS[name], arguments)]
    report = _report(rows, arguments)
    return delivered(report, "counting_cost", arguments.json)


def measure(kernel: Kernel, arguments: argparse.Namespace) -> Iterator[Measured]:
    """Medians of one kernel, timing by timing."""
    method = Method(dtype=kernel.dtype, norm=kernel.norm, acc=kernel.acc)
    one = synthetic_workload(method, batch=1, heads=1, tokens=TOKENS, dim=DIM, data="random", seed=0)
    with same_attention(one, arguments.dpus, EngineOptions(timing="off")) as uncounted:
        uncounted.launch()  # the first launch is not measured
        for timing in arguments.timing:
            with same_attention(one, arguments.dpus, EngineOptions(timing=timing)) as counted:
                counted.launch()
                off, on = [], []
                for _ in range(arguments.repeats):
                    off.append(_launch_seconds(uncounted))
                    on.append(_launch_seconds(counted))
            yield Measured(str(kernel), timing, statistics.median(off), statistics.median(on))


def _launch_seconds(attention: AttentionSet) -> float:
    started = time.perf_counter()
    attention.launch()
    return time.perf_counter() - started


def _report(rows: list[Measured], arguments: argparse.Namespace) -> Report:
    columns = (
        Column(name="kernel"),
        Column(name="timing"),
        Column(name="off", unit="ms", origin="measured here"),
        Column(name="counted", unit="ms", origin="measured here"),
        Column(name="ratio", origin="measured here"),
    )
    cells = tuple((row.kernel, row.timing, 1e3 * row.off_s, 1e3 * row.counted_s, row.ratio) for row in rows)
    checks = tuple(
        Check(
            name=f"{row.kernel}, {row.timing}: at most {LARGEST_RATIO} of a launch that counts nothing",
            passed=row.ratio <= LARGEST_RATIO,
            detail=f"{row.ratio:.3f}",
        )
        for row in rows
        if row.timing == DEFAULT
    )
    title = f"{arguments.dpus} DPUs x {TOKENS} tokens x {DIM}, random data, one launch, medians"
    notes = ("A launch with counting includes pricing it. timing=off compiles no counter, so its ratio is 1.",)
    section = Section(title=title, tables=(Table(title="", columns=columns, rows=cells),), notes=notes, checks=checks)
    return Report(title="What counting instructions costs", sections=(section,))


if __name__ == "__main__":
    sys.exit(main())
