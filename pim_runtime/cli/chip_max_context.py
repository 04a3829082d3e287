"""`pim chip max-context`: how long a context fits, and which bank holds what of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from .chip_options import (
    add_chip_option,
    add_model_options,
    chosen_bank_chip,
)
from .document_notes import document_says, error_notes
from .model_options import chosen_model, chosen_quant, count, training_notes
from .output import Cell, Column, Report, Section, Table, Value

if TYPE_CHECKING:
    from host.llm.model import ModelConfig
    from host.llm.parameters import Counted
    from host.llm.quantisation import QuantConfig
    from host.machines.chip_memory import ChipMemory
    from host.machines.kv_placement import KvPlacement
    from host.machines.placement import CountKv, Spread

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "max-context"
HELP = "the longest context that fits, by what is counted and where it is, and the placement of one"

MIB = 1 << 20
WIDE_KV_BITS = 16
CONTEXT_ERRORS = ("E2-1", "E2-9", "E2-11")
COUNTED_NAMES = {
    "gemv": "one V x H matrix, no norms",
    "matrices": "both V x H matrices, no norms",
    "all": "all, with norms",
}


class Reading(NamedTuple):
    """One way to count and to place, and the errors of the document that concern it."""

    banks: int
    spread: Spread
    counted: Counted
    count_kv: CountKv
    kv_bits: int
    errors: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, chip, and the context that is placed."""
    add_model_options(parser)
    parser.add_argument("--len", type=count, default=4096, help="tokens to place (default: %(default)s)")
    parser.add_argument(
        "--banks-per-head", type=int, default=4, metavar="N", help="that share a head (default: %(default)s)"
    )
    add_chip_option(parser)


def run(arguments: argparse.Namespace) -> Report:
    """Capacity and placement. Raises PimError, ValueError or OSError for what cannot be asked."""
    from host.chip.document import setup_differences
    from host.machines.chip_memory import ChipMemory

    chip, model, quant = chosen_bank_chip(arguments), chosen_model(arguments).model, chosen_quant(arguments)
    memory, published = ChipMemory(chip), not setup_differences(chip, model, quant)
    return Report(
        title=f"Contexts of {model.name} on the chip {chip.name}",
        sections=(
            _model_section(memory, model, quant, published),
            Section(
                title="Longest context",
                tables=(_context_table(memory, model, quant, arguments.banks_per_head, published),),
                notes=error_notes(CONTEXT_ERRORS) if published else (),
            ),
            _placement_section(memory, model, quant, arguments.len, sorted({1, arguments.banks_per_head})),
        ),
    )


def _readings(banks: int, quant: QuantConfig) -> Iterator[Reading]:
    """The document's own first; then what is right, and further bits, parameters and places."""
    yield Reading(banks, "skewed", "gemv", "seed", quant.kv_bits, "E2-1 E2-9")
    yield Reading(banks, "skewed", "gemv", "both", quant.kv_bits)
    if quant.kv_bits != WIDE_KV_BITS:
        yield Reading(banks, "skewed", "gemv", "both", WIDE_KV_BITS)
    yield Reading(banks, "skewed", "matrices", "both", quant.kv_bits)
    yield Reading(banks, "skewed", "all", "both", quant.kv_bits)
    yield Reading(1, "even", "gemv", "both", quant.kv_bits, "E2-11")
    yield Reading(1, "skewed", "gemv", "both", quant.kv_bits)


def _model_section(memory: ChipMemory, model: ModelConfig, quant: QuantConfig, published: bool) -> Section:
    from host.llm.parameters import kv_bytes_per_token, parameters, weight_bytes

    size = weight_bytes(model, quant, "gemv")
    printed = {claim: document_says(claim) for claim in ("C2-01", "C2-02")} if published else {}
    return Section(
        title="Model and chip",
        values=(
            Value(
                name="parameters of a decode step",
                value=parameters(model, "gemv"),
                origin="exact",
                source=f"document 2 prints {printed['C2-01']['']:,} (E2-9)" if published else "",
            ),
            Value(name="all parameters", value=parameters(model, "all"), origin="exact"),
            Value(
                name="weights of a decode step",
                value=size,
                unit="B",
                origin="exact",
                source=f"{size / 1e9:.4f} GB = {size / 2**30:.4f} GiB at {quant.weight_bits} bits"
                + (f"; document 2 prints {printed['C2-02']['size']} (E2-8)" if published else ""),
            ),
            Value(name="K and V of a token", value=kv_bytes_per_token(model, quant), unit="B", origin="exact"),
            Value(
                name="memory",
                value=memory.units * memory.unit_bytes,
                unit="B",
                origin="exact",
                source=f"{memory.units} banks of {memory.unit_bytes / MIB:g} MiB",
            ),
        ),
        notes=error_notes(("E2-8",)) if published else (),
    )


def _context_table(memory: ChipMemory, model: ModelConfig, quant: QuantConfig, banks: int, published: bool) -> Table:
    columns = [
        Column(name="K and V"),
        Column(name="bits of K and V"),
        Column(name="banks per head"),
        Column(name="weights"),
        Column(name="counted"),
        Column(name="longest context", unit="tokens", origin="exact"),
    ]
    rows = [_context_row(memory, model, quant, reading) for reading in _readings(banks, quant)]
    if published:
        columns += [Column(name="document 2", unit="tokens", origin="published"), Column(name="errors")]
        printed = document_says("C2-03")[""]
        rows = [
            (*row, printed if reading.count_kv == "seed" else None, reading.errors)
            for row, reading in zip(rows, _readings(banks, quant), strict=True)
        ]
    return Table(title="", columns=tuple(columns), rows=tuple(rows))


def _context_row(memory: ChipMemory, model: ModelConfig, quant: QuantConfig, reading: Reading) -> tuple[Cell, ...]:
    from host.machines.capacity import MachineCapacityError
    from host.machines.placement import max_context

    try:
        longest: Cell = max_context(
            memory,
            model,
            replace(quant, kv_bits=reading.kv_bits),
            _placement(reading.banks),
            spread=reading.spread,
            counted=reading.counted,
            count_kv=reading.count_kv,
        )
    except MachineCapacityError:
        longest = "weights do not fit"
    return (
        "both" if reading.count_kv == "both" else "one of them, as document 2",
        reading.kv_bits,
        reading.banks,
        reading.spread,
        COUNTED_NAMES[reading.counted],
        longest,
    )


def _placement_section(
    memory: ChipMemory, model: ModelConfig, quant: QuantConfig, context: int, banks: Sequence[int]
) -> Section:
    from host.machines.capacity import MachineCapacityError
    from host.machines.placement import place

    rows: list[tuple[Cell, ...]] = []
    notes = []
    for shared in banks:
        try:
            placed = place(memory, model, quant, _placement(shared), context=context, spread="skewed")
        except MachineCapacityError as error:
            notes.append(f"With {shared} {'bank' if shared == 1 else 'banks'} per head: {error}")
            continue
        rows += [
            (
                shared,
                group.units,
                float(group.kv_bytes) / MIB,
                float(group.weight_bytes) / MIB,
                float(placed.slowdown),
            )
            for group in placed.groups
        ]
    columns = (
        Column(name="banks per head"),
        Column(name="banks", origin="exact"),
        Column(name="K and V in each", unit="MiB", origin="exact"),
        Column(name="weights in each", unit="MiB", origin="exact"),
        Column(name="product with weights, times as long", origin="exact"),
    )
    notes.append("The busiest bank has as few weights as the room beside K and V allows; products end when it ends.")
    return Section(
        title=f"Placement of {context:,} tokens",
        tables=(Table(title="", columns=columns, rows=tuple(rows)),) if rows else (),
        notes=(*notes, *training_notes(model, context)),
    )


def _placement(banks: int) -> KvPlacement:
    from host.machines.kv_placement import KvPlacement

    return KvPlacement(banks, "unit" if banks == 1 else "scores")
