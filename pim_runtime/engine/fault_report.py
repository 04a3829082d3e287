"""All faults of a launch on one page: DPUs that failed alike share a paragraph with ranges."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable

from ..device.faults import FaultCode, named_values
from ..language.diagnostics import place_text
from ..topology import Place, Radix, format_ranges, numbered
from .faults import Fault

__all__ = ["report"]

MOST_PARAGRAPHS = 16  # the SDK, too, prints at most 16 DPUs in fault
MOST_RANGES = 12  # of DPUs in one paragraph
MOST_VALUE_RANGES = 4
INDENT = " " * 4


def report(faults: Iterable[Fault], nr_dpus: int, *, dpus_per_rank: int, dpus_per_chip: int) -> str:
    """How many of `nr_dpus` launched DPUs are in fault, then one paragraph per reason and place in the kernel.

    Tasklets, phases and values may differ inside a paragraph: it shows their ranges, and the words of the first DPU.
    Deadlocks are alike when the same things are waited for at the same places.
    """
    alike: dict[tuple[object, ...], list[Fault]] = defaultdict(list)
    for fault in faults:
        alike[_kind(fault)].append(fault)
    groups = list(alike.values())
    paragraphs = [f"{sum(map(len, groups))} of {nr_dpus} DPUs"]
    for group in groups[:MOST_PARAGRAPHS]:
        where = _where(group, dpus_per_rank, dpus_per_chip)
        paragraphs += [f"{where}:", textwrap.indent(_why(group), INDENT)]
    rest = groups[MOST_PARAGRAPHS:]
    if rest:
        dpus = numbered("DPU", (fault.dpu for group in rest for fault in group), most=MOST_RANGES)
        paragraphs.append(f"and {len(rest)} more kinds of faults on {dpus}: `faults` of this error has all")
    return "\n".join(paragraphs)


def _kind(fault: Fault) -> tuple[object, ...]:
    """What faults of one paragraph have in common."""
    waits = tuple(sorted((wait.what, wait.filename, wait.line) for wait in fault.waits))
    said = fault.text if fault.code is FaultCode.INTERNAL else ""
    return fault.code, *((fault.filename, fault.line) if not waits else ()), waits, said


def _where(group: list[Fault], dpus_per_rank: int, dpus_per_chip: int) -> str:
    first = group[0]
    parts = [
        numbered("rank", (fault.dpu // dpus_per_rank for fault in group), most=MOST_RANGES),
        numbered("DPU", (fault.dpu for fault in group), most=MOST_RANGES),
        numbered("tasklet", (fault.tasklet for fault in group), most=MOST_RANGES),
        numbered("phase", (fault.phase for fault in group), most=MOST_RANGES),
    ]
    if len(group) == 1:
        parts[1] += f" ({Place.of(first.dpu, dpus_per_rank=dpus_per_rank, dpus_per_chip=dpus_per_chip)})"
    if first.filename:
        parts.append(f"at {place_text(first.filename, first.line)}")
    return ", ".join(parts)


def _why(group: list[Fault]) -> str:
    """The words of the first fault and, where others had other values, the ranges of these."""
    first = group[0]
    values: dict[tuple[str, Radix], set[int]] = defaultdict(set)
    for fault in group:
        for name, value in named_values(fault.code, fault.values).items():
            values[name].add(value)
    differing = [
        f"{name} {format_ranges(numbers, radix=radix, most=MOST_VALUE_RANGES)}"
        for (name, radix), numbers in values.items()
        if len(numbers) > 1
    ]
    if differing:
        return f"{first.text}\n(this is DPU {first.dpu}; over all of them: {'; '.join(differing)})"
    if first.waits and len({fault.text for fault in group}) > 1:
        return f"{first.text}\n(this is DPU {first.dpu}; in the others other tasklets wait)"
    return first.text
