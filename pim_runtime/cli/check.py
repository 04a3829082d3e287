"""`pim check`: runs a host program and reports what nothing else shows: races, uninitialised reads and their like."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import get_args

from ..check import Check, Checker, CheckSession, Finding, Kind
from ..check.script import ScriptEnd, run_script
from ..topology import format_ranges
from . import output
from .output import Column, Report, Section, Table, Value

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "check"
HELP = "run a host program and report races, uninitialised reads and other silent mistakes of its DPU programs"

DEFAULTS = Check()
FRAMES = (
    "A frame is taken to be 8 bytes and 8 per local variable. The DPU compiler inlines static helpers where it likes;"
    " extern ones are always called."
)
NOT_CHECKED = (
    "Not checked: the other DPUs (--dpus), sets that other threads of the program make, what printf prints; the"
    " performance counter stands still on the side."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which program, and how thoroughly. Options come before the program: what follows it is its own."""
    parser.description = (
        f"{HELP}. The program is run: a program file is code. Every DpuSet that it makes is checked; its results, its "
        "output and simulated time stay what they are."
    )
    parser.add_argument(
        "--dpus", type=int, default=DEFAULTS.dpus, metavar="N", help="DPUs to check of each set (default: %(default)s)"
    )
    parser.add_argument(
        "--orders",
        type=int,
        default=DEFAULTS.orders,
        metavar="N",
        help="random tasklet orders to compare with the cyclic one (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=DEFAULTS.seed, metavar="N", help="of the first random order (default: %(default)s)"
    )
    parser.add_argument(
        "--keeps",
        action="append",
        default=[],
        metavar="SYMBOL",
        help="a variable that keeps its value from launch to launch on purpose; may be repeated",
    )
    parser.add_argument(
        "--unordered",
        action="append",
        default=[],
        metavar="SYMBOL",
        help="a variable whose values may lie in any order on purpose; may be repeated",
    )
    parser.add_argument(
        "--max-iterations",
        type=int,
        default=DEFAULTS.max_iterations,
        metavar="N",
        help="loop iterations of a DPU after which the check of a launch is given up (default: %(default)s)",
    )
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="a Python host program")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the program's own arguments")


def run(arguments: argparse.Namespace) -> Report:
    """Run and check the program. Raises ValueError for impossible options, OSError for a file that is not there."""
    options = Check(
        dpus=arguments.dpus,
        orders=arguments.orders,
        seed=arguments.seed,
        keeps=tuple(arguments.keeps),
        unordered=tuple(arguments.unordered),
        max_iterations=arguments.max_iterations,
    )
    with CheckSession(options).active() as session:
        end = run_script(arguments.program, arguments.arguments)
    findings = [finding for checker in session.checkers for finding in checker.findings]
    return Report(
        title=f"Check of {arguments.program.name}",
        sections=(
            _findings_section(findings),
            *_stack_sections(session.checkers),
            _coverage_section(session.checkers, options, end),
        ),
    )


def _findings_section(findings: Sequence[Finding]) -> Section:
    table = Table(
        title="",
        columns=tuple(
            Column(name=name) for name in ("kind", "program", "symbol", "DPUs", "tasklets", "phase", "lines")
        ),
        rows=tuple(
            (
                finding.kind,
                finding.program,
                finding.symbol or None,
                format_ranges(finding.dpus),
                format_ranges(finding.tasklets) or None,
                finding.phase,
                ", ".join(f"{PurePath(place.filename).name}:{place.line}" for place in finding.places) or None,
            )
            for finding in findings
        ),
    )
    counts = {kind: sum(finding.kind == kind for finding in findings) for kind in get_args(Kind)}
    return Section(
        title="Findings",
        tables=(table,) if findings else (),
        notes=tuple(str(finding) for finding in findings),
        checks=tuple(
            output.Check(name=kind, passed=not count, detail=f"{count} found" if count else "none")
            for kind, count in counts.items()
        ),
    )


def _stack_sections(checkers: Sequence[Checker]) -> tuple[Section, ...]:
    uses = list(dict.fromkeys(use for checker in checkers for use in checker.stacks))
    rows = [
        (
            use.program,
            format_ranges(index for index, each in enumerate(depths) if each == depth),
            *depth,
            use.reserved,
        )
        for use in uses
        for depths in [list(zip(use.inlined, use.called, strict=True))]
        for depth in sorted(set(depths), reverse=True)
    ]
    if not rows:
        return ()
    table = Table(
        title="Deepest stack of a tasklet",
        columns=(
            Column(name="program"),
            Column(name="tasklets"),
            Column(name="helpers inlined", unit="B", origin="modelled"),
            Column(name="helpers called", unit="B", origin="modelled"),
            Column(name="reserved", unit="B", origin="exact"),
        ),
        rows=tuple(rows),
    )
    return (Section(title="Stacks", tables=(table,), notes=(FRAMES,)),)


def _coverage_section(checkers: Sequence[Checker], options: Check, end: ScriptEnd) -> Section:
    nr_launches = sum(checker.nr_launches for checker in checkers)
    nr_checked = sum(checker.nr_checked for checker in checkers)
    nr_too_long = sum(checker.nr_too_long for checker in checkers)
    too_long = (
        f"{nr_too_long} launches of single DPUs were not checked to their end, since their tasklets would "
        f"run more than {options.max_iterations} loop iterations: check with less data, or raise --max-iterations."
    )
    return Section(
        title="What was checked",
        values=(
            Value(name="DPU sets", value=len(checkers), origin="exact"),
            Value(name="launches of single DPUs", value=nr_launches, origin="exact"),
            Value(name="of them checked to their end", value=nr_checked, origin="exact"),
            Value(name="tasklet orders of each", value=1 + options.orders, origin="exact"),
        ),
        notes=(NOT_CHECKED, *([too_long] if nr_too_long else [])),
        checks=(
            output.Check(
                name="the program ends well",
                passed=end.exit_code == 0,
                detail=f"exit code {end.exit_code}" + (f", {end.error}" if end.error else ""),
            ),
            output.Check(
                name="something was checked",
                passed=nr_checked > 0,
                detail=f"{nr_checked} launches" if nr_checked else _why_nothing(nr_launches),
            ),
            *_name_checks(checkers, "--keeps", options.keeps),
            *_name_checks(checkers, "--unordered", options.unordered),
        ),
    )


def _why_nothing(nr_launches: int) -> str:
    return "no launch came to its end on the side" if nr_launches else "the program launches no DPU in its main thread"


def _name_checks(checkers: Sequence[Checker], option: str, names: Sequence[str]) -> tuple[output.Check, ...]:
    """Whether an option names variables, if it names anything."""
    unknown = [name for name in names if all(name in checker.unknown(names) for checker in checkers)]
    detail = f"no program has {', '.join(unknown)}" if unknown else ""
    return (output.Check(name=f"{option} names variables", passed=not unknown, detail=detail),) if names else ()
