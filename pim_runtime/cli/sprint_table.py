"""`pim sprint table`: SPRINT on real tensors, a row for each fraction to keep: error, bytes, overlap, DPUs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .document_notes import error_notes
from .machine_options import add_machine_options, chosen_hardware, machine_name
from .model_options import count
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
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from host.sprint.dpu_attention import PrunedRun
    from host.sprint.inputs import QueryStream
    from host.sprint.quality import Quality
    from host.sprint.thresholding import Thresholder

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "table"
DPU_QUERIES = 16
HELP = "SPRINT at several fractions to keep: error and its bound, bytes saved, overlap, speed-up of DPUs"
NOTES = (
    "Thresholds are quantiles of these very queries. pi: softmax weight of pruned tokens, mean of all queries.",
    "error, bound: root mean square over all outputs, of that of dense outputs. The bound is proven (B-6).",
    "not recomputed: the error if softmax takes the scores of the product in memory instead of exact ones.",
    "read: by each query alone: its cut q, the pruning vector, and rows of K and V of what is kept.",
    "overlap: of kept tokens, that the query before kept too. loaded: of all, if a buffer holds those of that query.",
)


class _Row(NamedTuple):
    """A fraction, and the quality of what is kept with exact and with approximate scores in the softmax.

    theta: float64 [heads, 1] or [heads, queries].
    """

    asked_fraction: float
    theta: NDArray[np.float64]
    exact: Quality
    approximate: Quality


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Fractions, queries, thresholds."""
    add_fractions_option(parser)
    add_stream_options(parser.add_argument_group("queries and keys"))
    add_threshold_options(parser.add_argument_group("thresholds"))
    dpus = parser.add_argument_group("DPUs, a head each, with the same thresholds")
    dpus.add_argument(
        "--dpu-queries",
        type=_count_or_none,
        default=DPU_QUERIES,
        metavar="N",
        help="query positions that DPUs decode, spread evenly; 0 leaves DPUs out (default: %(default)s)",
    )
    dpus.add_argument(
        "--engine", choices=("compiled", "interpreted"), default="compiled", help="of DPUs (default: %(default)s)"
    )
    add_machine_options(dpus)
    add_picture_option(parser, "error, bound and pruned probability over the fraction kept")
    parser.set_defaults(queries="real")


def run(arguments: argparse.Namespace) -> Report:
    """Prune at every fraction. Raises PimError, ValueError or OSError for what cannot be asked."""
    stream, thresholder = chosen_stream(arguments).unpadded, chosen_thresholder(arguments)
    obstacle, rows = _dpu_obstacle(arguments, thresholder), _rows(arguments, stream, thresholder)
    measured = [one for row in rows for one in (row.exact, row.approximate)]
    runs = [None] * len(rows) if obstacle else _dpu_runs(arguments, stream, thresholder, rows)
    table, title = _table(rows, runs), f"SPRINT on {arguments.queries} queries"
    return Report(
        title=title,
        sections=(
            stream_section(stream, arguments.queries),
            Section(
                title="Fractions to keep",
                tables=(table,),
                notes=(*NOTES, *_dpu_notes(arguments, obstacle), *error_notes(("E4-1", "E4-2"))),
                checks=(bounds_check(measured, outputs=stream.queries.size),),
            ),
            *picture_section(arguments.plot, lambda: _picture(rows, title), table),
        ),
    )


def _dpu_obstacle(arguments: argparse.Namespace, thresholder: Thresholder) -> str:
    """Why there is nothing to say about DPUs; empty if there is."""
    from host.sprint.dpu_selector import DpuSelector

    if not arguments.dpu_queries:
        return "--dpu-queries 0"
    try:
        DpuSelector(thresholder=thresholder)
    except ValueError as error:
        return str(error)
    return ""


def _dpu_notes(arguments: argparse.Namespace, obstacle: str) -> tuple[str, ...]:
    if obstacle:
        return (f"DPUs are left out: {obstacle}.",)
    return (
        f"DPUs: {machine_name(chosen_hardware(arguments))}, a head each, {arguments.dpu_queries} of the queries.",
        "There saved is of the bytes of DMAs, speed-up of the time of launches; `pim sprint dpu` has more.",
    )


def _dpu_runs(
    arguments: argparse.Namespace, stream: QueryStream, thresholder: Thresholder, rows: Sequence[_Row]
) -> list[PrunedRun]:
    """Some of the queries decoded on DPUs, a head each, with the thresholds of the rows."""
    import numpy as np

    from host.sprint.dpu_attention import DpuSetup, prune_on_dpus

    from ..engine.protocol import EngineOptions
    from ..machine import Machine

    last = stream.queries.shape[1] - 1
    with progress("DPUs", total=1 + len(rows)) as advance:
        return prune_on_dpus(
            stream,
            [row.theta for row in rows],
            positions=np.unique(np.linspace(0, last, arguments.dpu_queries).round().astype(int)).tolist(),
            thresholder=thresholder,
            setup=DpuSetup(machine=Machine(chosen_hardware(arguments)), options=EngineOptions(engine=arguments.engine)),
            advance=advance,
        )


def _rows(arguments: argparse.Namespace, stream: QueryStream, thresholder: Thresholder) -> list[_Row]:
    """Every fraction, on all queries."""
    import numpy as np

    from host.sprint.calibrated import calibrated_pruning
    from host.sprint.quality import dense_reference, measure

    reference, rows = dense_reference(stream), []
    with progress("fractions to keep", total=len(arguments.keep)) as advance:
        for fraction in arguments.keep:
            pruning = calibrated_pruning(stream, fraction, thresholder=thresholder, scope=arguments.scope)
            selection = pruning.select(stream.queries, stream.keys)
            approximate = measure(selection, reference, recompute="approximate", analog=thresholder.analog)
            rows.append(_Row(fraction, np.asarray(pruning.theta), measure(selection, reference), approximate))
            advance(1)
    return rows


def _table(rows: Sequence[_Row], runs: Sequence[PrunedRun | None]) -> Table:
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
        Column(name="DPUs: saved", unit="%", origin="exact"),
        Column(name="DPUs: speed-up", unit="times", origin="modelled"),
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
            percent(row.exact.overlap),
            PERCENT * row.exact.loaded_fraction,
            None if run is None else PERCENT * run.bytes_saved,
            None if run is None else run.speed_up,
        )
        for row, run in zip(rows, runs, strict=True)
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


def _count_or_none(text: str) -> int:
    """The value of --dpu-queries: a count, or 0."""
    return 0 if text == "0" else count(text)
