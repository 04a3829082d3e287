"""`pim plan MODEL`: every way to serve a model on one machine or several, ranked by a goal, with what bounds each."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from .durations import duration_s, shown_s
from .model_options import add_bits_options, chosen_quant, count, model_section
from .output import Cell, Check, Column, Report, Section, Table, Value
from .pictures import add_picture_option, picture_section
from .progress import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.planner.design import Design
    from host.planner.hardware import Query
    from host.planner.plan import Plan
    from host.planner.variant import Variant

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "plan"
HELP = "rank every partition, schedule and batch with which a machine serves a model"

GOALS = ("latency", "throughput", "energy")
SCOPE_NAMES: Mapping[str, str] = MappingProxyType(
    {"model": "a whole decode step", "attention": "attention and the KV cache; weights are elsewhere"}
)
NORMS = ("div_d", "zscore", "zscore_linear", "softmax", "softmax_online")
ALL_MACHINES = "all"
MOST_REASONS = 5

_COLUMNS = (
    Column(name="rank"),
    Column(name="machine"),
    Column(name="batch", unit="requests"),
    Column(name="step", unit="ms", origin="modelled"),
    Column(name="tokens", unit="1/s", origin="modelled"),
    Column(name="energy", unit="J/token", origin="modelled"),
    Column(name="bound by", origin="modelled"),
    Column(name="share", unit="%", origin="modelled"),
    Column(name="meets the SLO"),
    Column(name="design"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the machines, what is asked of them."""
    default = "(default: %(default)s)"
    parser.add_argument("model", metavar="MODEL", help="a published model, or a config.json or its folder")
    parser.add_argument(
        "--hardware",
        nargs="+",
        default=["upmem-v1a"],
        metavar="NAME",
        help=f"machines to compare; {ALL_MACHINES}: all that ship {default}",
    )
    asked = parser.add_argument_group("what is asked")
    asked.add_argument("--goal", choices=GOALS, default="latency", help=f"what is best {default}")
    asked.add_argument("--slo", type=duration_s, metavar="TIME", help="longest time between two tokens, such as 50ms")
    asked.add_argument("--len", type=count, default=4096, help=f"tokens of every context {default}")
    asked.add_argument("--batch", type=count, nargs="+", metavar="N", help="requests (default: 1, 2, 4 ... what fits)")
    asked.add_argument(
        "--scope",
        choices=tuple(SCOPE_NAMES),
        default="model",
        help=f"all of a decode step, or its attention only, with the weights elsewhere {default}",
    )
    asked.add_argument(
        "--norm",
        nargs="+",
        choices=NORMS,
        default=["softmax"],
        help="of attention kernels on DPUs; several are compared (default: softmax)",
    )
    add_bits_options(parser.add_argument_group("bits of an element"), default=8)
    parser.add_argument("--top", type=count, default=10, metavar="N", help=f"designs to show {default}")
    add_picture_option(parser, "latency against throughput of all designs")


def run(arguments: argparse.Namespace) -> Report:
    """Plan. Raises PimError, ValueError or OSError for a model, a machine or a question that cannot be."""
    from host.llm.huggingface import described_model
    from host.planner.hardware import Query, hardware_names
    from host.planner.plan import plan

    described = described_model(arguments.model)
    query = Query(
        model=described.model,
        quant=chosen_quant(arguments),
        context=arguments.len,
        scope=arguments.scope,
        norms=tuple(dict.fromkeys(arguments.norm)),
    )
    names = arguments.hardware
    if names == [ALL_MACHINES]:
        names = [name for kind in hardware_names().values() for name in kind]
    began = time.perf_counter()
    with progress("machines", total=len(names)) as advance:
        found = plan(_each(names, query, advance), goal=arguments.goal, slo_s=arguments.slo, batches=arguments.batch)
    seconds = time.perf_counter() - began
    machines = _designs_table(found, found.best_of_each_machine, title="The best of each machine")
    best = _designs_table(found, found.best_of_each_variant[: arguments.top], title="The best of all")
    tables = (machines, best) if len(names) > 1 else (best,)
    return Report(
        title=f"Plans for {described.model.name}",
        sections=(
            model_section(described, longest=arguments.len),
            _question_section(arguments, query, found, seconds),
            Section(title="Designs", tables=tables, notes=_notes(found)),
            _best_section(found.designs[0]),
            *picture_section(
                arguments.plot, lambda: _picture(found, described.model.name), _designs_table(found, found.designs)
            ),
        ),
    )


def _each(names: Sequence[str], query: Query, advance: Callable[[int], None]) -> Iterator[Variant]:
    from host.planner.hardware import variants

    for name in dict.fromkeys(names):
        yield from variants(name, query)
        advance(1)


def _question_section(arguments: argparse.Namespace, query: Query, found: Plan, seconds: float) -> Section:
    quant, slo = query.quant, found.slo_s
    bits = f"weights {quant.weight_bits}, K and V {quant.kv_bits}, hidden states {quant.activation_bits} bits"
    values = (
        Value(name="goal", value=found.goal, origin="exact"),
        Value(name="SLO", value="none" if slo is None else shown_s(slo), origin="exact", source="of a decode step"),
        Value(name="context", value=query.context, unit="tokens", origin="exact", source="of each request"),
        Value(name="elements", value=bits, origin="exact"),
        Value(name="on the machine", value=SCOPE_NAMES[query.scope], origin="exact"),
        Value(name="design points", value=len(found.designs), origin="exact", source="a variant and a batch"),
        Value(name="variants that cannot serve", value=len(found.refusals), origin="exact"),
        Value(name="time of this query", value=seconds, unit="s", origin="measured here"),
    )
    if slo is None:
        return Section(title="Question", values=values)
    fastest = min(design.step_s for design in found.designs)
    detail = f"{found.meeting} of {len(found.designs)} designs do; the fastest takes {shown_s(fastest)}"
    check = Check(name=f"the SLO of {shown_s(slo)} is met", passed=found.meeting > 0, detail=detail)
    return Section(title="Question", values=values, checks=(check,))


def _designs_table(found: Plan, designs: Sequence[Design], title: str = "") -> Table:
    rows = tuple(_row(rank, design, found) for rank, design in enumerate(designs, start=1))
    return Table(title=title, columns=_COLUMNS, rows=rows)


def _row(rank: int, design: Design, found: Plan) -> tuple[Cell, ...]:
    return (
        rank,
        design.variant.machine,
        design.batch,
        1e3 * design.step_s,
        design.tokens_per_s,
        design.joules_per_token,
        design.bound_by,
        round(100 * design.share_bound_by, 1),
        None if found.slo_s is None else found.meets(design),
        "; ".join(f"{name}: {choice}" for name, choice in design.variant.choices.items()),
    )


def _notes(found: Plan) -> tuple[str, ...]:
    reasons = Counter(f"{refusal.variant.machine}: {refusal.reason}" for refusal in found.refusals)
    shown = [f"{count:,} variants cannot serve. {reason}" for reason, count in reasons.most_common(MOST_REASONS)]
    return (
        "GPUs: layers only, as document 1 counts. Machines with memory in their units: the output matrix, too.",
        "Each variant with its best batch. Bound by: what most of the time of all parts goes to, overlapped or not.",
        *shown,
    )


def _best_section(best: Design) -> Section:
    """The parts of the first design."""
    columns = (
        Column(name="part"),
        Column(name="time", unit="ms", origin="modelled"),
        Column(name="moved", unit="bytes", origin="modelled"),
        Column(name="transfers", origin="modelled"),
        Column(name="bound by", origin="modelled"),
        Column(name="overlap"),
    )
    rows = tuple(
        ("  " * depth + part.name, 1e3 * part.seconds, part.moved_bytes, part.transfers, part.bound_by, part.overlap)
        for depth, part in best.cost.outline
    )
    title = f"The best: {best.variant.machine}, batch {best.batch}"
    return Section(title=title, tables=(Table(title="", columns=columns, rows=rows),))


def _picture(found: Plan, model: str) -> Figure:
    from ..report.plan_plot import DesignPoint, plan_plot

    points = [DesignPoint(design.variant.machine, 1e3 * design.step_s, design.tokens_per_s) for design in found.designs]
    slo_ms = None if found.slo_s is None else 1e3 * found.slo_s
    return plan_plot(points, slo_ms=slo_ms, title=f"Designs that serve {model}")
