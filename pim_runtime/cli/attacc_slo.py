"""`pim attacc slo`: the largest batches that meet limits on the time of a step, and who decodes how much with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .attacc_options import (
    add_fidelity_options,
    add_pim_options,
    add_schedule_options,
    add_slo_option,
    add_workload_options,
    chosen_point,
    chosen_shape,
    chosen_system,
)
from .attacc_report import MS, SIMULATOR, system_section
from .document_notes import error_notes
from .durations import shown_s
from .model_options import model_section
from .output import Cell, Check, Column, Report, Section, Table
from .pictures import add_picture_option, picture_section
from .progress import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.attacc.slo_grid import Outcome, Point
    from host.attacc.systems import HeteroSystem, Latency, SystemName

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "slo"
HELP = "the largest batch that fits and meets a limit on the time of a step, of three systems"

COMPARED: tuple[SystemName, ...] = ("dgx", "dgx_large", "dgx+attacc")
GRID_ERRORS = ("E1-1", "E1-2", "E1-3", "E1-4", "E1-7", "E1-8")
CURVE_POINTS = 24
CURVE_REACH = 2.0  # of the largest limit, how far the picture goes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Limits, tokens, and what overlaps where there is PIM."""
    add_slo_option(parser, default=("30ms", "50ms", "70ms", "none"))
    add_workload_options(parser, batch=None)
    parser.add_argument("--grid", action="store_true", help="the four prompts and answers that document 1 is judged on")
    parser.add_argument(
        "--latency", choices=("last", "mean"), default="last", help="the step that is limited (default: %(default)s)"
    )
    add_pim_options(parser)
    add_schedule_options(parser)
    add_fidelity_options(parser)
    add_picture_option(parser, "throughput over the limit")


def run(arguments: argparse.Namespace) -> Report:
    """Search. Raises PimError, ValueError or OSError for what cannot be asked, such as a model that does not fit."""
    from host.attacc.slo_grid import GRID_POINTS

    described = chosen_shape(arguments)
    points = GRID_POINTS if arguments.grid else (chosen_point(arguments),)
    systems: dict[str, HeteroSystem] = {name: _system(arguments, name) for name in COMPARED}
    cells = [(point, slo_s) for point in points for slo_s in dict.fromkeys(arguments.slo)]
    with progress("points and limits", total=len(cells)) as advance:
        found = {cell: _outcomes(systems, *cell, arguments.latency, advance) for cell in cells}
    table, longest = _table(found, _public(systems["dgx+attacc"], arguments)), max(sum(point) - 1 for point in points)
    pictured = _curves(systems, points[0], arguments) if arguments.plot is not None else {}
    return Report(
        title=f"Batches of {described.model.name} under limits on the time of a step",
        sections=(
            model_section(described, longest=longest),
            system_section(systems["dgx+attacc"], longest),
            Section(title="Batches", tables=(table,), notes=_notes(arguments), checks=tuple(_checks(found))),
            *picture_section(
                arguments.plot, lambda: _picture(pictured, systems, points[0], arguments), _curve_table(pictured)
            ),
        ),
    )


def _system(arguments: argparse.Namespace, name: SystemName) -> HeteroSystem:
    if name == "dgx+attacc":
        return chosen_system(arguments, name)
    alone = argparse.Namespace(**{**vars(arguments), "pim": None, "powerlimit": None, "schedule": None, "ffn": None})
    return chosen_system(alone, name)


def _outcomes(
    systems: Mapping[str, HeteroSystem],
    point: Point,
    slo_s: float | None,
    latency: Latency,
    advance: Callable[[int], None],
) -> dict[str, Outcome]:
    from host.attacc.slo_grid import outcome

    outcomes = {name: outcome(system, point, slo_s, latency) for name, system in systems.items()}
    advance(1)
    return outcomes


def _table(
    found: Mapping[tuple[Point, float | None], Mapping[str, Outcome]],
    public: Mapping[tuple[int, int, float | None], float],
) -> Table:
    columns = [Column(name="prompt, new tokens"), Column(name="limit", unit="ms")]
    for name in COMPARED:
        columns += [
            Column(name=f"{name}: batch", origin="modelled"),
            Column(name="limited by"),
            Column(name="step", unit="ms", origin="modelled"),
            Column(name="tokens/s", origin="modelled"),
        ]
    columns += [
        Column(name="AttAcc over dgx_large", origin="modelled"),
        Column(name=f"the same, {SIMULATOR}", origin="published"),
    ]
    rows = []
    for (point, slo_s), outcomes in found.items():
        row: list[Cell] = [f"{point.prompt}, {point.new_tokens}", None if slo_s is None else MS * slo_s]
        for one in outcomes.values():
            limited = "SLO not met" if one.choice.slo_violated else one.choice.limited_by
            row += [one.choice.batch, limited, MS * one.choice.step_s, one.tokens_per_s]
        gain = outcomes["dgx+attacc"].tokens_per_s / outcomes["dgx_large"].tokens_per_s
        rows.append((*row, gain, public.get((*point, slo_s))))
    return Table(title="The largest batch of each system", columns=tuple(columns), rows=tuple(rows))


def _checks(found: Mapping[tuple[Point, float | None], Mapping[str, Outcome]]) -> list[Check]:
    checks = []
    for (point, slo_s), outcomes in found.items():
        if slo_s is None:
            continue
        meeting = [name for name, one in outcomes.items() if not one.choice.slo_violated]
        fastest = min(one.choice.step_s for one in outcomes.values() if one.choice.slo_violated) if not meeting else 0.0
        detail = f"by {', '.join(meeting)}" if meeting else f"by none; a single request takes {shown_s(fastest)}"
        name = f"{shown_s(slo_s)} is met at {point.prompt}, {point.new_tokens}"
        checks.append(Check(name=name, passed=bool(meeting), detail=detail))
    return checks


def _notes(arguments: argparse.Namespace) -> tuple[str, ...]:
    step = "last step, with the longest context" if arguments.latency == "last" else "mean step"
    return (
        f"The {step}, must not take longer than the limit. Every batch that fits is tried: times do not rise evenly.",
        "Where no batch meets the limit, batch 1 is a fallback that misses it, too. Tokens/s are of the mean step.",
        "Weights and caches are counted against the memory of all devices together, as the public simulator does.",
        *error_notes(GRID_ERRORS),
    )


def _public(system: HeteroSystem, arguments: argparse.Namespace) -> dict[tuple[int, int, float | None], float]:
    """Gains of the public simulator's grid, where this is it."""
    from host.claims.registry import load_registry

    asked = (system.model.name, system.quant.weight_bits, system.pim.name, system.schedule, system.ffn)
    if asked != ("gpt3-175b", 16, "attacc-bank", "head_level", "coprocessed") or arguments.latency != "last":
        return {}
    return {
        (cell["lin"], cell["lout"], None if cell["slo_ms"] is None else cell["slo_ms"] / MS): cell["ratio"]
        or cell["ratio_to_b1_fallback"]
        for cell in load_registry().golden["slo_grid"]
    }


def _curves(
    systems: Mapping[str, HeteroSystem], point: Point, arguments: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """Tokens per second by limit in ms, where it is met."""
    from host.attacc.slo_grid import outcome

    limits = [slo_s for slo_s in arguments.slo if slo_s is not None] or [0.05]
    reach_s = CURVE_REACH * max(limits)
    swept = sorted({*limits, *(reach_s * step / CURVE_POINTS for step in range(1, CURVE_POINTS + 1))})
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, system in systems.items():
        outcomes = ((slo_s, outcome(system, point, slo_s, arguments.latency)) for slo_s in swept)
        curves[name] = [(MS * slo_s, one.tokens_per_s) for slo_s, one in outcomes if not one.choice.slo_violated]
    return curves


def _curve_table(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Table:
    rows = tuple((name, limit, rate) for name, points in curves.items() for limit, rate in points)
    return Table(
        title="",
        columns=(
            Column(name="system"),
            Column(name="limit", unit="ms"),
            Column(name="tokens/s", origin="modelled"),
        ),
        rows=rows,
    )


def _picture(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    systems: Mapping[str, HeteroSystem],
    point: Point,
    arguments: argparse.Namespace,
) -> Figure:
    from ..report.curves import curves_plot

    attacc = systems["dgx+attacc"]
    return curves_plot(
        {name: points for name, points in curves.items() if points},
        title=f"Throughput of {attacc.model.name} under a limit on its {arguments.latency} step",
        x_axis="limit on the time of a step (ms)",
        y_axis="tokens per second of all requests",
        caption=f"Modelled. Prompts of {point.prompt:,} tokens, {point.new_tokens:,} new ones; dgx+attacc: "
        f"{attacc.pim.name}, {attacc.schedule}, feed-forward networks {attacc.ffn}.",
    )
