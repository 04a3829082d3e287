"""The report of `pim attention`: what ran, how exact it is, what it would take on hardware, what it took here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..hardware import Hardware
from ..timeline import Row
from ..timing import dpu_energy
from .machine_options import machine_name
from .output import Check, Column, Section, Table, Value
from .timing_options import kernel_time_note

if TYPE_CHECKING:
    from host.attention.experiment import Outcome
    from host.attention.spec import AttentionSpec
    from host.attention.verification import Agreement, Verification
    from host.attention.workload import Workload

__all__ = ["accuracy_section", "emulation_section", "time_section", "workload_section"]

OPERATIONS = (("push", "write"), ("run", "launch"), ("pull", "read"))
PS_PER_US = 1_000_000
PJ_PER_MJ = 1_000_000_000


def workload_section(workload: Workload, outcome: Outcome, arguments: argparse.Namespace) -> Section:
    """What ran, on how many DPUs."""
    if workload.origin is not None:
        data = arguments.kv or "shipped sample: all-MiniLM-L6-v2, layers 1 and 4"
    else:
        data = "made up: all 1" if arguments.data == "ones" else f"made up: random, seed {arguments.seed}"
    spec, parts = workload.spec, outcome.partition.parts
    shared = f" on {_count(spec.kv_heads, 'KV head')}" if spec.kv_heads < spec.heads else ""
    shape = f"{_count(spec.heads, 'head')}{shared} x {_count(workload.tokens, 'token')} x {spec.dim}"
    each = "head" if spec.kv_heads == spec.heads else "KV head"
    heads = f"one {each} each" if parts == 1 else f"one of {parts} parts of a {each} each, {outcome.partition.layout}"
    paged = ", paged" if arguments.paging == "paged" else ""
    waves = f", {outcome.nr_waves} waves" if outcome.nr_waves > 1 else ""
    where = f"{_count(outcome.nr_ranks, 'rank')}, {heads}{paged}{waves}"
    values = (
        Value(name="operands", value=data, origin="exact"),
        Value(name="shape", value=shape, origin="exact"),
        Value(name="decode steps", value=f"{len(workload.queries)} of batch {workload.batch}", origin="exact"),
        Value(
            name="kernel",
            value=f"{spec.dtype} {spec.norm}, {spec.acc} accumulators, {arguments.tasklets} tasklets{_choices(spec)}",
            origin="exact",
        ),
        Value(name="DPUs", value=outcome.nr_dpus, origin="exact", source=where),
        Value(name="first outputs", value=_first_outputs(outcome), origin="exact", source="step 0, request 0, head 0"),
    )
    return Section(title="Workload", values=values)


def _choices(spec: AttentionSpec) -> str:
    """What is not as usual."""
    exponential = f", {spec.exponential}" if spec.is_softmax and spec.exponential != "lut256_lerp" else ""
    window = f", window of {_count(spec.window, 'token')}" if spec.window else ""
    return exponential + window + (", ALiBi" if spec.alibi_slopes else "")


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _first_outputs(outcome: Outcome) -> str:
    """The integers that the DPUs left: the sums of values, still to be scaled where there is a record of sums."""
    from host.attention.sums import LinearSums

    outputs = outcome.outputs
    if isinstance(outputs, np.ndarray):
        values = outputs
    else:
        values = outputs.score_values if isinstance(outputs, LinearSums) else outputs.weighted_values
    return " ".join(str(value) for value in values[0, 0, 0, :4]) + " ..."


def accuracy_section(verification: Verification, limits: tuple[float, float] | None) -> Section:
    """The checks; `limits` are the (mean, worst) relative L2 error that quantising may cost, where they are known."""
    equal = verification.compared - verification.different
    checks = [
        Check(
            name="bit-exact with the integer reference",
            passed=verification.different == 0,
            detail=f"{equal:,} of {verification.compared:,} elements",
        )
    ]
    rows = []
    for name, agreement in (
        ("float64 on the same integers", verification.kernel),
        ("float64 on the unquantised tensors", verification.real),
    ):
        if agreement is not None:
            errors = np.array(agreement.relative_l2)
            rows.append((name, float(errors.mean()), float(errors.max()), agreement.worst_share_of_bound))
            checks.append(_bound_check(name, agreement))
    if limits is not None and verification.real is not None:
        checks.append(_quantisation_check(np.array(verification.real.relative_l2), *limits))
    columns = (
        Column(name="against"),
        Column(name="relative L2, mean over heads", origin="exact"),
        Column(name="worst head", origin="exact"),
        Column(name="worst error / proven bound", origin="exact"),
    )
    tables = (Table(title="Error", columns=columns, rows=tuple(rows)),) if rows else ()
    return Section(title="Accuracy", tables=tables, checks=tuple(checks))


def _quantisation_check(errors: NDArray[np.float64], mean_limit: float, worst_limit: float) -> Check:
    mean, worst = float(errors.mean()), float(errors.max())
    return Check(
        name="quantisation error of the sample",
        passed=mean <= mean_limit and worst <= worst_limit,
        detail=f"mean {mean:.2e} (limit {mean_limit:g}), worst {worst:.2e} (limit {worst_limit:g})",
    )


def _bound_check(name: str, agreement: Agreement) -> Check:
    share = agreement.worst_share_of_bound
    return Check(name=f"within the proven bound: {name}", passed=share <= 1, detail=f"worst error is {share:.3g} of it")


def time_section(workload: Workload, outcome: Outcome, hardware: Hardware, arguments: argparse.Namespace) -> Section:
    """Modelled time of a mean decode step, by part and reason."""
    rows = outcome.timeline.rows[outcome.decode_rows :]
    steps = len(workload.queries)
    table = []
    for name, operation in OPERATIONS:
        chosen = [row for row in rows if row.operation == operation]
        nbytes = sum(row.nbytes for row in chosen)
        table.append((name, _us(chosen) / steps, nbytes // steps, _parts(chosen, steps)))
    table.append(("step", _us(rows) / steps, sum(row.nbytes for row in rows) // steps, ""))
    columns = (
        Column(name="part"),
        Column(name="time per step", unit="us", origin="modelled"),
        Column(name="host bytes per step", unit="B", origin="exact"),
        Column(name="of which, in us", origin="modelled"),
    )
    step = Table(title="Decode step", columns=columns, rows=tuple(table))
    notes = (f"Modelled on {machine_name(hardware)}.", kernel_time_note(arguments))
    energy = _energy(rows, steps, outcome.nr_ranks, hardware)
    return Section(title="Time on hardware", values=(energy,), tables=(step,), notes=notes)


def _energy(rows: list[Row], steps: int, nr_ranks: int, hardware: Hardware) -> Value:
    """Energy of the allocated ranks over a mean decode step."""
    duration_ps = sum(row.duration_ps for row in rows) // steps
    energy = dpu_energy(nr_ranks=nr_ranks, duration_ps=duration_ps, hardware=hardware)
    watts = f"{hardware.power.dpu_watts} to {hardware.power.dpu_watts_upper} W"
    return Value(
        name="energy per step",
        value=f"{energy.lower_pj / PJ_PER_MJ:.4g} to {energy.upper_pj / PJ_PER_MJ:.4g}",
        unit="mJ",
        origin="modelled",
        source=f"thermal design power, {watts} per DPU of the allocated ranks, without the host; 20 % off at best",
    )


def _us(rows: list[Row]) -> float:
    return sum(row.duration_ps for row in rows) / PS_PER_US


def _parts(rows: list[Row], steps: int) -> str:
    totals: dict[str, int] = {}
    for row in rows:
        for cost in row.costs:
            totals[cost.reason] = totals.get(cost.reason, 0) + cost.duration_ps
    return ", ".join(f"{reason} {total / PS_PER_US / steps:.1f}" for reason, total in totals.items() if total)


def emulation_section(workload: Workload, outcome: Outcome, arguments: argparse.Namespace) -> Section:
    """Wall time of the emulation on this computer."""
    stored = workload.spec.operands.bits / 8 / workload.k.itemsize
    kv_bytes = int((workload.k.nbytes + workload.v.nbytes) * stored)
    gb_per_s = kv_bytes * len(workload.queries) / outcome.decode_seconds / 1e9
    values = (
        Value(name="engine", value=arguments.engine, origin="exact"),
        _measured("program load", outcome.load_seconds, "s", "with compilation, or from the cache"),
        _measured("K and V into the DPUs", outcome.fill_seconds, "s"),
        _measured("decode steps", outcome.decode_seconds, "s"),
        _measured("K and V read by the kernels", gb_per_s, "GB/s"),
    )
    return Section(title="Emulation", values=values)


def _measured(name: str, value: float, unit: str, source: str = "") -> Value:
    return Value(name=name, value=value, origin="measured here", unit=unit, source=source)
