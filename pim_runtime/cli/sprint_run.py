"""`pim sprint run`: a stream of queries on a SPRINT chip: what is kept, and what that costs in error, time, energy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .model_options import count
from .output import Report
from .pictures import add_picture_option, picture_section
from .sprint_options import (
    CHIPS,
    add_pruning_options,
    add_stream_options,
    add_use_options,
    chosen_accelerator,
    chosen_chip,
    chosen_pruning,
    chosen_stream,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.sprint.experiment import Outcome

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "run"
HELP = "queries on a SPRINT chip: tokens kept, error and its bound, loads, balance, cycles, energy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The chip, the queries, the thresholds."""
    parser.add_argument(
        "--config", default="S", metavar="CHIP", help="S, M or L, or the .toml file of a chip (default: %(default)s)"
    )
    add_stream_options(parser.add_argument_group("queries and keys"))
    pruning = parser.add_argument_group("pruning")
    add_pruning_options(pruning)
    pruning.add_argument(
        "--recompute",
        choices=("on", "off"),
        default="on",
        help="whether softmax takes exact scores, or those of the product in memory (default: %(default)s)",
    )
    add_use_options(parser.add_argument_group("the chip"))
    parser.add_argument(
        "--list", type=count, metavar="QUERIES", help="also list so many queries of the first head, one by one"
    )
    add_picture_option(parser, "the energy of a head by document 4's four groups, without and with pruning")


def run(arguments: argparse.Namespace) -> Report:
    """Prune, attend, and price. Raises PimError, ValueError or OSError for what cannot be asked."""
    from host.sprint.experiment import sprint_experiment

    from .sprint_report import (
        accuracy_section,
        chip_section,
        energy_section,
        movement_section,
        queries_section,
        shown_heads,
        time_section,
    )

    chip, stream = chosen_chip(arguments.config), chosen_stream(arguments)
    accelerator = chosen_accelerator(arguments, chip, stream.dim)
    pruning = chosen_pruning(arguments, stream.unpadded, chip)
    outcome = sprint_experiment(
        stream, pruning, accelerator, recompute="exact" if arguments.recompute == "on" else "approximate"
    )
    energy = energy_section(outcome)
    return Report(
        title=f"{chip.name}: {shown_heads(stream.heads)} of {stream.valid} queries, {arguments.queries}",
        sections=(
            chip_section(accelerator, stream, profile=CHIPS.get(arguments.config.upper(), arguments.config)),
            accuracy_section(outcome, pruning, asked=arguments.keep if arguments.theta is None else None),
            movement_section(outcome, accelerator),
            *(() if arguments.list is None else (queries_section(outcome, arguments.list),)),
            time_section(outcome, published_size=arguments.config.upper()),
            energy,
            *picture_section(arguments.plot, lambda: _picture(outcome, chip.name), energy.tables[0]),
        ),
    )


def _picture(outcome: Outcome, chip: str) -> Figure:
    from ..report.bars import stacked_bars_plot
    from .sprint_report import MODES, UJ, head_energy

    return stacked_bars_plot(
        {
            title: {group: UJ * joules for group, joules in head_energy(outcome.runs[mode]).items()}
            for mode, title in MODES.items()
        },
        title=f"Attention of a head on {chip}",
        axis="energy (uJ)",
        caption=f"Modelled. {outcome.selection.kept_fraction:.1%} of {outcome.stream.valid:,} valid tokens kept.",
    )
