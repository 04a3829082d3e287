"""`pim chip sweep`: tokens per second over lambda, the bandwidths of a chip, and the context."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from .chip_options import (
    add_chip_option,
    add_lambda_option,
    add_model_options,
    add_reading_options,
    add_work_options,
    chosen_chip,
    chosen_places,
    decimals,
    overheads,
)
from .chip_report import fit_note
from .document_notes import error_notes
from .model_options import count
from .output import Column, Report, Section, Table, Value
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.chip.document import PimChip
    from host.chip.sweeps import SweepAxis, SweepPoint

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "sweep"
HELP = "tokens per second over lambda, bandwidths and context, for both places of the KV cache"

US = 1e6
MOST_POINTS = 10_000
LAMBDAS = decimals("0,1e-8,3e-8,1e-7,3e-7,1e-6,3e-6,1e-5,3e-5,1e-4,3e-4,1e-3")
# The document's letters: BM of all banks, CBM of all links, CM of the controller.
AXES: dict[str, tuple[SweepAxis, str, str]] = {
    "lambdas": ("lambda_s", "lambda", "s"),
    "bm": ("bm_gb_per_s", "banks", "GB/s"),
    "cbm": ("cbm_gb_per_s", "link", "GB/s"),
    "cm": ("cm_gb_per_s", "controller", "GB/s"),
    "lens": ("context", "context", "tokens"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is swept; every combination is a row."""
    axes = parser.add_argument_group("swept", "each a list such as 512,4096; without any, lambda from 0 to 1 ms")
    for name, (_, what, unit) in AXES.items():
        values = overheads if name == "lambdas" else decimals
        axes.add_argument(f"--{name}", type=values, metavar="N,...", help=f"{what}, in {unit}")
    add_model_options(parser)
    parser.add_argument("--len", type=count, default=4096, help="tokens of the context (default: %(default)s)")
    add_chip_option(parser)
    add_lambda_option(parser)
    add_work_options(parser)
    add_reading_options(parser)
    add_picture_option(parser, "the rates of both places over the one quantity that is swept")


def run(arguments: argparse.Namespace) -> Report:
    """The sweep. Raises PimError, ValueError or OSError for what cannot be asked."""
    from host.chip.sweeps import sweep

    axes = {name: getattr(arguments, name) for name in AXES if getattr(arguments, name) is not None}
    axes = axes or {"lambdas": LAMBDAS}
    _refuse_many(axes)
    if arguments.plot is not None and len(axes) > 1:
        raise ValueError(f"--plot: draws one swept quantity, not {', '.join(axes)}")
    swept = {AXES[name][0]: values for name, values in axes.items()}
    chips = {place.name: chosen_chip(arguments, place) for place in chosen_places(arguments)}
    points = {name: sweep(chip, arguments.len, swept) for name, chip in chips.items()}
    table, chip = _table(axes, points), next(iter(chips.values()))
    title = f"{chip.model.name} on chips like {chip.chip.name}: tokens per second"
    thresholds = _thresholds(chips, arguments.len) if tuple(axes) == ("lambdas",) else {}
    return Report(
        title=title,
        sections=(
            Section(
                title="Sweep",
                values=tuple(thresholds.values()),
                tables=(table,),
                notes=_notes(axes, chips, arguments.len),
            ),
            *picture_section(arguments.plot, lambda: _drawn(axes, points, chips, thresholds, title), table),
        ),
    )


def _refuse_many(axes: Mapping[str, Sequence[Decimal]]) -> None:
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_POINTS:
        raise ValueError(f"{count:,} combinations: at most {MOST_POINTS:,}. Give fewer values.")


def _notes(axes: Mapping[str, Sequence[Decimal]], chips: Mapping[str, PimChip], context: int) -> tuple[str, ...]:
    """How to read the rates, what does not fit, and the document's errors where the numbers are its own."""
    from host.chip.document import setup_differences

    chip = next(iter(chips.values()))
    fixed = "" if "lens" in axes else f"; {context:,} tokens of context"
    contexts = [int(tokens) for tokens in axes.get("lens", (Decimal(context),))]
    notes = {name: fit_note(one, contexts) for name, one in chips.items()}
    errors = () if setup_differences(chip.chip, chip.model, chip.quant) else ("E2-12", "E2-14")
    return (
        f"Modelled: units {chip.unit_system}, compat {chip.seed_compat}{fixed}.",
        f"What is not swept is as in profile {chip.chip.name}.",
        *(f"{name}: {note}" for name, note in notes.items() if note),
        *error_notes(error for error in errors if error == "E2-14" or "lambdas" in axes),
    )


def _thresholds(chips: Mapping[str, PimChip], context: int) -> dict[str, Value]:
    """For each place the lambda that takes as long as everything else; it does not depend on the chip's lambda."""
    from host.chip.document import lambda_threshold_s

    costs = {name: chip.token_latency(context) for name, chip in chips.items()}
    return {
        name: Value(
            name=f"lambda that doubles the time, {name}",
            value=US * lambda_threshold_s(cost),
            unit="us",
            origin="modelled",
            source=f"{cost.transfers} transfers",
        )
        for name, cost in costs.items()
    }


def _table(axes: Mapping[str, Sequence[Decimal]], points: Mapping[str, Sequence[SweepPoint]]) -> Table:
    """A row for each combination, with the rate of each place and what it is bound by."""
    columns = [Column(name=AXES[name][1], unit=AXES[name][2]) for name in axes]
    for name in points:
        columns += [Column(name=name, unit="tokens/s", origin="modelled"), Column(name="bound by")]
    rows = []
    for places in zip(*points.values(), strict=True):
        cells = [float(value) for value in places[0].values.values()]
        rates = [cell for point in places for cell in (point.tokens_per_s, point.cost.bound_by)]
        rows.append((*cells, *rates))
    return Table(title="", columns=tuple(columns), rows=tuple(rows))


def _drawn(
    axes: Mapping[str, Sequence[Decimal]],
    points: Mapping[str, Sequence[SweepPoint]],
    chips: Mapping[str, PimChip],
    thresholds: Mapping[str, Value],
    title: str,
) -> Figure:
    from ..report.curves import curves_plot

    ((name, _),) = axes.items()
    axis, what, unit = AXES[name]
    chip = next(iter(chips.values()))
    marks = {}
    for place, threshold in thresholds.items():
        lambda_us = float(str(threshold.value))
        marks[place] = (f"{threshold.name}: {lambda_us:.3g} us", lambda_us / US)
    return curves_plot(
        {
            place: sorted((float(point.values[axis]), point.tokens_per_s) for point in swept)
            for place, swept in points.items()
        },
        title=title,
        x_axis=f"{what} ({unit})",
        y_axis="tokens per second",
        caption=f"Modelled on profile {chip.chip.name}, units {chip.unit_system}, compat {chip.seed_compat}.",
        marks=marks,
    )
