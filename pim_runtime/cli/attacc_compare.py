"""`pim attacc compare`: all systems of document 1 side by side on the same requests."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .attacc_options import (
    add_fidelity_options,
    add_workload_options,
    chosen_point,
    chosen_shape,
    chosen_system,
)
from .attacc_report import CPU_NOTE, MS, SIMULATOR, class_ms, public_step_ms, system_section
from .document_notes import error_notes
from .model_options import model_section
from .output import Cell, Column, Report, Section, Table
from .pictures import add_picture_option, picture_section
from .progress import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.attacc.slo_grid import Point
    from host.attacc.systems import HeteroSystem, SystemName
    from host.machines.cost import Cost

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "compare"
HELP = "all systems side by side on the same requests: time by part, throughput, energy"

# Name, system, schedule, feed-forward networks on PIM; in the order in which AttAcc gains.
COMPARED: tuple[tuple[str, SystemName, str | None, str | None], ...] = (
    ("dgx", "dgx", None, None),
    ("dgx-cpu", "dgx-cpu", None, None),
    ("2xdgx", "2xdgx", None, None),
    ("AttAcc, sequential", "dgx+attacc", "sequential", "off"),
    ("AttAcc, batch_level", "dgx+attacc", "batch_level", "off"),
    ("AttAcc, attention_level", "dgx+attacc", "attention_level", "off"),
    ("AttAcc, head_level", "dgx+attacc", "head_level", "off"),
    ("AttAcc, head_level and feed-forward", "dgx+attacc", "head_level", "on"),
)
LONGEST_DRAWN = 5  # times the shortest bar; longer ones would leave no room for it, and are named in the caption


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and the requests."""
    add_workload_options(parser, batch=54)
    add_fidelity_options(parser)
    add_picture_option(parser, "the mean step of each system by class of parts")


def run(arguments: argparse.Namespace) -> Report:
    """Price the mean steps. Raises PimError, ValueError or OSError for what cannot be."""
    described, point, batch = chosen_shape(arguments), chosen_point(arguments), arguments.batch
    systems = {
        name: chosen_system(argparse.Namespace(**{**vars(arguments), "schedule": schedule, "ffn": ffn}), system)
        for name, system, schedule, ffn in COMPARED
        if schedule != "batch_level" or batch > 1
    }
    steps = {}
    with progress("systems", total=len(systems)) as advance:
        for name, system in systems.items():
            steps[name] = system.generate(batch, *point)
            advance(1)
    longest = sum(point) - 1
    table = _table(systems, steps, point, batch)
    return Report(
        title=f"{batch} requests of {described.model.name} on all systems",
        sections=(
            model_section(described, longest=longest),
            system_section(systems["dgx"], longest),
            Section(title="Mean step", tables=(table,), notes=_notes(systems, batch, longest)),
            *picture_section(arguments.plot, lambda: _picture(steps, described.model.name, point, batch), table),
        ),
    )


def _table(systems: Mapping[str, HeteroSystem], steps: Mapping[str, Cost], point: Point, batch: int) -> Table:
    by_class = {name: class_ms(step) for name, step in steps.items()}
    classes = list(dict.fromkeys(part_class for times in by_class.values() for part_class in times))
    first_s = next(iter(steps.values())).seconds
    rows: list[tuple[Cell, ...]] = []
    for name, step in steps.items():
        public = public_step_ms(systems[name], point, batch)
        rows.append(
            (
                name,
                *(by_class[name].get(part_class) for part_class in classes),
                MS * step.seconds,
                public.get("all"),
                batch / step.seconds,
                first_s / step.seconds,
                None if name == "dgx-cpu" else step.joules / batch,
            )
        )
    return Table(
        title="Time by class of parts, that which is not hidden",
        columns=(
            Column(name="system"),
            *(Column(name=part_class, unit="ms", origin="modelled") for part_class in classes),
            Column(name="all", unit="ms", origin="modelled"),
            Column(name=f"all, {SIMULATOR}", unit="ms", origin="published"),
            Column(name="tokens/s", origin="modelled"),
            Column(name="over dgx", unit="times", origin="modelled"),
            Column(name="energy", unit="J/token", origin="modelled"),
        ),
        rows=tuple(rows),
    )


def _notes(systems: Mapping[str, HeteroSystem], batch: int, longest: int) -> tuple[str, ...]:
    small = [
        f"{name}: {system.most_requests(longest):,}"
        for name, system in systems.items()
        if batch > system.most_requests(longest)
    ]
    lacking = (
        f"{batch:,} requests do not fit every memory; these hold fewer: {', '.join(small)}. Times are those of enough."
    )
    return (
        *((lacking,) if small else ()),
        CPU_NOTE,
        *error_notes(("E1-1", "E1-4", "E1-5", "E1-7")),
    )


def _picture(steps: Mapping[str, Cost], model: str, point: Point, batch: int) -> Figure:
    from ..report.bars import stacked_bars_plot

    fastest_s = min(step.seconds for step in steps.values())
    drawn = {name: step for name, step in steps.items() if step.seconds <= LONGEST_DRAWN * fastest_s}
    left_out = [f"{name} takes {MS * step.seconds:.0f} ms." for name, step in steps.items() if name not in drawn]
    caption = (
        f"Modelled. Prompts of {point.prompt:,} tokens, {point.new_tokens:,} new ones. What is hidden behind other "
        "parts is not drawn."
    )
    return stacked_bars_plot(
        {name: _stacked(step) for name, step in drawn.items()},
        title=f"Mean decode step of {batch} requests, {model}",
        axis="time (ms)",
        caption=" ".join([caption, *left_out]),
    )


def _stacked(step: Cost) -> dict[str, float]:
    """Of classes that overlap as wholes, what each would take is not what remains: one bar for both."""
    times = class_ms(step)
    if "overlapped" in times:
        return {"halves that overlap": MS * step.seconds}
    return {name: time for name, time in times.items() if time > 0}
