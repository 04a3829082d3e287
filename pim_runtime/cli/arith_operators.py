"""`pim arith ops`: the operators of a layer, their classes, and how well emulated kernels use memory (document 3)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal, get_args

from .arith_roofline import add_gpu_option, chosen_gpus
from .document_notes import error_notes
from .machine_options import add_machine_options, chosen_hardware, machine_name
from .model_options import add_bits_options, add_model_option, chosen_model, chosen_quant, count, model_section
from .output import Cell, Column, Report, Section, Table
from .progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from host.llm.memory_use import MemoryUse
    from host.llm.model import ModelConfig
    from host.llm.operators import Operator
    from host.llm.quantisation import QuantConfig
    from host.machines.roofline import Roof

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "ops"
HELP = "operators of a layer, the share of each class, and with --measure the use of memory by emulated kernels"

Counting = Literal["profiled", "decoding"]
Stage = Literal["prompt", "decode"]
PERCENT = 100
US, MB = 1e6, 1e6
MOST_MEASURED_TOKENS = 4096  # whose operands fit a DPU whatever the head


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The layer and what is counted of it; the defaults are those of the profile that document 3 shows."""
    default = "(default: %(default)s)"
    add_model_option(parser, default="bert-large")
    add_bits_options(parser)
    add_gpu_option(parser)
    parser.add_argument("--batch", type=count, default=8, help=f"requests {default}")
    parser.add_argument("--prompt", type=count, default=512, help=f"tokens of a request {default}")
    parser.add_argument(
        "--stage", choices=get_args(Stage), default="prompt", help=f"all tokens at once, or one after them {default}"
    )
    parser.add_argument(
        "--count",
        choices=get_args(Counting),
        help="profiled: biases, dropout and the scaling of scores, too (default: profiled for a prompt, else decoding)",
    )
    measuring = parser.add_argument_group("measuring", "on an emulated DPU")
    measuring.add_argument("--measure", action="store_true", help="run the attention kernels for one head of the model")
    add_machine_options(measuring)


def run(arguments: argparse.Namespace) -> Report:
    """Count, and measure if asked. Raises PimError or ValueError for what cannot be counted or does not fit a DPU."""
    from host.llm.operators import Extra, Step, layer_operators
    from host.machines.roofline import roof_of

    hardware = chosen_hardware(arguments)
    if hardware.changes and not arguments.measure:
        raise ValueError(f"--set {arguments.set[0]}: only --measure runs on a DPU. Give it, too")
    described, quant, roof = chosen_model(arguments), chosen_quant(arguments), roof_of(chosen_gpus(arguments))
    new_tokens, usual = (arguments.prompt, "profiled") if arguments.stage == "prompt" else (1, "decoding")
    step = Step(batch=arguments.batch, context=arguments.prompt, new_tokens=new_tokens)
    extras = get_args(Extra) if (arguments.count or usual) == "profiled" else ()
    operators = layer_operators(described.model, step, extras=extras)
    sections = [
        model_section(described, longest=arguments.prompt),
        _operator_section(operators, quant, roof, arguments),
        _class_section(operators, quant, roof, arguments),
    ]
    if arguments.measure:
        sections.append(_memory_section(described.model, arguments))
    return Report(title=f"Operators of a layer of {described.model.name}", sections=tuple(sections))


def _operator_section(
    operators: Sequence[Operator], quant: QuantConfig, roof: Roof, arguments: argparse.Namespace
) -> Section:
    from host.llm.operators import minimal_bytes
    from host.machines.roofline import operator_cost

    rows: list[tuple[Cell, ...]] = []
    for operator in operators:
        least, cost = minimal_bytes(operator, quant), operator_cost(operator, quant, roof)
        rows.append(
            (
                operator.name,
                operator.kind,
                operator.flops,
                float(least) / MB,
                float(operator.flops / least),
                US * cost.seconds,
                cost.bound_by,
            )
        )
    table = Table(
        title=f"{arguments.batch} requests of {arguments.prompt} tokens, {arguments.stage}",
        columns=(
            Column(name="operator"),
            Column(name="class"),
            Column(name="operations", origin="exact"),
            Column(name="inputs and outputs", unit="MB", origin="exact"),
            Column(name="intensity", unit="1/B", origin="exact"),
            Column(name=f"on {arguments.gpu}", unit="us", origin="modelled"),
            Column(name="bound by"),
        ),
        rows=tuple(rows),
    )
    notes = (
        "Every operator reads its inputs from memory and writes its outputs there, each once; attention is not masked.",
        f"Below an intensity of {float(roof.balance):.1f} memory bounds the GPU; peaks, without losses.",
        *error_notes(("E3-5",)),
    )
    return Section(title="Operators", tables=(table,), notes=notes)


def _class_section(
    operators: Sequence[Operator], quant: QuantConfig, roof: Roof, arguments: argparse.Namespace
) -> Section:
    from host.llm.operator_classes import class_totals
    from host.machines.roofline import operator_cost

    times = [(operator.kind, operator_cost(operator, quant, roof).seconds) for operator in operators]
    whole_s = sum(seconds for _, seconds in times)
    rows = tuple(
        (
            total.kind,
            total.operators,
            float(PERCENT * total.flops_share),
            float(PERCENT * total.bytes_share),
            total.intensity,
            PERCENT * sum(seconds for kind, seconds in times if kind == total.kind) / whole_s,
        )
        for total in class_totals(operators, quant)
    )
    table = Table(
        title="Shares of the classes",
        columns=(
            Column(name="class"),
            Column(name="operators", origin="exact"),
            Column(name="operations", unit="%", origin="exact"),
            Column(name="inputs and outputs", unit="%", origin="exact"),
            Column(name="intensity", unit="1/B", origin="exact"),
            Column(name=f"time on {arguments.gpu}", unit="%", origin="modelled"),
        ),
        rows=rows,
    )
    softmax_s = sum(operator_cost(op, quant, roof).seconds for op in operators if op.name == "softmax")
    note = f"Softmax alone takes {PERCENT * softmax_s / whole_s:.1f} % of this time; document 3 says most of it."
    return Section(title="Classes", tables=(table,), notes=(note, *error_notes(("E3-6",))))


def _memory_section(model: ModelConfig, arguments: argparse.Namespace) -> Section:
    from host.llm.attention_memory import SoftmaxNorm, attention_memory
    from pim_runtime import EngineOptions, Machine

    hardware, tokens = chosen_hardware(arguments), min(arguments.prompt, MOST_MEASURED_TOKENS)
    rows = []
    with progress("attention kernels", total=len(get_args(SoftmaxNorm))) as advance:
        for norm in get_args(SoftmaxNorm):
            found = attention_memory(
                norm, tokens=tokens, dim=model.dim, machine=Machine(hardware), options=EngineOptions()
            )
            kernel = {"softmax": "scores in MRAM", "softmax_online": "online"}[norm]
            rows += [_memory_row(f"{kernel}: {use.name}", use) for use in found.operators]
            rows.append(_memory_row(f"{kernel}: all as one", found.whole))
            advance(1)
    table = Table(
        title=f"int8 attention of one head x {model.dim}, {tokens} tokens, on one DPU",
        columns=(
            Column(name="operator"),
            Column(name="Q, least", unit="B", origin="exact"),
            Column(name="D, by DMA", unit="B", origin="exact"),
            Column(name="Q/D", unit="%", origin="exact"),
            Column(name="engine", unit="MB/s", origin="modelled"),
            Column(name="kernel", unit="MB/s", origin="modelled"),
            Column(name="peak", unit="MB/s", origin="modelled"),
            Column(name="MUE", unit="%", origin="modelled"),
            Column(name="MUE, kernel time", unit="%", origin="modelled"),
        ),
        rows=tuple(rows),
    )
    bandwidth = (
        "The bandwidth is that of the DMA engine while it moves bytes; over the kernel's time it is lower where "
        "instructions bound the kernel, as they do here."
    )
    counted = (
        f"Counted by the emulator on {machine_name(hardware)}. MUE = Q/D x bandwidth / peak, as of the largest DMAs."
    )
    return Section(title="Use of memory", tables=(table,), notes=(counted, bandwidth))


def _memory_row(name: str, use: MemoryUse) -> tuple[Cell, ...]:
    return (
        name,
        int(use.minimal_bytes),
        use.moved_bytes,
        PERCENT * use.io_share,
        use.moved_bytes / use.engine_s / MB,
        use.moved_bytes / use.kernel_s / MB,
        use.peak_bytes_per_s / MB,
        use.engine_mue,
        use.kernel_mue,
    )
