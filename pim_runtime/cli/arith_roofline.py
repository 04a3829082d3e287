"""`pim arith roofline`: how long a GPU reads and computes, by tokens and by batch, and what bounds it (document 3)."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from .document_notes import document_says, error_notes
from .model_options import add_bits_options, add_model_option, chosen_model, chosen_quant, count, model_section
from .output import Column, Report, Section, Table, Value
from .pictures import add_picture_option, picture_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.llm.model import ModelConfig
    from host.llm.quantisation import QuantConfig
    from host.machines.gpus import GpuServer
    from host.machines.roofline import Roof

__all__ = ["HELP", "NAME", "add_arguments", "add_gpu_option", "chosen_gpus", "run"]

NAME = "roofline"
HELP = "how long a GPU takes by tokens and by batch: a plateau while weights are read, then a line"

MS, MB = 1e3, 1e6
DOCUMENT_GPU, DOCUMENT_BITS = "a100-40", 16
ROUNDED_GB_PER_S = 1500.0  # of the article that document 3 cites


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, GPU, the tokens of the first table and the context of the second; the defaults are those of document 3."""
    default = "(default: %(default)s)"
    add_model_option(parser, default="opt-175b")
    add_bits_options(parser)
    add_gpu_option(parser)
    parser.add_argument("--tokens", type=count, default=1024, help=f"most tokens of the first table {default}")
    parser.add_argument("--batch", type=count, default=512, help=f"most requests of the second table {default}")
    parser.add_argument("--context", type=count, default=544, help=f"tokens of a request that decodes {default}")
    add_picture_option(parser, "time by tokens")


def add_gpu_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--gpu`."""
    parser.add_argument(
        "--gpu",
        metavar="NAME",
        default=DOCUMENT_GPU,
        help="GPUs: a shipped name, or a .toml file (default: %(default)s)",
    )


def chosen_gpus(arguments: argparse.Namespace) -> GpuServer:
    """The GPUs. Raises ProfileError for a profile that there is not, or that is wrong."""
    from host.machines.gpus import gpu_servers

    return gpu_servers().load(arguments.gpu)


def run(arguments: argparse.Namespace) -> Report:
    """Model the times. Raises ProfileError, ModelFileError or ValueError for a GPU or a model that is none."""
    from host.machines.roofline import roof_of

    described, quant, gpus = chosen_model(arguments), chosen_quant(arguments), chosen_gpus(arguments)
    model, roof = described.model, roof_of(gpus)
    table = _projection_table(model, quant, roof, arguments.tokens)

    def draw() -> Figure:
        return _picture(table, model, quant, roof, arguments.gpu)

    return Report(
        title=f"Roofline of {model.name} on {arguments.gpu}",
        sections=(
            model_section(described, longest=arguments.context),
            _crossover_section(quant, roof, arguments.gpu),
            Section(
                title="K and V of new tokens",
                tables=(table,),
                notes=(
                    "Weights are read while computing. Hidden states are not counted, as they are few.",
                    *error_notes(("E3-3",)),
                ),
            ),
            _decode_section(model, quant, gpus, arguments),
            *picture_section(arguments.plot, draw, table),
        ),
    )


def _crossover_section(quant: QuantConfig, roof: Roof, gpu: str) -> Section:
    from host.machines.roofline import Roof, crossover_tokens

    rounded = Roof(flops_per_s=roof.flops_per_s, bytes_per_s=ROUNDED_GB_PER_S * 1e9)
    values = [
        Value(name="operations", value=roof.flops_per_s / 1e12, unit="10^12/s", origin="published", source=gpu),
        Value(name="memory", value=roof.bytes_per_s / 1e9, unit="GB/s", origin="published", source=gpu),
        Value(
            name=f"crossover at {quant.weight_bits} bits",
            value=crossover_tokens(roof, weight_bits=quant.weight_bits),
            unit="tokens",
            origin="modelled",
            source="operations per byte x bits / 16",
        ),
    ]
    if gpu != DOCUMENT_GPU or quant.weight_bits != DOCUMENT_BITS:
        return Section(title="Balance", values=tuple(values))
    values += [
        Value(
            name="the same at 1500 GB/s",
            value=crossover_tokens(rounded, weight_bits=quant.weight_bits),
            unit="tokens",
            origin="modelled",
        ),
        Value(
            name="document 3 says",
            value=document_says("C3-05")[""],
            unit="tokens",
            origin="published",
            source="wrong: E3-2",
        ),
    ]
    return Section(title="Balance", values=tuple(values), notes=error_notes(("E3-2",)))


def _projection_table(model: ModelConfig, quant: QuantConfig, roof: Roof, most: int) -> Table:
    from host.llm.parameters import hidden_state_bytes
    from host.machines.roofline import crossover_tokens, kv_projection_cost

    crossover = crossover_tokens(roof, weight_bits=quant.weight_bits)
    beside = {max(1, math.floor(crossover)), math.floor(crossover) + 1}
    chosen = sorted({*_doubled(most), *(tokens for tokens in beside if tokens <= most)})
    rows = []
    for tokens in chosen:
        cost = kv_projection_cost(model, quant, roof, tokens=tokens)
        hidden_mb = hidden_state_bytes(model, quant, tokens=tokens) / MB
        rows.append(
            (tokens, MS * cost.seconds, MS * cost.seconds / tokens, cost.bound_by, cost.moved_bytes / MB, hidden_mb)
        )
    return Table(
        title="Time of the K and V projections of all layers",
        columns=(
            Column(name="tokens"),
            Column(name="time", unit="ms", origin="modelled"),
            Column(name="per token", unit="ms", origin="modelled"),
            Column(name="bound by"),
            Column(name="weights", unit="MB", origin="exact"),
            Column(name="hidden states", unit="MB (E3-3)", origin="exact"),
        ),
        rows=tuple(rows),
    )


def _decode_section(model: ModelConfig, quant: QuantConfig, gpus: GpuServer, arguments: argparse.Namespace) -> Section:
    from host.llm.operators import Step
    from host.machines.roofline import compute_bound_batch, roof_of, step_cost

    roof, rows = roof_of(gpus), []
    for batch in _doubled(arguments.batch):
        cost = step_cost(model, quant, roof, Step(batch=batch, context=arguments.context))
        computing_s, reading_s = cost.operations / roof.flops_per_s, cost.moved_bytes / roof.bytes_per_s
        rows.append((batch, MS * reading_s, MS * computing_s, MS * cost.seconds, cost.bound_by, batch / cost.seconds))
    table = Table(
        title=f"A decode step of the whole model, {arguments.context} tokens per request",
        columns=(
            Column(name="batch"),
            Column(name="reading", unit="ms", origin="modelled"),
            Column(name="computing", unit="ms", origin="modelled"),
            Column(name="step", unit="ms", origin="modelled"),
            Column(name="bound by"),
            Column(name="tokens/s", origin="modelled"),
        ),
        rows=tuple(rows),
    )
    crossing = compute_bound_batch(model, quant, roof, context=arguments.context)
    notes = [
        "Weights are read once for all requests, K and V for each.",
        _fit_note(model, quant, gpus, arguments.context),
        "No batch is bound by compute: K and V of a request take longer to read than its products to compute."
        if crossing is None
        else f"From {crossing:,} requests on, a step is bound by compute.",
    ]
    if model.vocabulary is None:
        notes.append("The vocabulary was not published: the product with the output matrix is left out.")
    return Section(title="Decoding", tables=(table,), notes=tuple(notes))


def _fit_note(model: ModelConfig, quant: QuantConfig, gpus: GpuServer, context: int) -> str:
    from host.llm.parameters import kv_bytes_per_token, weight_bytes
    from host.machines.capacity import MachineCapacityError, how_many_fit

    try:
        batch = how_many_fit(
            room_bytes=gpus.gpus.total_bytes,
            resident_bytes=weight_bytes(model, quant, "layers" if model.vocabulary is None else "matrices"),
            each_bytes=context * kv_bytes_per_token(model, quant),
            what=f"requests of {context} tokens on {gpus.name}",
        )
    except MachineCapacityError as error:
        return f"Times are those of any memory with this bandwidth, for the model does not fit: {error}"
    return f"{batch:,} requests of {context} tokens fit the memory of {gpus.name} beside the weights."


def _picture(table: Table, model: ModelConfig, quant: QuantConfig, roof: Roof, gpu: str) -> Figure:
    from host.machines.roofline import crossover_tokens

    from ..report.plateau_plot import plateau_plot

    return plateau_plot(
        [(float(str(row[0])), float(str(row[1]))) for row in table.rows],
        crossing=crossover_tokens(roof, weight_bits=quant.weight_bits),
        title=f"K and V projections of {model.name}",
        caption=f"Modelled on {gpu}: {roof.flops_per_s / 1e12:g} TFLOP/s, {roof.bytes_per_s / 1e9:g} GB/s, "
        f"weights of {quant.weight_bits} bits.",
    )


def _doubled(most: int) -> list[int]:
    """1, 2, 4, ... and `most`."""
    return sorted({*(2**power for power in range(most.bit_length())), most})
