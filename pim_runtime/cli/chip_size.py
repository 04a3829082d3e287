"""`pim chip size`: how large the memories of a chip have to be, and how fast its banks, link and controller."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from .chip_options import (
    add_chip_option,
    add_lambda_option,
    add_model_options,
    add_work_options,
    chosen_chip,
    chosen_places,
    decimals,
)
from .chip_partitions import partition_section
from .document_notes import document_says, error_notes
from .model_options import count
from .output import Cell, Column, Report, Section, Table

if TYPE_CHECKING:
    from host.chip.document import PimChip

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "size"
HELP = "sizes of memories, and bandwidths and operations for a rate of tokens"

KIB = 1024
PERCENT = 100
PUBLISHED_TOPS = decimals("1.024,16.384")  # 512 GB/s at 2 operations per byte, for one token and for a tile of 16
PUBLISHED_LONGEST = 16 * 1024  # tokens that document 2 sizes its memories for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Model, chip, the longest context, and what is to be reached."""
    add_model_options(parser)
    default = "(default: %(default)s)"
    parser.add_argument("--len", type=count, default=16384, help=f"longest context {default}")
    parser.add_argument("--tile", type=count, default=16, help=f"tokens of a prompt that pass together {default}")
    parser.add_argument(
        "--tops",
        type=decimals,
        default=PUBLISHED_TOPS,
        metavar="N,...",
        help="operations of all banks, in 10^12 per second, beside those of the chip (default: 1.024,16.384)",
    )
    parser.add_argument(
        "--tokens-per-s", type=decimals, default=decimals("50"), metavar="N,...", help="rates to reach (default: 50)"
    )
    parser.add_argument(
        "--rate-len", type=count, default=4096, metavar="LEN", help=f"tokens of the context for these rates {default}"
    )
    add_chip_option(parser)
    add_lambda_option(parser)
    add_work_options(parser)
    parser.set_defaults(units="si", compat="none")


def run(arguments: argparse.Namespace) -> Report:
    """The sizes. Raises PimError, ValueError or OSError for what cannot be asked."""
    from host.chip.document import setup_differences

    for name in ("tops", "tokens_per_s"):
        if any(value <= 0 for value in getattr(arguments, name)):
            raise ValueError(f"--{name.replace('_', '-')}: must be positive")
    chips = {place.name: chosen_chip(arguments, place) for place in chosen_places(arguments)}
    chip = next(iter(chips.values()))
    published = not setup_differences(chip.chip, chip.model, chip.quant)
    return Report(
        title=f"What a chip like {chip.chip.name} needs for {chip.model.name}",
        sections=(
            _memory_section(chip, arguments, published),
            partition_section(chip, published=published),
            _prefill_section(chip, arguments, published),
            *(_rate_section(name, one, arguments) for name, one in chips.items()),
        ),
    )


def _memory_section(chip: PimChip, arguments: argparse.Namespace, published: bool) -> Section:
    columns = [
        Column(name="what"),
        Column(name="needed", origin="exact"),
        Column(name="on the chip", origin="exact"),
        Column(name="unit"),
    ]
    rows = [*_die_rows(chip), *_memory_rows(chip, arguments.len), *_bank_rows(chip, arguments.tile)]
    if published:
        columns += [Column(name="document 2", origin="published"), Column(name="errors")]
    title = f"Memories for {arguments.len:,} tokens, activations and scores of {chip.quant.activation_bits} bits"
    return Section(
        title="Sizes",
        tables=(Table(title=title, columns=tuple(columns), rows=tuple(row[: len(columns)] for row in rows)),),
        notes=error_notes(("E2-5", "E2-10", "E2-13")) if published else (),
    )


def _die_rows(chip: PimChip) -> Iterator[tuple[Cell, ...]]:
    from host.chip.sizing import dies_for

    dies, there = dies_for(chip.model, chip.quant, chip.chip), chip.chip.banks.dies
    yield "dies that hold the weights", dies.weights_only, there, "dies", None, ""
    yield "the next power of two", dies.power_of_two, there, "dies", document_says("C2-02")["dies"], "E2-10"


def _memory_rows(chip: PimChip, context: int) -> Iterator[tuple[Cell, ...]]:
    """Memories of the controller; the document's are for 16 K tokens."""
    from host.chip.sizing import cmem_bytes, cram_bytes

    controller, heads, quant = chip.chip.controller, chip.model.heads, chip.quant
    printed = list(document_says("C2-18").values()) if context == PUBLISHED_LONGEST else [None, None, None]
    cram, cmem = controller.cram_bytes / KIB, controller.cmem_bytes / KIB
    yield "CRAM, softmax of one row", cram_bytes(context, quant) / KIB, cram, "KiB", printed[0], ""
    yield f"CRAM, of {heads} heads", cram_bytes(context, quant, heads=heads) / KIB, cram, "KiB", printed[1], ""
    yield "CMEM, scores of a prompt, one head", cmem_bytes(context, quant) / KIB, cmem, "KiB", printed[2], "E2-13"
    yield f"CMEM, of {heads} heads", cmem_bytes(context, quant, heads=heads) / KIB, cmem, "KiB", None, "E2-13"


def _bank_rows(chip: PimChip, tile: int) -> Iterator[tuple[Cell, ...]]:
    from host.chip.sizing import bank_buffers, operations_per_byte

    banks = chip.chip.banks
    for buffer in bank_buffers(chip.model, chip.quant, chip.chip, tile=tile):
        name = f"BRAM, tile of {tile} x {buffer.inputs:,} inputs"
        name += f", or {buffer.passes} passes" if buffer.passes > 1 else ""
        yield name, buffer.tile_bytes / KIB, banks.buffer_bytes / KIB, "KiB", None, ""
    there = float(banks.gops / (banks.die_gb_per_s * banks.dies))
    yield "operations per byte", float(operations_per_byte(chip.quant.weight_bits)), there, "1/B", 2, "E2-5"


def _prefill_section(chip: PimChip, arguments: argparse.Namespace, published: bool) -> Section:
    from host.chip.sizing import prefill_tokens_per_s

    own = chip.chip.banks.gops / 1000
    bytes_per_s = float(chip.chip.banks.die_gb_per_s * chip.chip.banks.dies) * 1e9
    printed = dict(zip(PUBLISHED_TOPS, document_says("C2-15").values(), strict=True)) if published else {}
    rows: list[tuple[Cell, ...]] = []
    for tops in sorted({*arguments.tops, own}):
        rate = prefill_tokens_per_s(
            chip.model, chip.quant, ops_per_s=float(tops) * 1e12, bytes_per_s=bytes_per_s, tile=arguments.tile
        )
        rows.append(("this chip" if tops == own else "", tops, rate, printed.get(tops)))
    columns = [
        Column(name=""),
        Column(name="operations", unit="10^12/s"),
        Column(name="prompt", unit="tokens/s", origin="modelled"),
        Column(name="document 2 (E2-5)", unit="tokens/s", origin="published"),
    ][: 4 if published else 3]
    title = f"Products with weights, in tiles of {arguments.tile} tokens; attention is not counted"
    shown = tuple(row[: len(columns)] for row in rows)
    return Section(title="Prefill", tables=(Table(title=title, columns=tuple(columns), rows=shown),))


def _rate_section(name: str, chip: PimChip, arguments: argparse.Namespace) -> Section:
    from host.chip.document import total

    cost = chip.token_latency(arguments.rate_len)
    beside_s, latency_s = total(cost).seconds, cost.seconds_by("link latency")
    bandwidths = {
        "banks": chip.chip.banks.die_gb_per_s * chip.chip.banks.dies,
        "link": chip.chip.link.die_gb_per_s * chip.chip.banks.dies,
        "controller": chip.chip.controller.gb_per_s,
    }
    rows: list[tuple[Cell, ...]] = []
    for rate in arguments.tokens_per_s:
        left_s = 1 / float(rate) - latency_s
        share = Decimal(beside_s / left_s) if left_s > 0 else None
        sizes = [None if share is None else float(size * share) for size in bandwidths.values()]
        rows.append((rate, "no" if share is None else "yes", share and float(PERCENT * share), *sizes))
    columns = (
        Column(name="rate", unit="tokens/s"),
        Column(name="in reach"),
        Column(name="of all three bandwidths", unit="%", origin="modelled"),
        *(Column(name=what, unit="GB/s", origin="modelled") for what in bandwidths),
    )
    title = f"Bandwidths that suffice, all three in the chip's proportion, at {arguments.rate_len:,} tokens"
    lambda_us = float(chip.chip.link.transfer_us)
    note = (
        f"{cost.transfers} transfers of lambda = {lambda_us:g} us take {latency_s * 1e3:.4g} ms of a token at any "
        "bandwidth; a rate out of reach needs a smaller lambda."
    )
    return Section(
        title=f"Decode, {name}", tables=(Table(title=title, columns=columns, rows=tuple(rows)),), notes=(note,)
    )
