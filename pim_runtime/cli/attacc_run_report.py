"""The report of `pim attacc run`: what the device computed, executed, read, and how long that takes."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

import numpy as np

from .document_notes import error_notes
from .output import Check, Column, Section, Table, Value

if TYPE_CHECKING:
    from host.attacc.device.commands import MultiplyMode
    from host.attacc.device.experiment import DeviceOutcome
    from host.attention.answers import Answers
    from host.attention.workload import Workload

__all__ = ["answers_section", "commands_section", "device_section", "reading_section", "time_section"]

SAME_TIME = 1e-12  # relative; times are float64, cycles are integers
US = 1e6
MEANINGS = {
    "SETM": "sizes",
    "SETH": "head, tokens and rows",
    "WR_GB": "query to the GEMV buffers",
    "MAC_AB": "multiply with K, with V",
    "MV_SB": "scores, outputs to the buffer die",
    "SFM": "softmax on the buffer die",
    "MV_GB": "weights to the GEMV buffers",
    "RD": "results to the host",
}
MATRICES: dict[str, MultiplyMode] = {"K": "adder tree", "V": "accumulate"}


def device_section(workload: Workload, outcome: DeviceOutcome) -> Section:
    """What ran, on what."""
    spec, hardware = workload.spec, outcome.device.hardware
    stacks = hardware.stacks.devices * hardware.stacks.stacks_per_device
    units = f"{hardware.units.token_groups} token groups x {hardware.units.banks} parts of a head"
    heads = f"{workload.batch} requests x {spec.heads} heads on {spec.kv_heads} KV heads"
    values = (
        Value(name="device", value=hardware.name, origin="published", source=f"{stacks} stacks"),
        Value(name="units of a channel", value=units, origin="published"),
        Value(name="attention", value=f"{heads} x {workload.tokens} x {spec.dim}, {spec.dtype}", origin="exact"),
        Value(name="channels with heads", value=len(outcome.activities), origin="exact"),
        Value(name="K and V", value=outcome.device.kv_bytes, unit="bytes", origin="exact"),
    )
    return Section(title="Device", values=values)


def answers_section(workload: Workload, outcome: DeviceOutcome, kernel: Answers | None) -> Section:
    """Whether all integers are those of the reference, and of the DPU kernel where it ran."""
    from host.attention.answers import rearrange
    from host.attention.expected import expected_answers

    queries = workload.queries[0]
    reference = rearrange(
        [
            expected_answers(workload.spec, q[None], workload.k[request], workload.v[request])
            for request, q in enumerate(queries)
        ],
        lambda *requests: np.concatenate(requests),
    )
    checks = [_same_integers("the integer reference", outcome, reference)]
    if kernel is not None:
        checks.append(_same_integers("the kernel on emulated DPUs", outcome, kernel))
    spec = workload.spec
    score_bits = (spec.dim * spec.q_max * spec.kv_max).bit_length() + 1
    widths = f"scores of {score_bits} bits, weights of {spec.probability_bits + 1}"
    notes = (f"Exact integers are wider than AttAcc's 16-bit floats: {widths}. Commands move as many as S1-10 counts.",)
    return Section(title="Integers", notes=notes, checks=tuple(checks))


def _same_integers(name: str, outcome: DeviceOutcome, others: Answers) -> Check:
    pairs = list(zip(outcome.answers, others, strict=True))
    compared, different = sum(ours.size for ours, _ in pairs), sum(int((a != b).sum()) for a, b in pairs)
    return Check(
        name=f"bit-exact with {name}",
        passed=different == 0,
        detail=f"{compared - different:,} of {compared:,} integers: largest scores, sums of weights, outputs",
    )


def commands_section(outcome: DeviceOutcome) -> Section:
    """Commands by mnemonic beside those that S1-10 counts."""
    from host.attacc.device.commands import MNEMONICS

    executed, stated = outcome.activity.commands, outcome.stated
    rows = [(name, MEANINGS[name], executed[name], stated.get(name)) for name in MNEMONICS]
    columns = (
        Column(name="command"),
        Column(name="for"),
        Column(name="executed", origin="exact"),
        Column(name="S1-10 states", origin="exact"),
    )
    same = all(executed[name] == number for name, number in stated.items())
    return Section(
        title="Commands",
        tables=(Table(title="All channels together", columns=columns, rows=tuple(rows)),),
        notes=error_notes(("E1-7",)),
        checks=(Check(name="commands as stated", passed=same, detail=f"{executed.total():,} executed"),),
    )


def reading_section(outcome: DeviceOutcome) -> Section:
    """How often K and V are read (S1-12)."""
    activity, device = outcome.activity, outcome.device
    read_bytes = activity.columns_read * device.hardware.units.command_bytes
    rows = [(matrix, activity.multiplies[mode], activity.row_openings[mode]) for matrix, mode in MATRICES.items()]
    columns = (
        Column(name="matrix"),
        Column(name="MAC_AB", origin="exact"),
        Column(name="rows opened", origin="exact"),
    )
    values = (
        Value(name="read from banks", value=read_bytes, unit="bytes", origin="exact"),
        Value(
            name="readings of each byte",
            value=read_bytes / device.kv_bytes,
            origin="exact",
            source=f"{device.passes_per_kv_head} by queries that share K and V, the rest fills slots and columns",
        ),
    )
    return Section(
        title="Reading", values=values, tables=(Table(title="Of all channels", columns=columns, rows=tuple(rows)),)
    )


def time_section(outcome: DeviceOutcome) -> Section:
    """Executed commands and closed form, by the same prices."""
    values = (
        Value(name="longest channel", value=outcome.cycles, unit="cycles", origin="modelled"),
        Value(name="executed", value=outcome.seconds * US, unit="us", origin="modelled", source="with refreshes"),
        Value(name="closed form", value=outcome.stated_s * US, unit="us", origin="modelled", source="S1-9, S1-12"),
    )
    if not outcome.shares_as_stated:
        note = (
            "Not to be compared: the closed form shares out query heads over all channels, and here those that share K "
            "and V are computed where these are stored. With K and V for all channels both times are the same."
        )
        return Section(title="Time", values=values, notes=(note,))
    same = isclose(outcome.seconds, outcome.stated_s, rel_tol=SAME_TIME)
    detail = "cycles of the executed commands, and of the sizes"
    return Section(title="Time", values=values, checks=(Check(name="time as stated", passed=same, detail=detail),))
