"""Sections of `pim sprint run`: chip, accuracy, movement of data, time, energy. Of one head where there are several."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from .document_notes import error_notes
from .output import Cell, Check, Column, Origin, Section, Table, Value

if TYPE_CHECKING:
    from host.machines.sprint_chip import SprintChip
    from host.sprint.accelerator import Accelerator, AttentionRun
    from host.sprint.experiment import Outcome
    from host.sprint.inputs import QueryStream
    from host.sprint.padding import MovementMode
    from host.sprint.pruning import InMemoryPruning

__all__ = [
    "MODES",
    "UJ",
    "accuracy_section",
    "chip_section",
    "energy_section",
    "head_energy",
    "movement_section",
    "queries_section",
    "shown_heads",
    "time_section",
]

UJ, PERCENT = 1e6, 100
MODES: Mapping[MovementMode, str] = MappingProxyType(
    {"baseline": "baseline", "mask_only": "mask only", "sprint": "SPRINT"}
)
MODES_NOTE = (
    "baseline: all queries take all tokens, padding too; mask only: valid queries take valid tokens; SPRINT: those "
    "that thresholds leave. The first two have no thresholds."
)


def chip_section(accelerator: Accelerator, stream: QueryStream, *, profile: str) -> Section:
    """What runs on what. profile: name or file of the chip."""
    chip = accelerator.chip
    memory = chip.memory
    values = (
        Value(
            name="corelets",
            value=chip.corelets.count,
            origin=_origin(chip, "corelets.count"),
            source=f"{chip.corelets.clock_mhz} MHz, {chip.corelets.lanes} lanes each, tokens: {accelerator.mapping}",
        ),
        Value(
            name="buffer of K and V",
            value=chip.corelets.kv_buffer_bytes,
            unit="bytes",
            origin=_origin(chip, "corelets.kv_buffer_bytes"),
            source=f"{accelerator.capacity_tokens} tokens of {accelerator.token_bytes} bytes",
        ),
        Value(
            name="ReRAM",
            value=f"{memory.channels} channels x {memory.banks} banks",
            origin=_origin(chip, "memory.channels"),
            source=f"{memory.channel_gb_per_s} GB/s each",
        ),
        Value(
            name="attention",
            value=f"{shown_heads(stream.heads)} x {stream.tokens} tokens x {stream.dim}, int8",
            origin="exact",
            source=f"{stream.valid} valid, {1 - stream.valid / stream.tokens:.0%} padding",
        ),
    )
    assumed = sum(quantity.provenance != "published" for quantity in chip.provenance)
    note = f"{assumed} of the {len(chip.provenance)} values of the chip are not published but derived or assumed"
    where = f", see {profile}" if profile.endswith(".toml") else f": `pim info --profile {profile}`"
    return Section(title="Chip", values=values, notes=(f"{note}{where}.",))


def accuracy_section(outcome: Outcome, pruning: InMemoryPruning, *, asked: float | None) -> Section:
    """What is kept, and how far outputs are from dense attention. asked: the fraction to keep, if one was."""
    selection, attention = outcome.selection, outcome.attention
    mass, bound = attention.pruned_mass, attention.bound
    certified = pruning.thresholder.is_certified
    checks = [
        Check(
            name="outputs within their bound",
            passed=bool((outcome.error <= bound).all()),
            detail=f"{outcome.error.size:,} outputs against dense attention in float64 (B-3, B-5, B-6)",
        )
    ]
    if certified:
        detail = f"{outcome.lost} tokens at the threshold or above were pruned (S4-4)"
        checks.append(Check(name="nothing pruned that should stay", passed=outcome.lost == 0, detail=detail))
    values = (
        Value(
            name="kept",
            value=PERCENT * selection.kept_fraction,
            unit="%",
            origin="exact",
            source="" if asked is None else f"{PERCENT * asked:g} % asked for",
        ),
        Value(
            name="kept by a query",
            value=float(selection.kept.mean()),
            unit="tokens",
            origin="exact",
            source=f"{selection.kept.min()} to {selection.kept.max()}",
        ),
        Value(
            name="pruned probability, pi",
            value=PERCENT * float(mass.mean()),
            unit="%",
            origin="exact",
            source=f"mean of queries; largest {PERCENT * float(mass.max()):.3g} %",
        ),
        Value(
            name="pruned at the threshold or above",
            value=outcome.lost,
            unit="tokens",
            origin="exact",
            source="certified" if certified else "not certified: --conservative on",
        ),
        Value(
            name="error of outputs",
            value=PERCENT * outcome.relative_error,
            unit="%",
            origin="exact",
            source="root mean square, of that of dense outputs",
        ),
        Value(name="largest error", value=float(outcome.error.max()), unit="units of V", origin="exact"),
        Value(
            name="largest bound",
            value=float(bound.max()),
            unit="units of V",
            origin="exact",
            source="pi R_v, scores and integer arithmetic",
        ),
    )
    return Section(title="Pruning", values=values, notes=error_notes(("E4-1", "E4-2")), checks=tuple(checks))


def movement_section(outcome: Outcome, accelerator: Accelerator) -> Section:
    """Tokens that are loaded, found and let go, and rows of ReRAM, per query; bytes of a head."""
    from host.sprint.controller import wordline_reads
    from host.sprint.locality import movement, overlap

    columns = (
        Column(name="tokens of a query"),
        *(Column(name=name, origin="exact") for name in ("load", "reuse", "evict", "load again")),
        *(Column(name=name, origin="modelled") for name in ("rows opened", "row hits")),
        Column(name="read", unit="bytes/head", origin="exact"),
    )
    rows = tuple(
        (title, *_means(run), run.cost.part("ReRAM reads and writes", "reads").moved_bytes / run.heads)
        for mode, title in MODES.items()
        for run in (outcome.runs[mode],)
    )
    keep, moved = outcome.selection.keep, outcome.runs["sprint"].moved
    loads = movement(keep, capacity_tokens=accelerator.capacity_tokens, retention=accelerator.retention).load
    wordlines = wordline_reads(loads, dim=accelerator.dim, chip=accelerator.chip)
    values = (
        Value(
            name="overlap of adjacent queries",
            value=PERCENT * float(np.nanmean(overlap(keep))) if keep.shape[1] > 1 else None,
            unit="%",
            origin="exact",
            source="kept tokens that the query before kept too",
        ),
        Value(
            name="most loads of a query",
            value=int(moved.load.max()),
            unit="tokens",
            origin="exact",
            source=f"least {int(moved.load.min())}",
        ),
        Value(
            name="accesses for the bits of K in the array",
            value=wordlines.transposed,
            origin="exact",
            source=f"transposed reads; along wordlines {wordlines.plain:,}",
        ),
    )
    table = Table(title="Means of all queries", columns=columns, rows=rows)
    return Section(
        title="Data movement",
        values=values,
        tables=(table,),
        notes=(MODES_NOTE, *error_notes(("E4-3", "E4-5"))),
    )


def queries_section(outcome: Outcome, most: int) -> Section:
    """The first queries of the first head, one by one."""
    run, selection = outcome.runs["sprint"], outcome.selection
    columns = (
        Column(name="query"),
        *(Column(name=name, origin="exact") for name in ("kept", "load", "reuse", "evict", "load again")),
        *(Column(name=name, unit="cycles", origin="modelled") for name in ("loads", "arithmetic", "done at")),
        Column(name="pruned probability", unit="%", origin="exact"),
    )
    counts = (selection.kept, *run.moved[:4], run.cycles.load, run.cycles.compute, run.cycles.end)
    each = zip(*(of.reshape(run.heads, -1)[0, :most].tolist() for of in counts), strict=True)
    percent = PERCENT * outcome.attention.pruned_mass[0]
    rows = tuple((query, *cells, percent[query]) for query, cells in enumerate(each))
    return Section(title="Queries", tables=(Table(title="Of the first head", columns=columns, rows=rows),))


def time_section(outcome: Outcome, *, published_size: str) -> Section:
    """Cycles per query and gains. published_size: S, M or L, whose speed-up document 4 prints; else anything."""
    from host.claims.registry import load_registry
    from host.sprint.accelerator import gain

    columns = (
        Column(name="cycles of a query"),
        *(Column(name=name, origin="modelled") for name in ("thresholds", "loads", "arithmetic", "all", "balance")),
        Column(name="us/head", origin="modelled"),
        *(Column(name=f"gain of {what}", unit="times", origin="modelled") for what in ("arithmetic", "time")),
    )
    baseline, rows = outcome.runs["baseline"], []
    for mode, title in MODES.items():
        run = outcome.runs[mode]
        cycles, found = run.cycles, gain(run, baseline)
        parts = (cycles.thresholds, float(cycles.load.mean()), float(cycles.compute.mean()))
        whole = cycles.total / cycles.load.size
        us = UJ * run.cost.seconds / run.heads
        rows.append((title, *parts, whole, run.balance, us, found.compute, found.time))
    printed = load_registry().published["sprint_headline"]["speedup"].get(published_size)
    source = "document 4, average of its models (E4-4)"
    values = (Value(name="speed-up, document 4", value=printed, unit="times", origin="published", source=source),)
    over_ideal = gain(outcome.runs["sprint"], baseline).over_ideal
    notes = (
        "balance: mean over largest number of tokens of a corelet. gain: over the baseline.",
        "gain of arithmetic: cycles of the corelets alone, which document 4 gives as the reason for its speed-ups.",
        f"Over a baseline that never waits for memory the gain of time is {over_ideal:.3g} (S4-9).",
        *error_notes(("E4-4",)),
    )
    return Section(
        title="Time",
        values=values if printed is not None else (),
        tables=(Table(title="Means of all queries", columns=columns, rows=tuple(rows)),),
        notes=notes,
    )


def energy_section(outcome: Outcome) -> Section:
    """Energy of a head by document 4's four groups."""
    from host.sprint.accelerator import gain
    from host.sprint.energy import GROUPS

    columns = (
        Column(name="energy of a head"),
        *(Column(name=group, unit="uJ", origin="modelled") for group in GROUPS),
        Column(name="all", unit="uJ", origin="modelled"),
        Column(name="gain", unit="times", origin="modelled"),
    )
    rows: list[tuple[Cell, ...]] = []
    for mode, title in MODES.items():
        run = outcome.runs[mode]
        split = head_energy(run)
        energy_gain = gain(run, outcome.runs["baseline"]).energy
        rows.append((title, *(UJ * split[group] for group in GROUPS), UJ * sum(split.values()), energy_gain))
    note = (
        "Writing Q, K and V once is in the first group. Energies of the arithmetic and of the buffer are assumed; "
        "those of ReRAM are published."
    )
    return Section(title="Energy", tables=(Table(title="", columns=columns, rows=tuple(rows)),), notes=(note,))


def head_energy(run: AttentionRun) -> dict[str, float]:
    """Joules of one head by group, the mean of all."""
    from host.sprint.energy import energy_split

    return {group: joules / run.heads for group, joules in energy_split(run.cost).items()}


def shown_heads(heads: int) -> str:
    """1 head, 2 heads."""
    return f"{heads} head{'s' * (heads > 1)}"


def _means(run: AttentionRun) -> tuple[Cell, ...]:
    moved = run.moved
    counts = (moved.load, moved.reuse, moved.evict, moved.refetch, moved.opened_rows, moved.row_hits)
    return tuple(float(of.mean()) for of in counts)


def _origin(chip: SprintChip, key: str) -> Origin:
    """An assumed value is part of the model."""
    return "published" if chip.quantities[key].provenance == "published" else "modelled"
