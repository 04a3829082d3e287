"""What the commands of `pim chip` ask for: the model and its bits, the chip, where the KV cache and the weights are."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeAlias

from .durations import overhead_s
from .model_options import add_bits_options, add_model_option, chosen_model, chosen_quant

if TYPE_CHECKING:
    from host.chip.document import PimChip
    from host.machines.bank_chip import BankChip
    from host.machines.kv_placement import KvAppend, KvPlacement
    from host.machines.weight_partition import BankLinks, WeightPartition

__all__ = [
    "Place",
    "add_chip_option",
    "add_lambda_option",
    "add_model_options",
    "add_reading_options",
    "add_work_options",
    "chosen_bank_chip",
    "chosen_chip",
    "chosen_places",
    "decimals",
    "overheads",
    "partition_of",
]

Options: TypeAlias = argparse._ActionsContainer  # a parser, or a group of one

LARGEST_EXPONENT = 15
DEFAULT = "(default: %(default)s)"
APPENDS: dict[str, KvAppend] = {
    "not-counted": "not counted",
    "packed": "packed with q",
    "own-transfer": "own transfer",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One of the places for the KV cache, and the document's name of its row, empty where it has none."""

    name: str
    kv: KvPlacement
    published_row: str


def add_model_options(options: Options) -> None:
    """Declare the model and its bits, by default those of document 2."""
    add_model_option(options, default="llama-7b")
    add_bits_options(options, default=4)


def add_chip_option(options: Options) -> None:
    """Declare the chip."""
    options.add_argument("--chip", default="aim-8die", metavar="NAME", help=f"a shipped profile, or a .toml {DEFAULT}")


def add_lambda_option(options: Options) -> None:
    """Declare lambda."""
    options.add_argument(
        "--lambda",
        dest="lambda_s",
        type=overhead_s,
        metavar="TIME",
        help="what a transfer takes beyond its bytes, such as 100us or 1e-4, in s (default: of the profile)",
    )


def add_work_options(options: Options) -> None:
    """Declare where K and V, and the weights are."""
    options.add_argument(
        "--kv-mode",
        choices=("both", "head-per-bank", "banks-per-head"),
        default="both",
        help=f"banks that do the attention of a head {DEFAULT}",
    )
    options.add_argument("--banks-per-head", type=int, default=4, metavar="N", help=f"that share a head {DEFAULT}")
    options.add_argument(
        "--merge",
        choices=("scores", "parts"),
        default="scores",
        help=f"how shared heads are joined: scores up and probabilities down, or maxima, sums and rows up {DEFAULT}",
    )
    options.add_argument(
        "--kv-append",
        choices=tuple(APPENDS),
        default="not-counted",
        help=f"how k and v of the new token get to their bank {DEFAULT}",
    )
    options.add_argument(
        "--partition",
        default="oned_out",
        metavar="WHAT",
        help=f"of weights: oned_out, oned_in, or banks that share outputs x inputs, as 16x8 {DEFAULT}",
    )
    options.add_argument(
        "--bank-links",
        choices=("none", "mesh"),
        default="none",
        help=f"whether banks add partial sums among themselves {DEFAULT}",
    )
    options.add_argument(
        "--fusion",
        choices=("separate", "fused"),
        default="separate",
        help=f"whether q, k, v and gate, up are one product each {DEFAULT}",
    )


def add_reading_options(options: Options) -> None:
    """Declare the units, and how far to follow the document."""
    options.add_argument(
        "--units",
        choices=("si", "seed"),
        default="si",
        help=f"si: a GB is 10^9 bytes; seed: 2^30 in all rates, as in document 2 {DEFAULT}",
    )
    options.add_argument(
        "--compat",
        choices=("none", "formula", "as_printed"),
        default="none",
        help=f"none: corrected; formula: document 2's formulas; as_printed: its numbers {DEFAULT}",
    )


def chosen_bank_chip(arguments: argparse.Namespace) -> BankChip:
    """The chip. Raises ProfileError where there is none."""
    from host.machines.bank_chip import bank_chips

    return bank_chips().load(arguments.chip)


def chosen_places(arguments: argparse.Namespace) -> tuple[Place, ...]:
    """Where heads are. Raises ValueError for banks that cannot share one."""
    from host.chip.document import PUBLISHED_BANKS_PER_HEAD, head_per_bank
    from host.machines.kv_placement import KvPlacement

    append, banks = APPENDS[arguments.kv_append], arguments.banks_per_head
    row = "four_banks_per_head" if banks == PUBLISHED_BANKS_PER_HEAD and arguments.merge == "scores" else ""
    shared = f"{banks} banks per head" if banks > 1 else "1 bank per head, joined by the controller"
    places = {
        "head-per-bank": Place("1 bank per head", head_per_bank(append), "head_per_bank"),
        "banks-per-head": Place(shared, KvPlacement(banks, arguments.merge, append), row),
    }
    return tuple(place for mode, place in places.items() if arguments.kv_mode in ("both", mode))


def chosen_chip(arguments: argparse.Namespace, place: Place) -> PimChip:
    """The chip with its lambda and its model. Raises ValueError or PimError for what cannot be."""
    from host.chip.document import PimChip
    from host.chip.sweeps import with_axes

    bank_chip = chosen_bank_chip(arguments)
    chip = PimChip(
        bank_chip if arguments.lambda_s is None else with_axes(bank_chip, {"lambda_s": arguments.lambda_s}),
        chosen_model(arguments).model,
        chosen_quant(arguments),
        place.kv,
        unit_system=arguments.units,
        seed_compat=arguments.compat,
        fusion=arguments.fusion,
    )
    return replace(chip, weights=partition_of(arguments.partition, chip.memory.units, arguments.bank_links))


def overheads(text: str) -> tuple[Decimal, ...]:
    """The value of an option with several times, as in 0,100us."""
    return tuple(map(overhead_s, text.split(",")))


def decimals(text: str) -> tuple[Decimal, ...]:
    """The value of an option with several numbers, as in 0,1e-6."""
    return tuple(map(_decimal, text.split(",")))


def partition_of(text: str, units: int, bank_links: BankLinks = "none") -> WeightPartition:
    """The value of --partition. Raises ValueError for one that is unknown or does not use all banks."""
    from host.machines.weight_partition import WeightPartition

    known: Mapping[str, tuple[int, int]] = {"oned_out": (units, 1), "oned_in": (1, units)}
    outputs, separator, inputs = text.partition("x")
    if text in known:
        parts = known[text]
    elif separator and outputs.isdecimal() and inputs.isdecimal():
        parts = int(outputs), int(inputs)
    else:
        raise ValueError(f"--partition {text}: give {', '.join(known)}, or as in 16x8")
    partition = WeightPartition(*parts, bank_links)
    if partition.units != units:
        raise ValueError(f"--partition {text}: is over {partition.units} banks, and the chip has {units}")
    return partition


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number. Write 0.0001, or 1e-4.") from None
    if not value.is_finite() or value.adjusted() > LARGEST_EXPONENT:
        raise argparse.ArgumentTypeError(f"{text} is beyond all machines. Write a number below 1e{LARGEST_EXPONENT}.")
    return value
