"""`pim attacc iterate`: the mean and the last decode step of a system, part by part, with its energy."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .attacc_options import (
    SYSTEMS,
    add_fidelity_options,
    add_pim_options,
    add_schedule_options,
    add_workload_options,
    chosen_point,
    chosen_shape,
    chosen_system,
)
from .attacc_report import CPU_NOTE, MS, SIMULATOR, class_ms, energy_table, public_step_ms, system_section
from .document_notes import error_notes
from .model_options import count, model_section
from .output import Cell, Column, Report, Section, Table, Value
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.attacc.slo_grid import Point
    from host.attacc.systems import HeteroSystem
    from host.machines.cost import Cost

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "iterate"
HELP = "a decode step of a system: time by part, what bounds it, energy, tokens per second"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The system, the model, the requests."""
    parser.add_argument("--system", choices=SYSTEMS, default="dgx+attacc", help="(default: %(default)s)")
    add_workload_options(parser, batch=54)
    add_pim_options(parser)
    parser.add_argument("--rows", type=count, default=1, help="query heads that a unit serves at a time (default: 1)")
    add_schedule_options(parser)
    add_fidelity_options(parser)
    add_picture_option(parser, "the mean step by class of parts")


def run(arguments: argparse.Namespace) -> Report:
    """Price the steps. Raises PimError, ValueError or OSError for what cannot be."""
    described, point, batch = chosen_shape(arguments), chosen_point(arguments), arguments.batch
    system = chosen_system(arguments, arguments.system, reuse_rows=arguments.rows)
    longest = point.prompt + point.new_tokens - 1
    mean, last = system.generate(batch, *point), system.last_step(batch, *point)
    table = _class_table(mean, last, public_step_ms(system, point, batch))
    energies = energy_table(system.mean_energies(batch, *point), batch)
    return Report(
        title=f"A decode step of {described.model.name} on {system.name}",
        sections=(
            model_section(described, longest=longest),
            system_section(system, longest),
            Section(
                title=f"Step of {batch} requests",
                values=_values(system, mean, last, point, batch),
                tables=(table, energies),
                notes=_notes(system, batch, longest),
            ),
            Section(title="Parts of the mean step", tables=(_tree_table(mean),)),
            *picture_section(arguments.plot, lambda: _picture(system, mean, point, batch), table),
        ),
    )


def _values(system: HeteroSystem, mean: Cost, last: Cost, point: Point, batch: int) -> tuple[Value, ...]:
    source = f"contexts of {point.prompt + 1:,} to {point.prompt + point.new_tokens - 1:,} tokens"
    return (
        Value(name="mean step", value=MS * mean.seconds, unit="ms", origin="modelled", source=source),
        Value(name="last step", value=MS * last.seconds, unit="ms", origin="modelled"),
        Value(
            name="prompts",
            value=system.prompt(batch, point.prompt).seconds,
            unit="s",
            origin="modelled",
            source=f"{point.prompt:,} tokens each, all on the GPUs, unmasked",
        ),
        Value(
            name="throughput", value=batch / mean.seconds, unit="tokens/s", origin="modelled", source="decoding alone"
        ),
        Value(name="energy", value=mean.joules / batch, unit="J/token", origin="modelled", source=system.energy_mode),
    )


def _class_table(mean: Cost, last: Cost, public: dict[str, float]) -> Table:
    mean_ms, last_ms = class_ms(mean), class_ms(last)
    names = dict.fromkeys((*mean_ms, *last_ms))
    rows: list[tuple[Cell, ...]] = [
        (name, mean_ms.get(name), _percent(mean_ms.get(name), mean), last_ms.get(name), public.get(name))
        for name in names
    ]
    rows.append(("all", MS * mean.seconds, 100.0, MS * last.seconds, public.get("all")))
    return Table(
        title="Time by class of parts, that which is not hidden",
        columns=(
            Column(name="parts"),
            Column(name="mean step", unit="ms", origin="modelled"),
            Column(name="share", unit="%", origin="modelled"),
            Column(name="last step", unit="ms", origin="modelled"),
            Column(name=f"mean, {SIMULATOR}", unit="ms", origin="published"),
        ),
        rows=tuple(rows),
    )


def _tree_table(mean: Cost) -> Table:
    rows = tuple(
        ("  " * depth + part.name, MS * part.seconds, part.bound_by, part.moved_bytes / 1e9, part.joules, part.overlap)
        for depth, part in _walk(mean, 0)
    )
    return Table(
        title="",
        columns=(
            Column(name="part"),
            Column(name="time", unit="ms", origin="modelled"),
            Column(name="bound by"),
            Column(name="moved", unit="GB", origin="modelled"),
            Column(name="energy", unit="J", origin="modelled"),
            Column(name="overlaps"),
        ),
        rows=rows,
    )


def _notes(system: HeteroSystem, batch: int, longest: int) -> tuple[str, ...]:
    fits = system.most_requests(longest)
    notes = ["Throughput and energy are of decode steps alone. GPUs share weights, heads and requests equally."]
    errors = ["E1-1"]
    if batch > fits:
        notes.append(f"{batch:,} requests do not fit: the memory holds {fits:,}. Times are those of enough memory.")
        errors.append("E1-2")
    if system.schedule == "batch_level":
        errors.append("E1-5")
    if system.energy_mode == "public" or batch == fits + 1:
        errors.append("E1-7")
    if system.name == "dgx-cpu":
        notes.append(CPU_NOTE)
    if system.ffn == "coprocessed" and system.quant.weight_bits != 16:
        notes.append("Shared feed-forward networks count the GPUs' peak at 16 bits, as the public simulator does.")
    return (*notes, *error_notes(errors))


def _picture(system: HeteroSystem, mean: Cost, point: Point, batch: int) -> Figure:
    from ..report.bars import stacked_bars_plot

    return stacked_bars_plot(
        {system.name: {name: time for name, time in class_ms(mean).items() if time > 0}},
        title=f"Mean decode step of {batch} requests, {system.model.name}",
        axis="time (ms)",
        caption=f"Modelled. Prompts of {point.prompt:,} tokens, {point.new_tokens:,} new ones. {system.schedule}.",
    )


def _percent(part: float | None, whole: Cost) -> float | None:
    return None if part is None else 100 * part / (MS * whole.seconds)


def _walk(cost: Cost, depth: int) -> Iterator[tuple[int, Cost]]:
    yield depth, cost
    for part in cost.parts:
        yield from _walk(part, depth + 1)
