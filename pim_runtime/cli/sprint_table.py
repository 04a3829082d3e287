"""`pim sprint table`: SPRINT on real tensors, a row for each fraction to keep: error, bound, bytes, overlap."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .document_notes import error_notes
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
from .sprint_quality_report import PERCENT, bounds_check, stream_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.sprint.inputs import QueryStream
    from host.sprint.quality import Quality

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "table"
HELP = "SPRINT at several fractions to keep: error and its bound, bytes saved, overlap of adjacent queries"
NOTES = (
    "Thresholds are quantiles of these very queries. pi: softmax weight of pruned tokens, mean of all queries.",
    "error, bound: root mean square over all outputs, of that of dense outputs. The bound is proven (B-6).",
    "not recomputed: the error if softmax takes the scores of the product in memory instead of exact ones.",
    "read: by each query alone: its cut q, the pruning vector, and rows of K and V of what is kept.",
    "overlap: of kept tokens, that the query before kept too. loaded: of all, if a buffer holds those of that query.",
)


class _Row(NamedTuple):
    """A fraction, and the quality of what is kept with exact and with approximate scores in the softmax."""

    asked_fraction: float
    exact: Quality
    approximate: Quality


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fractions, queries, thresholds."""
    add_fractions_option(parser)
    add_stream_options(parser.add_argument_group("queries and keys"))
    add_threshold_options(parser.add_argument_group("thresholds"))
    add_picture_option(parser, "error, bound and pruned probability over the fraction kept")
    parser.set_defaults(queries="real")


def run(arguments: argparse.Namespace) -> Report:
    """Prune at every fraction. Raises PimError, ValueError or OSError for what cannot be asked."""
    stream = chosen_stream(arguments).unpadded
    rows = _rows(arguments, stream)
    table, title = _table(rows), f"SPRINT on {arguments.queries} queries"
    return Report(
        title=title,
        sections=(
            stream_section(stream, arguments.queries),
            Section(
                title="Fractions to keep",
                tables=(table,),
                notes=(*NOTES, *error_notes(("E4-1", "E4-2"))),
                checks=(
                    bounds_check(
                        [one for row in rows for one in (row.exact, row.approximate)], outputs=stream.queries.size
                    ),
                ),
            ),
            *picture_section(arguments.plot, lambda: _picture(rows, title), table),
        ),
    )


def _rows(arguments: argparse.Namespace, stream: QueryStream) -> list[_Row]:
    from host.sprint.calibrated import calibrated_pruning
    from host.sprint.quality import dense_reference, measure

    thresholder, reference, rows = chosen_thresholder(arguments), dense_reference(stream), []
    with progress("fractions to keep", total=len(arguments.keep)) as advance:
        for fraction in arguments.keep:
            pruning = calibrated_pruning(stream, fraction, thresholder=thresholder, scope=arguments.scope)
            selection = pruning.select(stream.queries, stream.keys)
            approximate = measure(selection, reference, recompute="approximate", analog=thresholder.analog)
            rows.append(_Row(fraction, measure(selection, reference), approximate))
            advance(1)
    return rows


def _table(rows: Sequence[_Row]) -> Table:
    columns = (
        Column(name="keep", unit="%"),
        *(
            Column(name=name, unit=unit, origin="exact")
            for name, unit in (
                ("kept", "%"),
                ("pi", "%"),
                ("error", "%"),
                ("bound", "%"),
                ("not recomputed", "%"),
                ("read", "bytes/query"),
                ("saved", "%"),
                ("overlap", "%"),
                ("loaded", "%"),
            )
        ),
    )
    cells = tuple(
        (
            PERCENT * row.asked_fraction,
            PERCENT * row.exact.kept_fraction,
            PERCENT * row.exact.pruned_mass,
            PERCENT * row.exact.error,
            PERCENT * row.exact.bound,
            PERCENT * row.approximate.error,
            row.exact.bytes_per_query,
            PERCENT * (1 - row.exact.read_fraction),
            PERCENT * row.exact.overlap,
            PERCENT * row.exact.loaded_fraction,
        )
        for row in rows
    )
    return Table(title="", columns=columns, rows=cells)


def _picture(rows: Sequence[_Row], title: str) -> Figure:
    from ..report.curves import curves_plot

    def curve(kind: str) -> list[tuple[float, float]]:
        return sorted((PERCENT * row.exact.kept_fraction, PERCENT * getattr(row.exact, kind)) for row in rows)

    not_recomputed = [(PERCENT * row.exact.kept_fraction, PERCENT * row.approximate.error) for row in rows]
    return curves_plot(
        {
            "error": curve("error"),
            "error without recomputing": sorted(not_recomputed),
            "bound of the error": curve("bound"),
            "pruned probability": curve("pruned_mass"),
        },
        title=title,
        x_axis="tokens kept (%)",
        y_axis="error and bound (% of dense outputs), probability (%)",
        caption="Exact counts and float64 references on the same int8 operands.",
    )
