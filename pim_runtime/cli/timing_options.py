"""How a subcommand models the time of kernels: `--timing` counts instructions, `--clock` makes cycles of them."""

from __future__ import annotations

import argparse
from typing import Literal, TypeAlias, get_args

from ..engine.protocol import EngineOptions
from ..hardware import Hardware
from ..machine import Machine
from ..timing import Clock

__all__ = ["add_clock_option", "add_timing_options", "chosen_options", "kernel_time_note", "timed_machine"]

Options: TypeAlias = argparse._ActionsContainer  # a parser, or a group of one

DEFAULT_TIMING = EngineOptions().timing
DEFAULT_CLOCK: Clock = "closed"


def add_timing_options(options: Options) -> None:
    """Declare `--timing` and `--clock`."""
    options.add_argument(
        "--timing",
        metavar="exact|sample:N|static|off",
        type=_timing,
        default=DEFAULT_TIMING,
        help="where multiplies and divisions are counted from their operands: on all DPUs, on N of them, on none; off "
        "counts nothing, and kernels take no modelled time (default: %(default)s)",
    )
    add_clock_option(options)


def add_clock_option(options: Options) -> None:
    """Declare `--clock` alone."""
    options.add_argument(
        "--clock",
        choices=get_args(Clock),
        default=DEFAULT_CLOCK,
        help="form of kernel time: sums, or the slower simulation of events (default: %(default)s)",
    )


def chosen_options(
    arguments: argparse.Namespace, *, engine: Literal["compiled", "interpreted"] = "compiled"
) -> EngineOptions:
    """How kernels run and are counted."""
    return EngineOptions(engine=engine, timing=arguments.timing)


def timed_machine(arguments: argparse.Namespace, hardware: Hardware) -> Machine:
    """A machine of this hardware with the form of kernel time that was chosen."""
    return Machine(hardware, clock=arguments.clock)


def kernel_time_note(arguments: argparse.Namespace) -> str:
    """One line on what stands behind the modelled time of kernels, for reports."""
    timing: str = arguments.timing
    if timing == "off":
        return "Kernel time is not modelled: --timing off counts no instructions, so launches take no time."
    origin = {
        "exact": "counted on every DPU",
        "static": "assumed by the profile",
    }.get(timing) or f"counted on {timing.removeprefix('sample:')} DPUs of a launch and taken for the others"
    return (
        f"Instructions are counted where kernels run; what multiplies and divisions need is {origin}. "
        f"Kernel time: {arguments.clock} form."
    )


def _timing(text: str) -> str:
    """The value of --timing."""
    try:
        return EngineOptions(timing=text).timing
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
