"""`pim attention --table`: the published measurements beside what the emulator models and this computer measures.

Batches are rows and sources are columns, since a column has one origin.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import AllocationError
from .document_notes import error_notes
from .machine_options import chosen_hardware, machine_name
from .output import Check, Column, Report, Section, Table, Value
from .progress import progress
from .report_options import plot_speedups
from .timing_options import chosen_options, kernel_time_note, timed_machine

if TYPE_CHECKING:
    from host.attention.published import PublishedTable
    from host.attention.tables import ComparedCell, Execution

__all__ = ["run_table"]

SPEEDUPS = "Speed-up over the best CPU"
PUBLISHED_DPUS = 1024  # batch 32 of 32 heads, the largest published
# What the published program has no choice of. Values are those of options that are not given.
NO_CHOICE = {
    "seed": None,
    "window": None,
    "biases": "none",
    "exponential": None,
    "split": 1,
    "layout": None,
    "paging": "contiguous",
}


def run_table(arguments: argparse.Namespace) -> Report:
    """Produce every cell and compare. Raises PimError, ValueError or OSError for what cannot be run."""
    from host.attention.published import pim_attention
    from host.attention.tables import Execution, local_thread_counts

    table = pim_attention()
    _check_arguments(arguments, table)
    dtypes = (arguments.dtype,) if arguments.dtype else tuple(table.cells)
    batches = (arguments.batch,) if arguments.batch is not None else table.batches
    machine = timed_machine(arguments, chosen_hardware(arguments))
    needed = max(batches) * table.heads
    if arguments.dpus is not None and needed > arguments.dpus:
        raise AllocationError(
            f"--table needs {needed} DPUs, --dpus allows {arguments.dpus}: give --batch, or allow more"
        )
    execution = Execution(
        machine=machine,
        filled_dpus=min(PUBLISHED_DPUS, arguments.dpus or PUBLISHED_DPUS),
        options=chosen_options(arguments, engine=arguments.engine),
        nr_tasklets=arguments.tasklets,
        thread_counts=() if arguments.local_cpu == "off" else local_thread_counts(),
    )
    runs = len(dtypes) * len(batches) * (1 + len(execution.thread_counts))
    with progress("published, modelled and measured cells", total=runs) as advance:
        sections = tuple(_dtype_section(dtype, batches, execution, advance) for dtype in dtypes)
    modelled_on = f"{machine_name(machine.hardware)}, {arguments.tasklets} tasklets"
    if arguments.plot is not None:
        caption = f"Published: {table.source}. Modelled on profile {machine.hardware.name}."
        for section in sections:
            (speedups,) = (shown for shown in section.tables if shown.title == SPEEDUPS)
            plot_speedups(arguments.plot, section.title, speedups, caption)
    notes = (
        f"Published: {table.source}.",
        f"Modelled: push, run and pull, one head per DPU; {modelled_on}.",
        kernel_time_note(arguments),
        "No check compares modelled with published times here; `pim validate --group attention` does.",
        "Measured here: the same integers in compiled code, median of a few runs after one that is not timed.",
        "A ratio of a published or measured time and a modelled one is modelled.",
        "Heads split: a prediction of the model. No published measurement splits heads, so nothing confirms it.",
        "Adding up the workers' outputs takes as long for a part as for a head: 16 parts are not 16 times faster.",
        *error_notes(table.errors),
    )
    about = Section(title="About these numbers", notes=notes)
    return Report(title="Decode attention: published, modelled and measured here", sections=(*sections, about))


def _check_arguments(arguments: argparse.Namespace, table: PublishedTable) -> None:
    """Refuse what was not measured: data, shape and kernel are those of the published program."""
    if arguments.kv is not None:
        raise ValueError("--table has its own data, all ones: leave out --kv")
    for name, measured in (("dtype", tuple(table.cells)), ("batch", table.batches)):
        given = getattr(arguments, name)
        if given not in (None, *measured):
            raise ValueError(f"--{name} {given}: published are {', '.join(map(str, measured))}")
    for name, default in NO_CHOICE.items():
        given = getattr(arguments, name)
        if given != default:
            raise ValueError(f"--{name} {given}: the published program has no such choice, so --table has none either")
    shape = {"heads": table.heads, "kv_heads": table.heads, "len": table.tokens, "dim": table.dim}
    for name, value in {"norm": "div_d", "acc": "wrap", "data": "ones", **shape}.items():
        given = getattr(arguments, name)
        if given not in (None, value):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} {given}: the published program has {option} {value}, so --table has, too")


def _dtype_section(
    dtype: str, batches: tuple[int, ...], execution: Execution, advance: Callable[[int], None]
) -> Section:
    from host.attention import published, tables

    # One workload for all batches: memory that is new costs more time than reading it.
    cells = tuple(tables.compare(tables.published_workload(dtype, max(batches)), batches, execution, advance=advance))
    gains = {cell.batch: published.baseline_us(dtype, cell.batch) / cell.modelled_us for cell in cells}
    values = (
        Value(name="first batch that wins, UPMEM", value=published.crossover(dtype), origin="published"),
        Value(
            name="first batch that wins, DPUs",
            value=published.first_win(gains),
            origin="modelled",
            source="of the batches below, over the best published CPU",
        ),
    )
    different, compared = sum(cell.different for cell in cells), sum(cell.outputs for cell in cells)
    check = Check(
        name=f"{dtype}: bit-exact with the integer reference",
        passed=different == 0,
        detail=f"{compared - different:,} of {compared:,} elements",
    )
    shown = (
        _time_table(dtype, cells),
        _filling_table(cells, dtype, execution.filled_dpus),
        _speedup_table(dtype, cells),
        _rate_table(dtype, cells),
    )
    return Section(title=dtype, values=values, tables=shown, checks=(check,))


def _time_table(dtype: str, cells: tuple[ComparedCell, ...]) -> Table:
    from host.attention.published import UPMEM, cpu_threads, pim_attention

    published, threads, here = pim_attention().cells[dtype], cpu_threads(dtype), tuple(cells[0].local_us)
    columns = (
        Column(name="batch"),
        Column(name="DPUs used", origin="exact"),
        *(Column(name=f"CPU x {count}", unit="us", origin="published") for count in threads.values()),
        Column(name="UPMEM", unit="us", origin="published"),
        Column(name="DPUs", unit="us", origin="modelled"),
        Column(name="DPUs against UPMEM", unit="%", origin="modelled"),
        *(Column(name=f"CPU here x {count}", unit="us", origin="measured here") for count in here),
    )
    rows = tuple(
        (
            cell.batch,
            cell.nr_dpus,
            *(published[row][cell.batch] for row in threads),
            published[UPMEM][cell.batch],
            cell.modelled_us,
            100 * (cell.modelled_us / published[UPMEM][cell.batch] - 1),
            *(cell.local_us[count] for count in here),
        )
        for cell in cells
    )
    return Table(title="Time of a decode step; CPU x threads", columns=columns, rows=rows)


def _filling_table(cells: tuple[ComparedCell, ...], dtype: str, nr_dpus: int) -> Table:
    """What it buys to split heads over the DPUs that the published layout leaves idle."""
    from host.attention.published import baseline_us

    columns = (
        Column(name="batch"),
        Column(name="DPUs used", origin="exact"),
        Column(name="when split", origin="exact"),
        Column(name="DPUs", unit="us", origin="modelled"),
        Column(name="DPUs when split", unit="us", origin="modelled"),
        Column(name="gain", origin="modelled"),
        Column(name="published CPU / DPUs when split", origin="modelled"),
    )
    rows = tuple(
        (
            cell.batch,
            cell.nr_dpus,
            cell.filled_dpus,
            cell.modelled_us,
            cell.filled_us,
            cell.modelled_us / cell.filled_us,
            baseline_us(dtype, cell.batch) / cell.filled_us,
        )
        for cell in cells
    )
    return Table(title=f"Filling the machine: heads split by tokens over {nr_dpus:,} DPUs", columns=columns, rows=rows)


def _speedup_table(dtype: str, cells: tuple[ComparedCell, ...]) -> Table:
    from host.attention.published import baseline_us, speedup

    columns = (
        Column(name="batch"),
        Column(name="published CPU / UPMEM", origin="published"),
        Column(name="published CPU / DPUs", origin="modelled"),
        Column(name="CPU here / DPUs", origin="modelled"),
    )
    rows = tuple(
        (
            cell.batch,
            speedup(dtype, cell.batch),
            baseline_us(dtype, cell.batch) / cell.modelled_us,
            cell.best_local_us and cell.best_local_us / cell.modelled_us,
        )
        for cell in cells
    )
    return Table(title=SPEEDUPS, columns=columns, rows=rows)


def _rate_table(dtype: str, cells: tuple[ComparedCell, ...]) -> Table:
    from host.attention.published import baseline_us, gb_per_s, kv_bytes, upmem_us

    columns = (
        Column(name="batch"),
        Column(name="K and V", unit="B", origin="exact"),
        Column(name="best CPU", unit="GB/s", origin="published"),
        Column(name="UPMEM", unit="GB/s", origin="published"),
        Column(name="DPUs", unit="GB/s", origin="modelled"),
        Column(name="best CPU here", unit="GB/s", origin="measured here"),
    )
    rows = tuple(
        (
            cell.batch,
            kv_bytes(dtype, cell.batch),
            *(
                time_us and gb_per_s(kv_bytes(dtype, cell.batch), time_us)
                for time_us in (
                    baseline_us(dtype, cell.batch),
                    upmem_us(dtype, cell.batch),
                    cell.modelled_us,
                    cell.best_local_us,
                )
            ),
        )
        for cell in cells
    )
    return Table(title="K and V read", columns=columns, rows=rows)
