"""How long and how much memory it takes to bring up all 2,560 DPUs and run a trivial kernel on them.

    python -m benchmarks.whole_machine [--json FILE]

Measured in a fresh process, after one run that fills the kernel cache.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

from benchmarks.delivery import add_json_option, delivered
from pim_runtime import ALLOCATE_ALL, DpuProgram, DpuSet
from pim_runtime.cli.output import Check, Report, Section, Value
from pim_runtime.device import Tasklet, int64, me

MEMORY_LIMIT_MIB = 400
TIME_LIMIT_S = 3.0

program = DpuProgram("one_word", nr_tasklets=16)
answer = program.host("answer", int64, 16)


@program.kernel
def kernel(t: Tasklet) -> None:
    answer.array(t)[me(t)] = me(t) + 1


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json_option(parser)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)  # what the fresh process does
    arguments = parser.parse_args(argv)
    if arguments.once:
        print(json.dumps(run_once()))
        return 0
    figures = [_in_a_fresh_process() for _ in range(2)][-1]
    report = _report(figures)
    return delivered(report, "whole_machine", arguments.json)


def run_once() -> dict[str, float]:
    """Allocate, load, launch and check every DPU of the machine."""
    with DpuSet(ALLOCATE_ALL, binary=program) as dpus:
        dpus.exec()
        answers = np.zeros((len(dpus), 16), np.int64)
        dpus.copy(answers, "answer")
        assert (answers == np.arange(1, 17)).all()
        return {"dpus": len(dpus), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _in_a_fresh_process() -> dict[str, float]:
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.whole_machine", "--once"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output)
    return {**figures, "seconds": time.perf_counter() - started}


def _report(figures: dict[str, float]) -> Report:
    seconds, peak_mib = figures["seconds"], figures["peak_mib"]
    values = (
        Value(name="DPUs", value=int(figures["dpus"]), origin="exact"),
        Value(name="process, import to exit", value=seconds, origin="measured here", unit="s"),
        Value(name="peak resident memory", value=peak_mib, origin="measured here", unit="MiB"),
    )
    checks = (
        Check(name=f"under {TIME_LIMIT_S:g} s", passed=seconds < TIME_LIMIT_S, detail=f"{seconds:.2f} s"),
        Check(name=f"under {MEMORY_LIMIT_MIB} MiB", passed=peak_mib < MEMORY_LIMIT_MIB, detail=f"{peak_mib:.0f} MiB"),
    )
    return Report(title="Whole machine", sections=(Section(title="Trivial kernel", values=values, checks=checks),))


if __name__ == "__main__":
    sys.exit(main())
