"""`pim attacc gqa`: query heads that share K and V, on GEMV units that reuse what they read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .attacc_options import (
    add_fidelity_options,
    add_pim_options,
    add_schedule_options,
    add_workload_options,
    chosen_point,
    chosen_shape,
    chosen_system,
    counts,
    slo,
)
from .attacc_report import MS
from .document_notes import error_notes
from .model_options import model_section
from .output import Column, Report, Section, Table
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.attacc.tradeoff import Tradeoff

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "gqa"
HELP = "shared heads of K and V and units with several rows: energy, time, SLO, area, memory"

GIB = 2**30
MOST_AREA = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Groups, rows, the model and the requests."""
    parser.add_argument(
        "--groups",
        type=counts,
        default=(1, 2, 4, 8, 96),
        metavar="N,...",
        help="query heads that share K and V (default: 1,2,4,8,96)",
    )
    parser.add_argument(
        "--rows",
        type=counts,
        default=(1, 2, 4, 8),
        metavar="N,...",
        help="rows of a unit, query heads that it serves at a time (default: 1,2,4,8)",
    )
    parser.add_argument(
        "--area-per-row", type=_area, help="what a further row adds to a unit's area, of one row's (default: 0.12)"
    )
    parser.add_argument(
        "--slo", type=slo, default=0.05, metavar="TIME", help="of the last step, or none (default: 50ms)"
    )
    add_workload_options(parser, batch=54)
    add_pim_options(parser)
    add_schedule_options(parser)
    add_fidelity_options(parser)
    add_picture_option(parser, "time of attention over the rows of a unit")


def run(arguments: argparse.Namespace) -> Report:
    """Price every pair. Raises PimError, ValueError or OSError for what cannot be, such as groups of unequal size."""
    from host.attacc.tradeoff import AREA_PER_ROW, tradeoffs

    described, point, batch = chosen_shape(arguments), chosen_point(arguments), arguments.batch
    alone = argparse.Namespace(**{**vars(arguments), "pim": None, "powerlimit": None, "schedule": None, "ffn": None})
    area_per_row = AREA_PER_ROW if arguments.area_per_row is None else arguments.area_per_row
    with_pim = chosen_system(arguments, "dgx+attacc")
    found = tradeoffs(
        with_pim,
        chosen_system(alone, "dgx_large"),
        groups=arguments.groups,
        rows=arguments.rows,
        point=point,
        batch=batch,
        slo_s=arguments.slo,
        area_per_row=area_per_row,
    )
    table = _table(found, sum(point) - 1)
    pim, schedule = with_pim.pim.name, with_pim.schedule
    notes = (
        f"Of the last step of {batch} requests, with {sum(point) - 1:,} tokens each, on {pim}, schedule {schedule}.",
        "Over GPUs: over dgx_large with the same heads.",
        f"Area: of a unit, over one with a single row; {area_per_row:g} for each further row is an assumption.",
        "The query heads that share K and V have the channels that they would have without sharing.",
        *error_notes(("E1-6",)),
    )
    return Report(
        title=f"Shared heads of {described.model.name}, and units that reuse what they read",
        sections=(
            model_section(described, longest=sum(point) - 1),
            Section(title="Trade-off", tables=(table,), notes=notes),
            *picture_section(arguments.plot, lambda: _picture(found, described.model.name, batch), table),
        ),
    )


def _table(found: Sequence[Tradeoff], longest: int) -> Table:
    rows = tuple(
        (
            one.queries,
            one.rows,
            one.kv_bytes_per_token * longest / GIB,
            one.kv_read_bytes / 1e9,
            one.flops_per_byte,
            MS * one.attention_s,
            MS * one.step_s,
            one.speedup,
            one.joules_per_token,
            one.area_factor,
            one.choice.batch,
            "SLO not met" if one.choice.slo_violated else one.choice.limited_by,
        )
        for one in found
    )
    return Table(
        title="",
        columns=(
            Column(name="query heads that share"),
            Column(name="rows of a unit"),
            Column(name="K and V of a request", unit="GiB", origin="exact"),
            Column(name="read", unit="GB", origin="exact"),
            Column(name="operations per byte", origin="exact"),
            Column(name="attention", unit="ms", origin="modelled"),
            Column(name="step", unit="ms", origin="modelled"),
            Column(name="over GPUs", unit="times", origin="modelled"),
            Column(name="energy", unit="J/token", origin="modelled"),
            Column(name="area", unit="times", origin="modelled"),
            Column(name="largest batch", origin="modelled"),
            Column(name="limited by"),
        ),
        rows=rows,
    )


def _picture(found: Sequence[Tradeoff], model: str, batch: int) -> Figure:
    from ..report.curves import curves_plot

    groups = dict.fromkeys(one.queries for one in found)
    return curves_plot(
        {
            f"{queries} query heads share": [
                (float(one.rows), MS * one.attention_s) for one in found if one.queries == queries
            ]
            for queries in groups
        },
        title=f"Attention of the last step of {batch} requests, {model}",
        x_axis="rows of a GEMV unit",
        y_axis="scores and weighted sums (ms)",
        caption="Modelled.",
    )


def _area(text: str) -> float:
    """A share from 0, as the type of an argument."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= MOST_AREA:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: must be a number from 0 to {MOST_AREA:g}, such as 0.12")
    return share
