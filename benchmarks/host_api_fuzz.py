"""Random use of the host API against its model: how many steps, and whether anything differs or crashes.

    python -m benchmarks.host_api_fuzz [--steps 1000000] [--minutes M] [--seed 0] [--workers 1] [--json FILE]

A step is one call with good or bad arguments on a small machine (benchmarks/fuzz/host_machine.py); half of the sets run
on the compiled engine. Portions of the steps run in processes of their own, so that a crash of the interpreter is
counted and not the end. A portion that fails shows its shortest failing sequence of calls. Exit code 1 when one did.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import ClassVar, NamedTuple

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from benchmarks.delivery import add_json_option, delivered
from benchmarks.fuzz.host_machine import HostApi
from pim_runtime.cli.output import Check, Column, Report, Section, Table

STEPS_PER_SEQUENCE, SEQUENCES_PER_PORTION = 100, 100


class Portion(NamedTuple):
    """What one process did. `failure` is empty where all was as expected."""

    steps: int
    seconds: float
    failure: str


class CountedHostApi(HostApi):
    """Half of the sets on each engine, and a count of the steps."""

    engines = ("interpreted", "compiled")
    steps: ClassVar[int] = 0

    @invariant()
    def one_more_step(self) -> None:
        CountedHostApi.steps += 1


def main(argv: list[str] | None = None) -> int:
    """Take the steps, print the table; 1 when anything differed or crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further steps after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes at a time")
    add_json_option(parser)
    arguments = parser.parse_args(argv)
    started, portions, crashes = time.perf_counter(), [], 0
    for outcome in _portions(arguments):
        if outcome is None:
            crashes += 1
            continue
        portions.append(outcome)
        if outcome.failure:
            print(outcome.failure, file=sys.stderr)
    report = _report(portions, crashes, time.perf_counter() - started, arguments)
    return delivered(report, "host_api_fuzz", arguments.json)


def take_steps(number: int) -> Portion:
    """One portion of random steps; `number` seeds it."""
    CountedHostApi.steps, failure, started = 0, "", time.perf_counter()
    chosen = settings(
        max_examples=SEQUENCES_PER_PORTION,
        stateful_step_count=STEPS_PER_SEQUENCE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(CountedHostApi), settings=chosen)
    except Exception as error:  # whatever it is, it is what we look for
        failure = "\n".join([f"portion {number}: {type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    return Portion(CountedHostApi.steps, time.perf_counter() - started, failure)


def _portions(arguments: argparse.Namespace) -> Iterator[Portion | None]:
    """Portions until there are enough steps or the time is over; None for one that crashed."""
    workers, done, number = arguments.workers, 0, arguments.seed
    end = time.monotonic() + 60 * arguments.minutes
    while done < arguments.steps and time.monotonic() < end:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            try:
                while done < arguments.steps and time.monotonic() < end:
                    futures: list[Future[Portion]] = [pool.submit(take_steps, number + i) for i in range(workers)]
                    number += workers
                    for future in futures:
                        portion = future.result()
                        done += portion.steps
                        yield portion
            except BrokenProcessPool:
                yield None


def _report(portions: list[Portion], crashes: int, seconds: float, arguments: argparse.Namespace) -> Report:
    steps, divergences = sum(portion.steps for portion in portions), sum(bool(portion.failure) for portion in portions)
    columns = (Column(name="what"), Column(name="value", origin="measured here"), Column(name="unit"))
    cells = (
        ("steps", steps, ""),
        ("processes at a time", arguments.workers, ""),
        ("time", seconds, "s"),
        ("rate", steps / seconds, "steps/s"),
        ("portions with a divergence", divergences, ""),
        ("crashes of the interpreter", crashes, ""),
    )
    checks = (
        Check(name="no divergence from the model", passed=not divergences, detail=str(divergences)),
        Check(name="no crash", passed=not crashes, detail=str(crashes)),
    )
    title = f"Sequences of {STEPS_PER_SEQUENCE} steps, seed {arguments.seed}"
    section = Section(title=title, tables=(Table(title="", columns=columns, rows=cells),), checks=checks)
    return Report(title="Random use of the host API", sections=(section,))


if __name__ == "__main__":
    sys.exit(main())
