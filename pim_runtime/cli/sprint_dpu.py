"""`pim sprint dpu`: pruned attention on emulated DPUs beside dense attention on the same data, every bit checked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..device.run_record import MAX_TASKLETS
from .document_notes import error_notes
from .machine_options import add_machine_options, chosen_hardware
from .model_options import count
from .output import Check, Column, Report, Section, Table, Value
from .progress import progress
from .sprint_options import (
    add_fractions_option,
    add_stream_options,
    add_threshold_options,
    chosen_stream,
    chosen_thresholder,
)
from .sprint_quality_report import PERCENT, stream_section
from .timing_options import add_timing_options, chosen_options, kernel_time_note, timed_machine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from host.sprint.dpu_attention import DpuSetup, PrunedRun
    from host.sprint.dpu_verification import Differences
    from host.sprint.inputs import QueryStream
    from host.sprint.thresholding import Thresholder

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "dpu"
HELP = "decode on emulated DPUs with and without pruning: bytes, modelled time, and every bit of the answers"
DEFAULT = "(default: %(default)s)"
EVERYTHING = float("-inf")
US, KIB = 1e6, 1024
HOW_DECIDED = {
    "tables": "tables in WRAM: products of two elements of q with every byte of packed K",
    "multiply": "multiplies: tables of so many dimensions and queries have no room in WRAM",
}


class _Outcome(NamedTuple):
    """Runs with the thresholds of each fraction; the last one keeps everything."""

    runs: list[PrunedRun]
    differences: list[Differences]
    dense_differences: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fractions, queries, thresholds, DPUs."""
    add_fractions_option(parser)
    add_stream_options(parser.add_argument_group("queries and keys"))
    add_threshold_options(parser.add_argument_group("thresholds"))
    kernel = parser.add_argument_group("kernel")
    kernel.add_argument(
        "--norm", choices=("softmax", "div_d", "zscore"), default="softmax", help=f"normalisation {DEFAULT}"
    )
    kernel.add_argument("--tasklets", type=int, default=12, help=f"2 to {MAX_TASKLETS} {DEFAULT}")
    kernel.add_argument(
        "--positions", type=count, default=4, metavar="N", help=f"queries that run, spread over all {DEFAULT}"
    )
    machine = parser.add_argument_group("machine")
    machine.add_argument("--split", type=count, default=1, metavar="N", help=f"DPUs per head {DEFAULT}")
    machine.add_argument("--layout", choices=("block", "interleave"), help="of a split (default: block)")
    machine.add_argument("--paging", choices=("contiguous", "paged"), default="contiguous", help=f"of K, V {DEFAULT}")
    add_machine_options(machine)
    add_timing_options(machine)
    machine.add_argument("--engine", choices=("compiled", "interpreted"), default="compiled", help=DEFAULT)
    parser.set_defaults(queries="real")


def run(arguments: argparse.Namespace) -> Report:
    """Decode and compare. Raises PimError, ValueError or OSError for what cannot be run."""
    if arguments.timing == "off":
        raise ValueError("--timing off: counts nothing, and DMAs and times are what this is about")
    if arguments.layout is not None and arguments.split == 1:
        raise ValueError(f"--layout {arguments.layout}: heads that are not split have no layout: give --split, too")
    stream, thresholder = chosen_stream(arguments).unpadded, chosen_thresholder(arguments)
    setup = _setup(arguments)
    outcome = _outcome(arguments, stream, thresholder, setup)
    return Report(
        title=f"SPRINT on DPUs, {arguments.queries} queries",
        sections=(
            stream_section(stream, arguments.queries),
            _dpu_section(outcome.runs[-1], setup),
            _fractions_section(arguments, outcome),
        ),
    )


def _setup(arguments: argparse.Namespace) -> DpuSetup:
    from host.attention.partition import Partition
    from host.sprint.dpu_attention import DpuSetup

    return DpuSetup(
        norm=arguments.norm,
        partition=Partition(arguments.split, arguments.layout or "block"),
        paging=arguments.paging,
        nr_tasklets=arguments.tasklets,
        machine=timed_machine(arguments, chosen_hardware(arguments)),
        options=chosen_options(arguments, engine=arguments.engine),
    )


def _outcome(arguments: argparse.Namespace, stream: QueryStream, thresholder: Thresholder, setup: DpuSetup) -> _Outcome:
    import numpy as np

    from host.sprint.calibrated import calibrated_pruning
    from host.sprint.dpu_attention import at_positions, prune_on_dpus, stream_spec
    from host.sprint.dpu_verification import arrays_of, differences

    spec = stream_spec(stream, setup, thresholder)
    there_are = stream.queries.shape[1]
    positions = np.linspace(0, there_are - 1, min(arguments.positions, there_are)).round().astype(np.int64).tolist()
    thetas: list[NDArray[np.float64]] = [
        np.asarray(calibrated_pruning(stream, fraction, thresholder=thresholder, scope=arguments.scope).theta)
        for fraction in arguments.keep
    ]
    thetas.append(np.array(EVERYTHING))
    with progress("fractions to keep", total=1 + len(thetas)) as advance:
        runs = prune_on_dpus(stream, thetas, positions=positions, thresholder=thresholder, setup=setup, advance=advance)
    running, everything = at_positions(stream, positions), runs[-1]
    return _Outcome(
        runs=runs,
        differences=[
            differences(running, setup, spec, one.pruned, thresholder=thresholder, theta=one.theta) for one in runs
        ],
        dense_differences=sum(
            int(np.count_nonzero(ours != theirs))
            for ours, theirs in zip(
                arrays_of(everything.pruned.answers), arrays_of(everything.dense.answers), strict=True
            )
        ),
    )


def _dpu_section(run: PrunedRun, setup: DpuSetup) -> Section:
    parts = setup.partition.parts
    dense = run.dense
    split = (
        f"{parts} for each head of K and V, {setup.partition.layout}" if parts > 1 else "one for each head of K and V"
    )
    values = (
        Value(name="DPUs", value=dense.nr_dpus, origin="exact", source=f"{split}, {setup.nr_tasklets} tasklets"),
        Value(
            name="products of packed K",
            value=run.pruned.wram.decision,
            origin="exact",
            source=HOW_DECIDED[run.pruned.wram.decision],
        ),
        Value(
            name="dense attention moves",
            value=float(dense.dma_bytes.mean()) / KIB,
            unit="KiB/query",
            origin="exact",
            source="between MRAM and WRAM of all DPUs, by the counters",
        ),
        Value(
            name="dense attention takes",
            value=float(dense.launch_s.mean()) * US,
            unit="us/query",
            origin="modelled",
            source="launch of all DPUs; the slowest decides",
        ),
    )
    return Section(title="DPUs", values=values)


def _fractions_section(arguments: argparse.Namespace, outcome: _Outcome) -> Section:
    fractions: Sequence[float | str] = (*(PERCENT * fraction for fraction in arguments.keep), "all")
    columns = (
        Column(name="keep", unit="%"),
        Column(name="kept", unit="%", origin="exact"),
        Column(name="moved", unit="KiB/query", origin="exact"),
        Column(name="saved", unit="%", origin="exact"),
        Column(name="launch", unit="us/query", origin="modelled"),
        Column(name="speed-up", unit="times", origin="modelled"),
        Column(name="with transfers", unit="times", origin="modelled"),
    )
    rows = tuple(
        (
            fraction,
            PERCENT * one.kept_fraction,
            float(one.pruned.dma_bytes.mean()) / KIB,
            PERCENT * one.bytes_saved,
            float(one.pruned.launch_s.mean()) * US,
            one.speed_up,
            one.step_speed_up,
        )
        for fraction, one in zip(fractions, outcome.runs, strict=True)
    )
    return Section(
        title="Fractions to keep",
        tables=(Table(title="", columns=columns, rows=rows),),
        notes=(
            "Thresholds are quantiles of all queries of the stream; kept: of what the queries that ran saw.",
            "moved: packed halves of K of every token, rows of K and V of what is kept, scores, sums (S4-13).",
            "A DPU computes as much as it moves: products of packed K take time that the bytes do not show.",
            "A query that loses everything keeps nothing, as the comparators say; its output is 0.",
            kernel_time_note(arguments),
            *error_notes(("E4-1",)),
        ),
        checks=_checks(outcome),
    )


def _checks(outcome: _Outcome) -> tuple[Check, ...]:
    found = outcome.differences
    kept, answers, dmas = (sum(getattr(one, name) for one in found) for name in ("kept", "answers", "dmas"))
    decisions, integers, queries = (
        sum(getattr(one, f"{name}_compared") for one in found) for name in ("kept", "answers", "dmas")
    )
    return (
        Check(
            name="decisions are those of the thresholds",
            passed=not kept,
            detail=f"{decisions - kept:,} of {decisions:,} equal",
        ),
        Check(
            name="answers are those of attention over survivors alone",
            passed=not answers,
            detail=f"{integers - answers:,} of {integers:,} integers equal, C4-03",
        ),
        Check(
            name="without a threshold, answers are those of the dense program",
            passed=not outcome.dense_differences,
            detail=f"{outcome.dense_differences:,} integers differ, C4-03",
        ),
        Check(
            name="DMAs and their bytes are those of the closed form",
            passed=not dmas,
            detail=f"{queries - dmas:,} of {queries:,} queries, S4-13",
        ),
    )
