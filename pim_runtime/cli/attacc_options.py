"""What the commands of `pim attacc` ask for: a model, requests and their tokens, a system and how it overlaps."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from .durations import duration_s
from .model_options import add_bits_options, add_model_option, chosen_model, chosen_quant, count

if TYPE_CHECKING:
    from host.attacc.schedules import FfnPlace, Schedule
    from host.attacc.slo_grid import Point
    from host.attacc.systems import HeteroSystem, SystemName
    from host.llm.catalogue import PublishedModel

__all__ = [
    "PLACEMENTS",
    "SYSTEMS",
    "add_fidelity_options",
    "add_pim_options",
    "add_schedule_options",
    "add_slo_option",
    "add_workload_options",
    "chosen_pim_profile",
    "chosen_point",
    "chosen_shape",
    "chosen_system",
    "counts",
    "slo",
]

Options: TypeAlias = argparse._ActionsContainer  # a parser, or a group of one

DEFAULT = "(default: %(default)s)"
SYSTEMS: tuple[SystemName, ...] = ("dgx", "dgx_large", "dgx+attacc", "dgx-cpu", "2xdgx")
PLACEMENTS = ("bank", "bank-group", "buffer")
SCHEDULES = ("sequential", "attention_level", "head_level", "batch_level")
BEST_SCHEDULE: Schedule = "head_level"
BEST_FFN = "on"
NO_SLO = "none"
MOST_VALUES = 64  # of a list


def add_workload_options(options: Options, *, batch: int | None) -> None:
    """Declare model, bits and tokens, and the batch where there is a default for it."""
    add_model_option(options, default="gpt3-175b")
    options.add_argument(
        "--ffn-round",
        choices=("published", "attacc"),
        default="published",
        help=f"attacc: feed-forward networks of three matrices have 8/3 of the hidden size {DEFAULT}",
    )
    add_bits_options(options)
    options.add_argument("--lin", type=count, default=2048, help=f"tokens of a prompt {DEFAULT}")
    options.add_argument(
        "--lout", type=count, default=2048, help=f"new tokens; the first comes with the prompt {DEFAULT}"
    )
    if batch is not None:
        options.add_argument("--batch", type=count, default=batch, help=f"requests that decode together {DEFAULT}")


def add_pim_options(options: Options) -> None:
    """Declare where the GEMV units are, and what they may draw. Left out, they are at banks, limited."""
    options.add_argument("--pim", choices=PLACEMENTS, help="where the GEMV units are (default: bank)")
    options.add_argument("--powerlimit", choices=("on", "off"), help="limit of the power of a stack (default: on)")


def add_schedule_options(options: Options) -> None:
    """Declare what overlaps. Left out, all that document 1 finds useful, where there is PIM."""
    options.add_argument(
        "--schedule", choices=SCHEDULES, help=f"what overlaps (default: {BEST_SCHEDULE} where there is PIM)"
    )
    options.add_argument(
        "--ffn",
        choices=("on", "off"),
        help=f"feed-forward networks shared with PIM (default: {BEST_FFN} where the schedule allows)",
    )


def add_fidelity_options(options: Options) -> None:
    """Declare how GPUs are modelled, and how energy is counted."""
    options.add_argument(
        "--fidelity", choices=("tile", "simple"), default="tile", help=f"of products on GPUs {DEFAULT}"
    )
    options.add_argument(
        "--energy-mode",
        choices=("fixed", "public"),
        default="fixed",
        help=f"public: with the errors of the released simulator, E1-7 {DEFAULT}",
    )


def add_slo_option(options: Options, *, default: Sequence[str]) -> None:
    """Declare limits on the time of a step."""
    options.add_argument(
        "--slo",
        type=slo,
        nargs="+",
        default=[slo(text) for text in default],
        metavar="TIME",
        help=f"limits on the time of a step, such as 30ms, or {NO_SLO} (default: {' '.join(default)})",
    )


def slo(text: str) -> float | None:
    """Seconds of a limit, None for none, as the type of an argument."""
    return None if text == NO_SLO else duration_s(text)


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers from 1, such as 1,2,4, each once, as the type of an argument."""
    numbers = tuple(dict.fromkeys(count(part) for part in text.split(",")))
    if len(numbers) > MOST_VALUES:
        raise argparse.ArgumentTypeError(f"{len(numbers)} numbers: at most {MOST_VALUES}")
    return numbers


def chosen_shape(arguments: argparse.Namespace) -> PublishedModel:
    """The model with the size of its feed-forward network as asked. Raises ModelFileError or ValueError."""
    from host.llm.model import with_exact_ffn

    described = chosen_model(arguments)
    if arguments.ffn_round == "published":
        return described
    if described.model.ffn_matrices != 3:
        raise ValueError(f"--ffn-round attacc: {described.model.name} has two feed-forward matrices, not three")
    return described._replace(model=with_exact_ffn(described.model))


def chosen_point(arguments: argparse.Namespace) -> Point:
    """Tokens of the prompt, and new ones."""
    from host.attacc.slo_grid import Point

    return Point(arguments.lin, arguments.lout)


def chosen_system(arguments: argparse.Namespace, name: SystemName, *, reuse_rows: int = 1) -> HeteroSystem:
    """A system with the model, and with what overlaps. Raises ValueError for choices that it does not have."""
    from host.attacc.systems import attacc_system

    with_pim = name == "dgx+attacc"
    for option in ("pim", "powerlimit"):
        if not with_pim and getattr(arguments, option, None) is not None:
            raise ValueError(f"--{option}: {name} has no PIM; take --system dgx+attacc, or leave it out")
    schedule: Schedule = getattr(arguments, "schedule", None) or (BEST_SCHEDULE if with_pim else "sequential")
    shared = getattr(arguments, "ffn", None)
    if shared is None:
        shared = BEST_FFN if with_pim and schedule != "batch_level" else "off"
    ffn: FfnPlace = "coprocessed" if shared == "on" else "gpu"
    return attacc_system(
        name,
        chosen_shape(arguments).model,
        chosen_quant(arguments),
        pim=chosen_pim_profile(arguments),
        schedule=schedule,
        ffn=ffn,
        reuse_rows=reuse_rows,
        fidelity=arguments.fidelity,
        energy_mode=arguments.energy_mode,
    )


def chosen_pim_profile(arguments: argparse.Namespace) -> str:
    """The name of the profile of `add_pim_options`."""
    return _profile(getattr(arguments, "pim", None) or "bank", getattr(arguments, "powerlimit", None) or "on")


def _profile(placement: str, power_limit: str) -> str:
    """The buffer die needs less than the limit, whichever it is."""
    return f"attacc-{placement}" + ("-unlimited" if power_limit == "off" and placement != "buffer" else "")
