"""`pim sprint chips`: the same queries on S-, M- and L-SPRINT, or any other chips, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .document_notes import error_notes
from .output import Cell, Column, Report, Section, Table
from .pictures import add_picture_option, picture_section
from .sprint_options import (
    CHIPS,
    add_pruning_options,
    add_stream_options,
    add_use_options,
    chosen_accelerator,
    chosen_chip,
    chosen_pruning,
    chosen_stream,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from host.sprint.accelerator import Accelerator, AttentionRun, Gain

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "chips"
HELP = "the same queries on chips of several sizes: balance of corelets, cycles, speed-up, energy"

PUBLISHED = "document 4"
NOTES = (
    "Each gain is over the same chip that takes all tokens, padding too, without thresholds.",
    "gain of arithmetic: cycles of the corelets alone; more of them are less evenly loaded.",
    "gain of time: with thresholds and loads, which more corelets do not make shorter.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The chips, the queries, the thresholds."""
    parser.add_argument(
        "--configs",
        nargs="+",
        default=list(CHIPS),
        metavar="CHIP",
        help="of S, M, L, and .toml files of chips (default: S M L)",
    )
    add_stream_options(parser.add_argument_group("queries and keys"))
    add_pruning_options(parser.add_argument_group("pruning"))
    add_use_options(parser.add_argument_group("the chips"))
    add_picture_option(parser, "the speed-up of each chip, in our model and as document 4 prints it")


def run(arguments: argparse.Namespace) -> Report:
    """Run all. Raises PimError, ValueError or OSError for what cannot be asked."""
    from host.sprint.accelerator import gain

    stream = chosen_stream(arguments)
    valid = stream.unpadded
    chips = {config: chosen_chip(config) for config in dict.fromkeys(arguments.configs)}
    used, runs, gains = {}, {}, {}
    for config, chip in chips.items():
        used[config] = chosen_accelerator(arguments, chip, stream.dim)
        keep = chosen_pruning(arguments, valid, chip).select(valid.queries, valid.keys).keep
        runs[config] = used[config].run(keep)
        gains[config] = gain(runs[config], used[config].dense(stream.queries.shape[1], stream.tokens))
    table = _table(used, runs, gains)
    kept = sum(int(run.tokens.sum()) for run in runs.values()) / (len(runs) * stream.heads * stream.valid**2)
    about = f"{kept:.1%} of {stream.valid:,} valid tokens of {stream.tokens:,}, {arguments.queries}"
    return Report(
        title=f"SPRINT chips: {about}",
        sections=(
            Section(title="Chips", tables=(table,), notes=(*NOTES, *error_notes(("E4-4",)))),
            *picture_section(arguments.plot, lambda: _picture(gains, about), table),
        ),
    )


def _table(used: Mapping[str, Accelerator], runs: Mapping[str, AttentionRun], gains: Mapping[str, Gain]) -> Table:
    printed = _printed()
    rows: list[tuple[Cell, ...]] = []
    for config, run in runs.items():
        corelets, found = used[config].chip.corelets, gains[config]
        rows.append(
            (
                config,
                corelets.count,
                corelets.kv_buffer_bytes,
                run.balance,
                float(run.moved.load.mean()),
                run.cycles.total / run.cycles.load.size,
                found.compute,
                found.time,
                printed.get(config.upper()),
                found.energy,
            )
        )
    columns = (
        Column(name="chip"),
        Column(name="corelets"),
        Column(name="buffer", unit="bytes"),
        Column(name="balance", origin="exact"),
        Column(name="loads", unit="tokens/query", origin="exact"),
        Column(name="cycles of a query", origin="modelled"),
        Column(name="gain of arithmetic", unit="times", origin="modelled"),
        Column(name="gain of time", unit="times", origin="modelled"),
        Column(name=f"speed-up, {PUBLISHED} (E4-4)", unit="times", origin="published"),
        Column(name="gain of energy", unit="times", origin="modelled"),
    )
    return Table(title="", columns=columns, rows=tuple(rows))


def _printed() -> Mapping[str, float]:
    """Document 4's speed-ups, by size."""
    from host.claims.registry import load_registry

    speedups: Mapping[str, float] = load_registry().published["sprint_headline"]["speedup"]
    return speedups


def _picture(gains: Mapping[str, Gain], about: str) -> Figure:
    from ..report.bars import grouped_bars_plot

    printed = _printed()
    groups = {}
    for config, found in gains.items():
        groups[config] = {"arithmetic": found.compute, "arithmetic, thresholds and loads": found.time}
        if config.upper() in printed:
            groups[config][f"{PUBLISHED}, its own workloads (E4-4)"] = printed[config.upper()]
    return grouped_bars_plot(
        groups,
        title="Speed-up of SPRINT over the same chip without pruning",
        axis="times",
        caption=f"Modelled: kept {about}. Published: averages over workloads whose pruning rates are not printed.",
    )
