"""`pim attacc fc`: how much faster products with weights become with the batch, and attention does not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .attacc_options import add_fidelity_options, add_workload_options, chosen_shape, chosen_system, counts
from .attacc_report import MS, SIMULATOR
from .model_options import model_section
from .output import Column, Report, Section, Table
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.attacc.systems import HeteroSystem

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "fc"
HELP = "throughput of products with weights over the batch, and of attention"

PUBLIC_MODEL = ("gpt3-175b", 16, "tile")
DOCUMENT_GAIN = 88


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Batches and the model."""
    parser.add_argument(
        "--batches",
        type=counts,
        default=(1, 8, 16, 32, 64, 128, 256, 512, 854, 1024),
        metavar="N,...",
        help="(default: 1,8,16,32,64,128,256,512,854,1024)",
    )
    add_workload_options(parser, batch=None)
    add_fidelity_options(parser)
    add_picture_option(parser, "the gain over the batch")


def run(arguments: argparse.Namespace) -> Report:
    """Price the products. Raises PimError, ValueError or OSError for what cannot be."""
    described, system = chosen_shape(arguments), chosen_system(arguments, "dgx")
    context = arguments.lin + arguments.lout - 1
    table = _table(system, arguments.batches, context, _public(described.model.name, arguments))
    notes = (
        f"Document 1 says {DOCUMENT_GAIN} times for products with weights, which are read once for all requests.",
        f"Attention, with {context:,} tokens each, reads K and V of every request: it only fills idle multiprocessors.",
    )
    return Report(
        title=f"Batching of {described.model.name} on {system.server.name}",
        sections=(
            model_section(described, longest=context),
            Section(title="Throughput over the batch", tables=(table,), notes=notes),
            *picture_section(arguments.plot, lambda: _picture(table, described.model.name), table),
        ),
    )


def _table(system: HeteroSystem, batches: tuple[int, ...], context: int, public: dict[int, float]) -> Table:
    one = _ms(system, 1, context)
    rows = []
    for batch in batches:
        times = _ms(system, batch, context)
        gain, unshared = (batch * one[name] / times[name] for name in ("FC", "attention"))
        rows.append((batch, times["FC"], gain, public.get(batch), times["attention"], unshared))
    return Table(
        title="",
        columns=(
            Column(name="batch"),
            Column(name="products with weights", unit="ms", origin="modelled"),
            Column(name="their gain", unit="times", origin="modelled"),
            Column(name=f"gain, {SIMULATOR}", unit="times", origin="published"),
            Column(name="attention", unit="ms", origin="modelled"),
            Column(name="its gain", unit="times", origin="modelled"),
        ),
        rows=tuple(rows),
    )


def _ms(system: HeteroSystem, batch: int, context: int) -> dict[str, float]:
    from host.attacc.classes import seconds_by_class

    return {name: MS * seconds for name, seconds in seconds_by_class(system.iteration(batch, context)).items()}


def _public(model: str, arguments: argparse.Namespace) -> dict[int, float]:
    from host.claims.registry import load_registry

    known = (model, arguments.bits, arguments.fidelity) == PUBLIC_MODEL
    return dict(load_registry().golden["fc_throughput_gain"]) if known else {}


def _picture(table: Table, model: str) -> Figure:
    from ..report.curves import curves_plot

    def points(column: int) -> list[tuple[float, float]]:
        return sorted((float(str(row[0])), float(str(row[column]))) for row in table.rows)

    return curves_plot(
        {"products with weights": points(2), "attention": points(5)},
        title=f"Throughput of {model} over the batch",
        x_axis="batch (requests that decode together)",
        y_axis="gain over batch 1 (times)",
        caption="Modelled on eight GPUs of document 1.",
    )
