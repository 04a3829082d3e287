"""`pim sprint compare`: SPRINT, LeOPArd, SpAtten and A3 on the same queries: what they keep, read, compute and lose."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .output import Column, Report, Section, Table
from .pictures import add_picture_option, picture_section
from .progress import progress
from .sprint_options import (
    add_fractions_option,
    add_stream_options,
    add_threshold_options,
    chosen_stream,
    chosen_thresholder,
)
from .sprint_quality_report import PERCENT, bounds_check, percent, stream_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.sprint.contenders import Contender, Point

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "compare"
HELP = "SPRINT, LeOPArd, SpAtten and A3 on the same queries: error against bytes and arithmetic"

METHODS: tuple[Contender, ...] = ("sprint", "leopard", "spatten", "a3")
NOTES = (
    "Functional models of what a method selects. Attention over it is the same for all, with exact scores.",
    "Nothing is trained, as some papers do: thresholds and margins are quantiles of these very queries.",
    "SPRINT: approximate scores against a threshold. LeOPArd: K bit by bit, until a score cannot reach the threshold.",
    "SpAtten: the most probable rows of V; sqrt(keep) of the tokens are left for the last of several layers.",
    "A3: a search over sorted keys, of half as many steps as tokens, or 4 for a wanted token if these are more.",
    "error, bound: root mean square over all outputs, of that of dense outputs. The bound is proven (B-6).",
    "read: K and V between memory and arithmetic, by each query alone. What ReRAM multiplies inside does not move:",
    "there a query moves its cut q and the pruning vector. A3 reads sorted lists too; sorting them is not counted.",
    "MACs: bits multiplied, over the 64 of two int8. Those inside of ReRAM are among them.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Methods, fractions, queries; thresholds of SPRINT."""
    parser.add_argument(
        "--methods",
        type=_methods,
        default=METHODS,
        metavar="M,...",
        help=f"which, of {','.join(METHODS)} (default: all)",
    )
    add_fractions_option(parser)
    add_stream_options(parser.add_argument_group("queries and keys"))
    add_threshold_options(parser.add_argument_group("thresholds; bits, mode, offset and noise are SPRINT's"))
    add_picture_option(parser, "error against bytes read, a curve for each method")
    parser.set_defaults(queries="real")


def run(arguments: argparse.Namespace) -> Report:
    """Select, attend, compare. Raises PimError, ValueError or OSError for what cannot be asked."""
    from host.sprint.contenders import compare

    stream = chosen_stream(arguments).unpadded
    with progress("methods at fractions", total=len(arguments.methods) * len(arguments.keep)) as advance:
        points = compare(
            stream,
            arguments.methods,
            arguments.keep,
            scope=arguments.scope,
            thresholder=chosen_thresholder(arguments),
            advance=advance,
        )
    table, title = _table(points), f"Methods of selection on {arguments.queries} queries"
    return Report(
        title=title,
        sections=(
            stream_section(stream, arguments.queries),
            Section(
                title="Quality of selections",
                tables=(table,),
                notes=NOTES,
                checks=(bounds_check([point.quality for point in points], outputs=stream.queries.size),),
            ),
            *picture_section(arguments.plot, lambda: _picture(points, title), table),
        ),
    )


def _table(points: Sequence[Point]) -> Table:
    columns = (
        Column(name="method"),
        Column(name="keep", unit="%"),
        *(
            Column(name=name, unit=unit, origin="exact")
            for name, unit in (
                ("kept", "%"),
                ("pi", "%"),
                ("error", "%"),
                ("bound", "%"),
                ("read", "bytes/query"),
                ("saved", "%"),
                ("MACs", "per query"),
                ("comparisons", "per query"),
                ("overlap", "%"),
                ("keep none", "queries"),
            )
        ),
        Column(name="looked at", origin="exact"),
    )
    rows = tuple(
        (
            point.method,
            PERCENT * point.asked_fraction,
            PERCENT * point.quality.kept_fraction,
            PERCENT * point.quality.pruned_mass,
            PERCENT * point.quality.error,
            PERCENT * point.quality.bound,
            point.quality.bytes_per_query,
            PERCENT * (1 - point.quality.read_fraction),
            point.quality.macs_per_query,
            point.quality.comparisons_per_query,
            percent(point.quality.overlap),
            point.quality.lost_queries,
            point.looked_at,
        )
        for point in points
    )
    return Table(title="", columns=columns, rows=rows)


def _picture(points: Sequence[Point], title: str) -> Figure:
    from ..report.curves import curves_plot

    curves: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        place = (PERCENT * point.quality.read_fraction, PERCENT * point.quality.error)
        curves.setdefault(point.method, []).append(place)
    return curves_plot(
        {method: sorted(places) for method, places in curves.items()},
        title=title,
        x_axis="bytes of K and V that a query reads (% of dense attention)",
        y_axis="root mean square error of outputs (% of dense outputs)",
        caption="Functional models on the same int8 operands, exact counts. Each query by itself, without reuse.",
    )


def _methods(text: str) -> tuple[Contender, ...]:
    """The value of --methods."""
    asked = dict.fromkeys(text.split(","))
    unknown = [name for name in asked if name not in METHODS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r}: choose of {', '.join(METHODS)}")
    return tuple(method for method in METHODS if method in asked)
