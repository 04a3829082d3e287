"""`pim attention`: decode attention on emulated DPUs, on real activations or made-up integers, checked in full."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from ..device.run_record import MAX_TASKLETS
from ..engine.protocol import EngineOptions
from ..errors import AllocationError
from ..hardware import load_profile
from ..machine import DEFAULT_PROFILE, Machine
from ..timeline import Row
from .output import Check, Column, Report, Section, Table, Value
from .progress import progress

if TYPE_CHECKING:
    from host.attention.experiment import Outcome
    from host.attention.verification import Agreement, Verification
    from host.attention.workload import Workload

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "attention"
HELP = "run decode attention on emulated DPUs and check every element"

DEFAULT_BATCH = 32
OPERATIONS = (("push", "write"), ("run", "launch"), ("pull", "read"))
# What quantising the shipped sample may cost in relative L2 error: (mean, worst) over its heads.
SAMPLE_ERROR_LIMITS = {"int8": (0.016, 0.026), "int16": (2e-4, 2e-4), "int32": (2e-4, 2e-4)}
PS_PER_US = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Operands, kernel and machine; without operands the shipped activations are used."""
    operands = parser.add_argument_group("operands")
    operands.add_argument("--kv", metavar="FILE.npz", help="real q, k, v [layers, heads, tokens, dim]; default: the shipped sample")
    operands.add_argument("--data", choices=("ones", "random"), help="made-up integers instead; needs --len")
    operands.add_argument("--batch", type=int, default=DEFAULT_BATCH, help="requests at the same time (default %(default)s)")
    operands.add_argument("--heads", type=int, default=32, help="heads per request of made-up data (default %(default)s)")
    operands.add_argument("--dim", type=int, default=128, help="elements per head of made-up data (default %(default)s)")
    operands.add_argument("--len", type=int, default=4096, dest="tokens", help="tokens of made-up data (default %(default)s)")
    operands.add_argument("--seed", type=int, default=0, help="of random data (default %(default)s)")
    kernel = parser.add_argument_group("kernel")
    kernel.add_argument("--dtype", choices=("int8", "int16", "int32"), default="int8", help="operand type (default %(default)s)")
    kernel.add_argument("--norm", choices=("div_d", "softmax"), default="softmax", help="normalisation (default %(default)s)")
    kernel.add_argument("--acc", choices=("wrap", "wide"), default="wide", help="accumulators (default %(default)s)")
    kernel.add_argument("--tasklets", type=int, default=17, help=f"2 to {MAX_TASKLETS} (default %(default)s)")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--dpus", type=int, help="DPUs that may be used (default: all of the profile)")
    machine.add_argument("--profile", default=DEFAULT_PROFILE, help="hardware profile (default %(default)s)")
    machine.add_argument("--engine", choices=("compiled", "interpreted"), default="compiled", help="(default %(default)s)")


def run(arguments: argparse.Namespace) -> Report:
    """Run and verify. Raises PimError, ValueError or OSError for what cannot be run."""
    from host.attention.experiment import run_workload
    from host.attention.verification import verify

    machine = Machine(load_profile(arguments.profile))
    workload = _workload(arguments)
    _check_dpus(arguments.dpus, workload.batch * workload.heads)
    title = f"attention, {workload.batch * workload.heads} DPUs"
    with progress(title, total=len(workload.queries)) as advance:
        options = EngineOptions(engine=arguments.engine)
        outcome = run_workload(
            workload, nr_tasklets=arguments.tasklets, machine=machine, options=options, advance=advance
        )
    contexts = workload.heads if workload.origin else workload.heads * workload.batch
    with progress("checking", total=contexts) as advance:
        verification = verify(workload, outcome, advance=advance)
    limits = SAMPLE_ERROR_LIMITS[arguments.dtype] if arguments.kv is None and workload.origin else None
    return Report(
        title="Decode attention on emulated DPUs",
        sections=(
            _workload_section(workload, outcome, arguments),
            _accuracy_section(verification, limits),
            _time_section(workload, outcome, machine),
            _wall_section(workload, outcome, arguments),
        ),
    )


def _workload(arguments: argparse.Namespace) -> Workload:
    from host.attention.samples import load_operands, shipped_operands
    from host.attention.workload import real_workload, synthetic_workload

    for name in ("batch", "heads", "dim", "tokens"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"--{'len' if name == 'tokens' else name} {getattr(arguments, name)}: at least 1")
    if arguments.data is not None:
        if arguments.kv is not None:
            raise ValueError("--kv and --data exclude each other: real or made-up operands")
        return synthetic_workload(
            batch=arguments.batch,
            heads=arguments.heads,
            tokens=arguments.tokens,
            dim=arguments.dim,
            dtype=arguments.dtype,
            norm=arguments.norm,
            acc=arguments.acc,
            data=arguments.data,
            seed=arguments.seed,
        )
    real = shipped_operands() if arguments.kv is None else load_operands(arguments.kv)
    return real_workload(
        real, dtype=arguments.dtype, norm=arguments.norm, acc=arguments.acc, batch=arguments.batch
    )


def _check_dpus(allowed: int | None, needed: int) -> None:
    if allowed is not None and needed > allowed:
        raise AllocationError(
            f"batch x heads needs {needed} DPUs, --dpus allows {allowed}: lower --batch, or allow more"
        )


def _workload_section(workload: Workload, outcome: Outcome, arguments: argparse.Namespace) -> Section:
    if workload.origin is not None:
        data = arguments.kv or "shipped sample: all-MiniLM-L6-v2, layers 1 and 4"
    else:
        data = f"made up: {arguments.data}" + (f", seed {arguments.seed}" if arguments.data == "random" else "")
    values = (
        Value(name="operands", value=data, origin="exact"),
        Value(name="shape", value=f"{workload.heads} heads x {workload.tokens} tokens x {workload.dim}", origin="exact"),
        Value(name="decode steps", value=f"{len(workload.queries)} of batch {workload.batch}", origin="exact"),
        Value(
            name="kernel",
            value=f"{arguments.dtype} {workload.norm}, {workload.acc} accumulators, {arguments.tasklets} tasklets",
            origin="exact",
        ),
        Value(name="DPUs", value=outcome.nr_dpus, origin="exact", source=f"{outcome.nr_ranks} ranks, one head each"),
    )
    return Section(title="Workload", values=values)


def _accuracy_section(verification: Verification, limits: tuple[float, float] | None) -> Section:
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
        errors = np.array(verification.real.relative_l2)
        checks.append(
            Check(
                name="quantisation error of the sample",
                passed=bool(errors.mean() <= limits[0] and errors.max() <= limits[1]),
                detail=f"mean {errors.mean():.2e} (limit {limits[0]:g}), worst {errors.max():.2e} (limit {limits[1]:g})",
            )
        )
    columns = (
        Column(name="against"),
        Column(name="relative L2, mean over heads", origin="exact"),
        Column(name="worst head", origin="exact"),
        Column(name="worst error / proven bound", origin="exact"),
    )
    tables = (Table(title="Error", columns=columns, rows=tuple(rows)),) if rows else ()
    return Section(title="Accuracy", tables=tables, checks=tuple(checks))


def _bound_check(name: str, agreement: Agreement) -> Check:
    share = agreement.worst_share_of_bound
    return Check(name=f"within the proven bound: {name}", passed=share <= 1, detail=f"worst error is {share:.3g} of it")


def _time_section(workload: Workload, outcome: Outcome, machine: Machine) -> Section:
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
    notes = (
        f"Modelled on profile {machine.hardware.name}. The kernel's instruction counts are stated by its author from the"
        " published compiled code, multiplies averaged over the data (host/attention/instruction_counts.py).",
    )
    return Section(title="Time on hardware", tables=(Table(title="Decode step", columns=columns, rows=tuple(table)),), notes=notes)


def _us(rows: list[Row]) -> float:
    return sum(row.duration_ps for row in rows) / PS_PER_US


def _parts(rows: list[Row], steps: int) -> str:
    totals: dict[str, int] = {}
    for row in rows:
        for cost in row.costs:
            totals[cost.reason] = totals.get(cost.reason, 0) + cost.duration_ps
    return ", ".join(f"{reason} {total / PS_PER_US / steps:.1f}" for reason, total in totals.items() if total)


def _wall_section(workload: Workload, outcome: Outcome, arguments: argparse.Namespace) -> Section:
    kv_bytes = workload.k.nbytes + workload.v.nbytes
    gb_per_s = kv_bytes * len(workload.queries) / outcome.decode_seconds / 1e9
    values = (
        Value(name="engine", value=arguments.engine, origin="exact"),
        Value(name="program load", value=outcome.load_seconds, origin="measured here", unit="s", source="with compilation, or from the cache"),
        Value(name="K and V into the DPUs", value=outcome.fill_seconds, origin="measured here", unit="s"),
        Value(name="decode steps", value=outcome.decode_seconds, origin="measured here", unit="s"),
        Value(name="K and V read by the kernels", value=gb_per_s, origin="measured here", unit="GB/s"),
    )
    return Section(title="Emulation", values=values)
