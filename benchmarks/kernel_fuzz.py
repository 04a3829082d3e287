"""Random kernels on both engines and in C: how many, and whether any bit differs.

    python -m benchmarks.kernel_fuzz [--kernels 100] [--interpreted 1000] [--seed 0] [--json FILE]

A kernel (benchmarks/fuzz/kernels.py) runs on six inputs; every third may fault. --kernels go through both engines,
with counting and without, which takes seconds of compilation each, and must count alike; --interpreted more go through
the interpreted engine alone. All must leave what the C translation (cc -O1 -fwrapv) leaves, and fault where it faults.
Kernel seed + n is made from that number alone; a divergence names it and shows the kernel. Exit code 1 with one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.delivery import add_json_option, delivered
from benchmarks.fuzz.engines import NR_DPUS, EngineName, Laboratory
from benchmarks.fuzz.kernels import random_kernel
from pim_runtime import load_profile
from pim_runtime.cli.output import Check, Column, Report, Section, Table

BOTH: Sequence[EngineName] = ("interpreted", "compiled")


class Batch(NamedTuple):
    """Kernels that went through the same engines; `failures` are the numbers of those that differed or broke."""

    engines: Sequence[EngineName]
    kernels: int
    lines: int
    faulting_dpus: int
    failures: list[int]
    seconds: float


def main(argv: list[str] | None = None) -> int:
    """Run the kernels, print the table; 1 when anything differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", type=int, default=100)
    parser.add_argument("--interpreted", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder), load_profile("upmem-v1a"))
        first, more = arguments.seed, arguments.seed + arguments.kernels
        batches = [
            run(laboratory, range(first, more), BOTH),
            run(laboratory, range(more, more + arguments.interpreted), BOTH[:1]),
        ]
    report = _report(batches, arguments.seed)
    return delivered(report, "kernel_fuzz", arguments.json)


def run(laboratory: Laboratory, numbers: range, engines: Sequence[EngineName]) -> Batch:
    """Check the kernels of these numbers; what fails is shown and counted."""
    lines = faulting = 0
    failures: list[int] = []
    started = time.perf_counter()
    for number in numbers:
        kernel = random_kernel(Random(number), faults=number % 3 == 0)
        lines += kernel.python.count("\n")
        try:
            faulting += laboratory.check(kernel, number, engines)
        except Exception as error:  # a divergence, or an engine that refuses or breaks: what we look for
            failures.append(number)
            print(f"kernel {number}: {type(error).__name__}: {error}", file=sys.stderr)
    return Batch(engines, len(numbers), lines, faulting, failures, time.perf_counter() - started)


def _report(batches: Sequence[Batch], seed: int) -> Report:
    columns = (
        Column(name="engines, each compared with C"),
        Column(name="kernels"),
        Column(name="lines"),
        Column(name="DPUs run"),
        Column(name="of which fault"),
        Column(name="divergences"),
        Column(name="time", unit="s", origin="measured here"),
    )
    cells = tuple(
        (
            " and ".join(batch.engines),
            batch.kernels,
            batch.lines,
            NR_DPUS * batch.kernels,
            batch.faulting_dpus,
            len(batch.failures),
            batch.seconds,
        )
        for batch in batches
    )
    failures = [number for batch in batches for number in batch.failures]
    detail = f"{len(failures)}" + (f": kernels {', '.join(map(str, failures))}" if failures else "")
    checks = (Check(name="no divergence", passed=not failures, detail=detail),)
    tables = (Table(title="", columns=columns, rows=cells),)
    return Report(title="Random kernels", sections=(Section(title=f"Seed {seed}", tables=tables, checks=checks),))


if __name__ == "__main__":
    sys.exit(main())
