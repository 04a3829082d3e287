"""How fast attention kernels read K and V, beside how fast this computer can read memory at all.

    python -m benchmarks.attention_bandwidth [--dpus 1024] [--repeats 7] [--norm NORM ...] [--dtype DTYPE ...]

Launches and streaming reads alternate in one run; the ratio is that of the medians. Checks are on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import sched_getaffinity
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from benchmarks.delivery import add_json_option, delivered
from benchmarks.same_attention import same_attention
from dpu_kernels.attention import DTypeName, Norm
from host.attention.workload import Method, synthetic_workload
from pim_runtime.cli.output import Check, Column, Report, Section, Table

TOKENS, DIM = 4096, 128
STREAM_BYTES = 1 << 30
# Of the streaming bandwidth. The other norms and int4 are measured, too, but have no target.
TARGETS = {
    (norm, dtype): least for norm, least in (("div_d", 0.5), ("softmax", 0.35)) for dtype in ("int8", "int16", "int32")
}
NORMS = ("div_d", "softmax", "zscore", "zscore_linear", "softmax_online")
DTYPES = ("int8", "int16", "int32", "int4")


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
    parser.add_argument("--norm", choices=NORMS, nargs="+", default=NORMS)
    parser.add_argument("--dtype", choices=DTYPES, nargs="+", default=DTYPES)
    add_json_option(parser)
    arguments = parser.parse_args(argv)
    stream = np.ones(STREAM_BYTES // 8, np.int64)
    threads = len(sched_getaffinity(0))
    rows = [measure(norm, dtype, arguments, stream, threads) for norm in arguments.norm for dtype in arguments.dtype]
    report = _report(rows, arguments, threads)
    return delivered(report, "attention_bandwidth", arguments.json)


def measure(
    norm: Norm, dtype: DTypeName, arguments: argparse.Namespace, stream: NDArray[np.int64], threads: int
) -> tuple[str, str, float, float, float]:
    """(norm, dtype, GB/s of K and V, GB/s of a streaming read, their ratio)."""
    method = Method(dtype=dtype, norm=norm)
    one = synthetic_workload(method, batch=1, heads=1, tokens=TOKENS, dim=DIM, data="random", seed=0)
    with same_attention(one, arguments.dpus) as attention, ThreadPoolExecutor(threads) as pool:
        parts = np.array_split(stream, threads)
        launches, reads = [], []
        attention.launch()
        for _ in range(arguments.repeats):
            reads.append(_seconds(lambda: list(pool.map(add_up, parts))))
            launches.append(_seconds(attention.launch))
    kv_bytes = 2 * arguments.dpus * TOKENS * one.spec.storage.row_bytes(DIM)
    ours = kv_bytes / statistics.median(launches) / 1e9
    theirs = stream.nbytes / statistics.median(reads) / 1e9
    return norm, dtype, ours, theirs, ours / theirs


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _report(rows: list[tuple[str, str, float, float, float]], arguments: argparse.Namespace, threads: int) -> Report:
    columns = (
        Column(name="norm"),
        Column(name="dtype"),
        Column(name="K and V", unit="GB/s", origin="measured here"),
        Column(name="streaming read", unit="GB/s", origin="measured here"),
        Column(name="ratio", origin="measured here"),
    )
    title = f"{arguments.dpus} DPUs x {TOKENS} tokens x {DIM}, one launch, {threads} threads"
    checks = tuple(
        Check(
            name=f"{norm} {dtype}: at least {TARGETS[norm, dtype]} of the streaming read",
            passed=ratio >= TARGETS[norm, dtype],
            detail=f"{ratio:.2f}",
        )
        for norm, dtype, _, _, ratio in rows
        if (norm, dtype) in TARGETS
    )
    section = Section(title=title, tables=(Table(title="Medians", columns=columns, rows=tuple(rows)),), checks=checks)
    return Report(title="Bandwidth of attention kernels", sections=(section,))


if __name__ == "__main__":
    sys.exit(main())
