"""`pim attacc placement`: GEMV units at banks, at bank groups or on the buffer die, with a limit of power or none."""

from __future__ import annotations

import argparse
from itertools import product
from typing import TYPE_CHECKING

from .attacc_options import (
    PLACEMENTS,
    add_fidelity_options,
    add_workload_options,
    chosen_point,
    chosen_shape,
    chosen_system,
)
from .attacc_report import SIMULATOR, class_ms
from .document_notes import error_notes
from .model_options import model_section
from .output import Cell, Column, Report, Section, Table
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.attacc.slo_grid import Point
    from host.attacc.systems import HeteroSystem

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "placement"
HELP = "attention with GEMV units at banks, bank groups or on the buffer die"

PUBLIC_NAMES = {"bank": "bank", "bank-group": "bank_group", "buffer": "buffer_die"}
PUBLIC_LIMITS = {"on": "power_limited", "off": "no_power_limit"}
PUBLIC_POINT = ("gpt3-175b", 2048, 2048, 54, 16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and the requests."""
    add_workload_options(parser, batch=54)
    add_fidelity_options(parser)
    add_picture_option(parser, "products with K and V by placement")


def run(arguments: argparse.Namespace) -> Report:
    """Price the mean steps. Raises PimError, ValueError or OSError for what cannot be."""
    described, point, batch = chosen_shape(arguments), chosen_point(arguments), arguments.batch
    systems = {
        (placement, limit): chosen_system(
            argparse.Namespace(
                **{**vars(arguments), "pim": placement, "powerlimit": limit, "schedule": "sequential", "ffn": "off"}
            ),
            "dgx+attacc",
        )
        for placement, limit in product(PLACEMENTS, ("on", "off"))
        if (placement, limit) != ("buffer", "off")
    }
    public = _public(described.model.name, arguments)
    gpus = chosen_system(arguments, "dgx")
    times = {key: _attention_ms(system, point, batch) for key, system in systems.items()}
    gpu_ms = _attention_ms(gpus, point, batch)
    rows = [_row(key, system, times[key], gpu_ms, point, batch, public) for key, system in systems.items()]
    rows.append(("GPUs", None, gpu_ms, public.get("gpu"), 1.0, None, None, None, None))
    table = Table(
        title=f"Scores and weighted sums of the mean step, {batch} requests",
        columns=(
            Column(name="units at"),
            Column(name="limit of power"),
            Column(name="time", unit="ms", origin="modelled"),
            Column(name=SIMULATOR, unit="ms", origin="published"),
            Column(name="over GPUs", unit="times", origin="modelled"),
            Column(name="peak of a stack", unit="GB/s", origin="published"),
            Column(name="reached", unit="GB/s", origin="modelled"),
            Column(name="MAC commands of a head", origin="exact"),
            Column(name="energy of attention", unit="J/token", origin="modelled"),
        ),
        rows=tuple(rows),
    )
    notes = (
        "The buffer die needs less power than the limit. Commands are those of the longest context.",
        "Power-limited times of the public simulator are from its DRAM simulation; ours add up cycles of commands.",
        *error_notes(("E1-7",)),
    )
    return Report(
        title=f"Placements of GEMV units for {described.model.name}",
        sections=(
            model_section(described, longest=sum(point) - 1),
            Section(title="Placements", tables=(table,), notes=notes),
            *picture_section(arguments.plot, lambda: _picture(table, described.model.name, point, batch), table),
        ),
    )


def _attention_ms(system: HeteroSystem, point: Point, batch: int) -> float:
    return class_ms(system.generate(batch, *point))["attention"]


def _row(
    key: tuple[str, str],
    system: HeteroSystem,
    time_ms: float,
    gpu_ms: float,
    point: Point,
    batch: int,
    public: dict[str, float],
) -> tuple[Cell, ...]:
    from host.attacc.classes import energy_by_class
    from host.attacc.commands import head_commands

    step = system.last_step(batch, *point)
    products = [leaf for leaf in step.leaves if leaf.name in ("score", "context")]
    reached = sum(leaf.moved_bytes for leaf in products) / sum(leaf.seconds for leaf in products)
    energies = energy_by_class(system.mean_energies(batch, *point))
    commands = head_commands(
        system.pim.units, tokens=sum(point) - 1, dim=system.model.dim, element_bits=system.quant.kv_bits
    )
    placement, limit = key
    return (
        placement,
        limit,
        time_ms,
        public.get("/".join(key)),
        gpu_ms / time_ms,
        float(system.pim.stacks.peak_gb_per_s),
        reached / system.pim.stacks.count / 1e9,
        commands.mac,
        energies["attention"].joules / batch,
    )


def _public(model: str, arguments: argparse.Namespace) -> dict[str, float]:
    from host.claims.registry import load_registry

    if (model, arguments.lin, arguments.lout, arguments.batch, arguments.bits) != PUBLIC_POINT:
        return {}
    golden = load_registry().golden["attacc_placement_ms"]
    times = {
        f"{placement}/{limit}": golden[PUBLIC_LIMITS[limit]].get(PUBLIC_NAMES[placement])
        for placement, limit in product(PLACEMENTS, PUBLIC_LIMITS)
    }
    return {**times, "gpu": golden["gpu"]}


def _picture(table: Table, model: str, point: Point, batch: int) -> Figure:
    from ..report.bars import stacked_bars_plot

    bars = {
        f"{row[0]}, no limit of power" if row[1] == "off" else str(row[0]): {
            "products with K and V": float(str(row[2]))
        }
        for row in table.rows
    }
    return stacked_bars_plot(
        bars,
        title=f"Scores and weighted sums of {batch} requests, {model}",
        axis="time of the mean step (ms)",
        caption=f"Modelled. Prompts of {point.prompt:,} tokens, {point.new_tokens:,} new ones.",
    )
