"""`pim bench`: microbenchmarks of one emulated DPU beside published ones, and the score of the hazard suite."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ..engine.protocol import EngineOptions
from ..hardware import Hardware
from ..machine import Machine
from .bench_report import arithmetic_section, mram_section, operands_note, stream_section
from .hazards_report import hazards_report
from .machine_options import add_machine_options, chosen_hardware, machine_name
from .output import Report, Section
from .progress import progress

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "bench"
HELP = "microbenchmarks of one DPU beside published ones, or the score of the hazard suite"

ALL_TASKLETS = range(1, 25)
SOME_TASKLETS = (1, 2, 4, 8, 11, 16, 24)


def _arithmetic(machine: Machine) -> Section:
    from host.calibration.micro import arithmetic_mops
    from host.calibration.published_micro import ARITHMETIC_MOPS
    from pim_runtime.device.integers import as_integer_type

    options, mops = EngineOptions(timing="exact"), {}
    with progress("arithmetic", total=len(ARITHMETIC_MOPS) * len(ALL_TASKLETS)) as advance:
        for kind, operation in ARITHMETIC_MOPS:
            for nr_tasklets in ALL_TASKLETS:
                mops[kind, operation, nr_tasklets] = arithmetic_mops(
                    as_integer_type(kind), operation, nr_tasklets, machine=machine, options=options
                )
                advance(1)
    return arithmetic_section(mops, ALL_TASKLETS)


def _mram(machine: Machine) -> Section:
    from host.calibration.micro import dma_cycles
    from host.calibration.published_micro import DMA_LATENCY_CYCLES, DMA_SIZES_BYTES

    options, cycles = EngineOptions(), {}
    for direction in DMA_LATENCY_CYCLES:
        for size_bytes in DMA_SIZES_BYTES:
            for nr_tasklets in SOME_TASKLETS:
                cycles[direction, size_bytes, nr_tasklets] = dma_cycles(
                    direction, size_bytes, nr_tasklets, machine=machine, options=options
                )
    return mram_section(cycles, SOME_TASKLETS, machine.hardware)


def _wram(machine: Machine) -> Section:
    from host.calibration.micro import stream_mb_per_s
    from host.calibration.published_micro import STREAM_MB_PER_S

    options = EngineOptions()
    mb_per_s = {
        (operation, nr_tasklets): stream_mb_per_s(operation, nr_tasklets, machine=machine, options=options)
        for operation in STREAM_MB_PER_S
        for nr_tasklets in SOME_TASKLETS
    }
    return stream_section(mb_per_s, SOME_TASKLETS)


PARTS: Mapping[str, Callable[[Machine], Section]] = MappingProxyType(
    {"arithmetic": _arithmetic, "mram": _mram, "wram": _wram}
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which benchmarks, and on which machine."""
    parser.add_argument(
        "suite",
        choices=("hazards", "micro"),
        help="hazards: planted mistakes, and whether each is reported; micro: arithmetic, MRAM bandwidth, WRAM STREAM",
    )
    parser.add_argument("--part", nargs="+", action="extend", choices=tuple(PARTS), help="of micro (default: all)")
    add_machine_options(parser)


def run(arguments: argparse.Namespace) -> Report:
    """Run the suite that was asked for. Raises PimError, ValueError or OSError for what cannot be run."""
    hardware = chosen_hardware(arguments)
    if arguments.suite == "micro":
        return _micro(Machine(hardware), arguments.part)
    if arguments.part:
        raise ValueError("--part: only micro has parts. Leave it out")
    return _hazards(hardware)


def _hazards(hardware: Hardware) -> Report:
    from host.hazards.registry import all_hazards
    from host.hazards.trial import trials

    hazards, outcomes = all_hazards(), []
    with progress("hazards", total=sum(len(hazard.engines) for hazard in hazards)) as advance:
        for outcome in trials(hazards, hardware):
            outcomes.append(outcome)
            advance(1)
    return hazards_report(outcomes)


def _micro(machine: Machine, parts: list[str] | None) -> Report:
    chosen = parts or tuple(PARTS)
    sections = [section_of(machine) for part, section_of in PARTS.items() if part in chosen]
    notes = (
        f"Modelled on {machine_name(machine.hardware)}; instructions are counted from the kernels (dpu_kernels/micro).",
        operands_note(),
        "float and double are published, too, and are not here: kernels are integer-only.",
        "Error: modelled / published - 1.",
    )
    return Report(
        title="Microbenchmarks of one DPU", sections=(*sections, Section(title="About these numbers", notes=notes))
    )
