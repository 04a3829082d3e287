"""The report of `pim batching`: who was served, how fast on hardware, how full the memory was, the checks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from ..hardware import Hardware
from .machine_options import machine_name
from .output import Check, Column, Section, Table, Value
from .timing_options import kernel_time_note

if TYPE_CHECKING:
    from host.attention.batching import Step
    from host.attention.batching_experiment import BatchingOutcome
    from host.attention.layout import Paging
    from host.attention.trace import Trace

    Outcomes: TypeAlias = Mapping[Paging, BatchingOutcome]

__all__ = ["check_section", "memory_section", "time_section", "trace_section"]

PS_PER_US = 1_000_000
PS_PER_S = 1_000_000_000_000
PERCENT = 100


def trace_section(trace: Trace, arguments: argparse.Namespace) -> Section:
    """What was asked, and of which machine."""
    spec, longest = trace.spec, [request.longest for request in trace.requests]
    last = trace.requests[-1].arrival
    values = (
        Value(name="requests", value=len(longest), origin="exact", source=f"seed {trace.seed}, in steps 0 to {last}"),
        Value(name="tokens to decode", value=trace.new_tokens, origin="exact"),
        Value(
            name="contexts",
            value=f"{min(longest)} to {max(longest)} tokens",
            origin="exact",
            source=f"mean {fmean(longest):.0f}",
        ),
        Value(name="shape", value=f"{spec.heads} heads on {spec.kv_heads} KV heads x {spec.dim}", origin="exact"),
        Value(name="kernel", value=f"{spec.dtype} {spec.norm}, {arguments.tasklets} tasklets", origin="exact"),
        Value(name="DPUs", value=arguments.dpus, origin="exact", source=f"{arguments.mram_kib} KiB of MRAM each"),
    )
    return Section(title="Requests", values=values)


def time_section(outcomes: Outcomes, hardware: Hardware, arguments: argparse.Namespace) -> Section:
    """Steps, and modelled time of a mean step by part."""
    columns = (
        Column(name="paging"),
        Column(name="steps", origin="exact"),
        Column(name="tokens per step", origin="exact"),
        Column(name="append", unit="us", origin="modelled"),
        Column(name="join", unit="us", origin="modelled"),
        Column(name="decode", unit="us", origin="modelled"),
        Column(name="step", unit="us", origin="modelled"),
        Column(name="tokens/s", origin="modelled"),
    )
    rows = []
    for paging, outcome in outcomes.items():
        steps, tokens = outcome.steps, len(outcome.answers)
        times = [
            sum(duration) / len(steps) / PS_PER_US
            for duration in zip(*((s.append_ps, s.join_ps, s.decode_ps, s.duration_ps) for s in steps), strict=True)
        ]
        rows.append((paging, len(steps), tokens / len(steps), *times, tokens * PS_PER_S / outcome.duration_ps))
    table = Table(title="Mean step", columns=columns, rows=tuple(rows))
    notes = (f"Modelled on {machine_name(hardware)}.", kernel_time_note(arguments))
    return Section(title="Time on hardware", tables=(table,), notes=notes)


MEASURES: tuple[tuple[str, Callable[[Step], float]], ...] = (
    ("requests waiting", lambda step: step.waiting),
    ("requests preempted", lambda step: step.preempted),
    ("requests in the cache", lambda step: step.occupancy.requests),
    ("contexts on the busiest DPU", lambda step: step.occupancy.busiest_dpu_contexts),
    ("DPUs in use", lambda step: step.occupancy.dpus_in_use),
    ("rows that hold a token, %", lambda step: PERCENT * step.occupancy.use),
    ("reserved rows without one, %", lambda step: PERCENT * step.occupancy.internal_fragmentation),
    ("free rows out of reach, %", lambda step: PERCENT * step.occupancy.free_space_fragmentation),
)


def memory_section(outcomes: Outcomes) -> Section:
    """Occupancy and fragmentation over all steps."""
    columns = [Column(name="per step")]
    for paging in outcomes:
        columns += [Column(name=f"{paging}, {what}", origin="exact") for what in ("mean", "peak")]
    rows = []
    for name, measure in MEASURES:
        row: list[str | float] = [name]
        for outcome in outcomes.values():
            found = [measure(step) for step in outcome.steps]
            row += [fmean(found), max(found)]
        rows.append(tuple(row))
    note = (
        "A row is K and V of one token of one KV head. Free rows are out of reach of a new request when they lie on "
        "different DPUs, or on DPUs without a free slot."
    )
    table = Table(title="Occupancy", columns=tuple(columns), rows=tuple(rows))
    return Section(title="Memory", tables=(table,), notes=(note,))


def check_section(outcomes: Outcomes) -> Section:
    """Every answer against the reference and against the other paging, and nothing left behind."""
    checks = [check for paging, outcome in outcomes.items() for check in _checks(paging, outcome)]
    if len(outcomes) == 2:
        checks.append(_same_answers(*outcomes.values()))
    return Section(title="Checks", checks=tuple(checks))


def _checks(paging: str, outcome: BatchingOutcome) -> Sequence[Check]:
    equal, left = outcome.compared - outcome.different, outcome.left_over
    return (
        Check(
            name=f"{paging}: bit-exact with the integer reference",
            passed=outcome.different == 0,
            detail=f"{equal:,} of {outcome.compared:,} elements",
        ),
        Check(
            name=f"{paging}: nothing leaked",
            passed=not (left.contexts or left.rows_reserved) and outcome.free_ranks_after == outcome.free_ranks_before,
            detail=f"{left.contexts} contexts, {left.rows_reserved} rows reserved, "
            f"{outcome.free_ranks_after} of {outcome.free_ranks_before} ranks free",
        ),
    )


def _same_answers(ours: BatchingOutcome, theirs: BatchingOutcome) -> Check:
    from host.attention.batching_experiment import different_elements

    left, right = ours.answers, theirs.answers
    same = sum(key in right and not different_elements(answers, right[key]) for key, answers in left.items())
    return Check(
        name="both pagings give the same answers",
        passed=same == len(left) == len(right),
        detail=f"{same:,} of {len(left):,} answers are the same bit for bit",
    )
