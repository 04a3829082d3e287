"""How fast attention kernels read K and V, beside how fast this computer can read memory at all.

    python -m benchmarks.attention_bandwidth [--dpus 1024] [--repeats 7] [--json FILE]

Launches and streaming reads alternate in one run; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import sched_getaffinity
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from host.attention.attention_set import AttentionSet
from host.attention.workload import synthetic_workload
from pim_runtime.cli.json_file import report_as_json, write_json
from pim_runtime.cli.output import Check, Column, Report, Section, Table
from pim_runtime.cli.render import print_report
from pim_runtime.cli.versions import installed_version

TOKENS, DIM = 4096, 128
STREAM_BYTES = 1 << 30
TARGET = 0.3  # of the streaming bandwidth


@njit(nogil=True)  # type: ignore[untyped-decorator]
def add_up(values: NDArray[np.int64]) -> int:
    """Read every value."""
    total = 0
    for i in range(len(values)):
        total += values[i]
    return total


def main(argv: list[str] | None = None) -> int:
    """Measure every dtype, print the table; 1 when one misses the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dpus", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--norm", choices=("div_d", "softmax"), default="div_d")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    stream = np.ones(STREAM_BYTES // 8, np.int64)
    threads = len(sched_getaffinity(0))
    rows = [measure(dtype, arguments, stream, threads) for dtype in ("int8", "int16", "int32")]
    report = _report(rows, arguments, threads)
    print_report(report, sys.stdout)
    if arguments.json:
        version = installed_version("pim-runtime")
        write_json(arguments.json, report_as_json(report, command="attention_bandwidth", version=version))
    return 1 if report.failed else 0


def measure(
    dtype: str, arguments: argparse.Namespace, stream: NDArray[np.int64], threads: int
) -> tuple[str, float, float, float]:
    """(dtype, GB/s of K and V, GB/s of a streaming read, their ratio)."""
    one = synthetic_workload(
        batch=1, heads=1, tokens=TOKENS, dim=DIM, dtype=dtype, norm=arguments.norm, acc="wide", data="random", seed=0
    )
    shape = (1, arguments.dpus, TOKENS, DIM)  # every DPU gets its own copy of the same rows
    with (
        AttentionSet(
            batch=1,
            heads=arguments.dpus,
            dim=DIM,
            max_tokens=TOKENS,
            dtype=dtype,
            norm=arguments.norm,
            operand_max=one.limit,
            plans=one.plans,
        ) as attention,
        ThreadPoolExecutor(threads) as pool,
    ):
        attention.load_kv(np.broadcast_to(one.k, shape), np.broadcast_to(one.v, shape))
        attention.push_q(np.ascontiguousarray(np.broadcast_to(one.queries[0], (1, arguments.dpus, DIM))))
        parts = np.array_split(stream, threads)
        launches, reads = [], []
        attention.launch()
        for _ in range(arguments.repeats):
            reads.append(_seconds(lambda: list(pool.map(add_up, parts))))
            launches.append(_seconds(attention.launch))
    kv_bytes = 2 * arguments.dpus * TOKENS * DIM * np.dtype(dtype).itemsize
    ours = kv_bytes / statistics.median(launches) / 1e9
    theirs = stream.nbytes / statistics.median(reads) / 1e9
    return dtype, ours, theirs, ours / theirs


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _report(rows: list[tuple[str, float, float, float]], arguments: argparse.Namespace, threads: int) -> Report:
    columns = (
        Column(name="dtype"),
        Column(name="K and V", unit="GB/s", origin="measured here"),
        Column(name="streaming read", unit="GB/s", origin="measured here"),
        Column(name="ratio", origin="measured here"),
    )
    title = f"{arguments.norm}, {arguments.dpus} DPUs x {TOKENS} tokens x {DIM}, one launch, {threads} threads"
    checks = tuple(
        Check(name=f"{dtype}: at least {TARGET} of the streaming read", passed=ratio >= TARGET, detail=f"{ratio:.2f}")
        for dtype, _, _, ratio in rows
    )
    section = Section(title=title, tables=(Table(title="Medians", columns=columns, rows=tuple(rows)),), checks=checks)
    return Report(title="Bandwidth of attention kernels", sections=(section,))


if __name__ == "__main__":
    sys.exit(main())
