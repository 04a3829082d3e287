"""`pim validate`: the clock beside every published number that it is calibrated on or checked against."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..engine.protocol import EngineOptions
from ..hardware import load_profile
from ..machine import Machine
from ..timing import Clock
from .output import Report, Section
from .progress import progress
from .timing_options import add_clock_option
from .validate_report import about_section, attention_section, kernel_section, points_section, transfer_section

if TYPE_CHECKING:
    from host.calibration.errors import ComparedPoint
    from host.calibration.kernel_points import KernelRun
    from host.calibration.points import Point

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "validate"
HELP = "compare modelled with published times, every point of the shipped calibration data"

GROUPS = ("vec", "red", "scan", "transfers", "attention")
KERNELS = GROUPS[:3]
KERNEL_MACHINE = "cnm-2025"
ATTENTION_MACHINES = ("cnm-2025", "seed-2023")  # nothing fitted to the cells; growth with ranks read from them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which points, and whether to list them."""
    parser.add_argument(
        "--group", nargs="+", action="extend", choices=GROUPS, help="only these groups of points (default: all)"
    )
    add_clock_option(parser)
    parser.add_argument("--points", action="store_true", help="also list every point")


def run(arguments: argparse.Namespace) -> Report:
    """Run or price every point of the groups. Raises PimError, ValueError or OSError for what cannot be run."""
    from host.calibration.points import calibration_points, group_of

    groups = arguments.group or GROUPS
    chosen = {group: [point for point in calibration_points() if group_of(point) == group] for group in groups}
    kernels = _kernels(
        [point for group, points in chosen.items() if group in KERNELS for point in points], arguments.clock
    )
    transfers = _transfers(chosen.get("transfers", []))
    attention = _attention(chosen.get("attention", []), arguments.clock)
    compared = [*(run.compared for run in kernels), *transfers, *attention]
    sections: list[Section] = []
    if kernels:
        sections.append(kernel_section(kernels))
    if transfers:
        sections.append(transfer_section(transfers))
    if attention:
        sections.append(attention_section(attention, ATTENTION_MACHINES))
    if arguments.points:
        sections.append(points_section(compared))
    sections.append(about_section(compared, arguments.clock))
    return Report(title="The clock beside published numbers", sections=tuple(sections))


def _kernels(points: list[Point], clock: Clock) -> list[KernelRun]:
    from host.calibration.kernel_points import COUNTS, run_kernel_point

    if not points:
        return []
    machine, options = Machine(load_profile(KERNEL_MACHINE)), EngineOptions()
    runs = []
    with progress("kernels", total=len(COUNTS) * len(points)) as advance:
        for counts in COUNTS:
            for point in points:
                runs.append(run_kernel_point(point, counts, machine=machine, options=options, clock=clock))
                advance(1)
    return runs


def _transfers(points: list[Point]) -> list[ComparedPoint]:
    from host.calibration.transfer_points import compare_transfer, profile_of

    hardware = {name: load_profile(name) for name in {profile_of(point) for point in points}}
    return [compare_transfer(point, hardware[profile_of(point)]) for point in points]


def _attention(points: list[Point], clock: Clock) -> list[ComparedPoint]:
    from host.calibration.attention_points import attention_points

    machines = [load_profile(name) for name in ATTENTION_MACHINES]
    with progress("PIM attention", total=len(points)) as advance:
        return list(attention_points(points, machines, options=EngineOptions(), advance=advance, clock=clock))
