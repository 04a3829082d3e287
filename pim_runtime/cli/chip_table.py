"""`pim chip table`: time of a token in the six columns of document 2, beside what the document prints."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .chip_options import (
    Place,
    add_chip_option,
    add_lambda_option,
    add_model_options,
    add_reading_options,
    add_work_options,
    chosen_chip,
    chosen_places,
)
from .chip_report import about_section, document_layout, picture_parts, place_section
from .model_options import count
from .output import Column, Report, Section, Table
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.chip.document import PimChip

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "table"
HELP = "time of a token in the six columns of document 2, for both places of the KV cache"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, chip, where everything is, and how to read the document."""
    add_model_options(parser)
    parser.add_argument("--len", type=count, default=4096, help="tokens of the context (default: %(default)s)")
    add_chip_option(parser)
    add_lambda_option(parser)
    add_work_options(parser)
    parser.add_argument(
        "--spread",
        choices=("even", "skewed"),
        default="even",
        help="weights of all banks alike, or fewer where K and V are, which slows their product (default: %(default)s)",
    )
    add_reading_options(parser)
    add_picture_option(parser, "the columns of both places, stacked")


def run(arguments: argparse.Namespace) -> Report:
    """The table. Raises PimError, ValueError or OSError for what cannot be asked."""
    context = arguments.len
    chips = {place: _placed(arguments, place) for place in chosen_places(arguments)}
    costs = {place: chip.token_latency(context) for place, chip in chips.items()}
    chip = next(iter(chips.values()))
    title = f"A token of {chip.model.name} on the chip {chip.chip.name}, {context:,} tokens of context"
    bars = {place.name: picture_parts(cost) for place, cost in costs.items()}
    caption = f"Modelled on profile {chip.chip.name}, units {chip.unit_system}, compat {chip.seed_compat}."

    def draw() -> Figure:
        from ..report.bars import stacked_bars_plot

        return stacked_bars_plot(bars, title=title, axis="time (us)", caption=caption)

    return Report(
        title=title,
        sections=(
            Section(
                title="In the columns of document 2",
                tables=(document_layout({place.name: cost for place, cost in costs.items()}),),
            ),
            *(place_section(place, chips[place], costs[place], context) for place in chips),
            about_section(chips, context),
            *picture_section(arguments.plot, draw, _numbers(bars)),
        ),
    )


def _placed(arguments: argparse.Namespace, place: Place) -> PimChip:
    """The chip, with weights spread as asked for. Raises MachineCapacityError if they do not fit so."""
    from host.machines.placement import place as placed

    chip = chosen_chip(arguments, place)
    if arguments.spread == "even":
        return chip
    found = placed(chip.memory, chip.model, chip.quant, chip.kv, context=arguments.len, spread="skewed")
    return replace(chip, imbalance=found.slowdown)


def _numbers(bars: Mapping[str, Mapping[str, float]]) -> Table:
    """What the picture shows."""
    names = next(iter(bars.values()))
    return Table(
        title="",
        columns=(Column(name="place"), *(Column(name=name, unit="us", origin="modelled") for name in names)),
        rows=tuple((name, *parts.values()) for name, parts in bars.items()),
    )
