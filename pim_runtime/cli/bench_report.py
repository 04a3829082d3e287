"""The report of `pim bench`: modelled rates beside published ones, their errors, and where throughput saturates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..hardware import Hardware
from .output import Cell, Check, Column, Section, Table

if TYPE_CHECKING:
    from dpu_kernels.micro import Direction, Operation, StreamOperation

__all__ = ["arithmetic_section", "mram_section", "operands_note", "stream_section"]

PERCENT = 100
DECIMALS = 2  # of an error in percent
SATURATION_TASKLETS = 11  # the re-issue distance of the pipeline
LARGEST_LOSS = 0.01  # against the most tasklets: their slowest has more work than the mean, as the operands have it


def arithmetic_section(mops: Mapping[tuple[str, Operation, int], float], tasklet_counts: Sequence[int]) -> Section:
    """Rates by type, operation and tasklets; published ones hold from 11 tasklets on."""
    from host.calibration.published_micro import ARITHMETIC_MOPS

    most = tasklet_counts[-1]
    rows, checks = [], []
    for (kind, operation), published in ARITHMETIC_MOPS.items():
        rates = {nr_tasklets: mops[kind, operation, nr_tasklets] for nr_tasklets in tasklet_counts}
        saturated = min(n for n, rate in rates.items() if rate >= (1 - LARGEST_LOSS) * rates[most])
        rows.append((kind, operation, published, rates[most], _error(rates[most], published), saturated))
        checks.append(
            Check(
                name=f"{kind} {operation} saturates at {SATURATION_TASKLETS} tasklets",
                passed=saturated == SATURATION_TASKLETS,
                detail=f"{rates[saturated]:.3f} MOPS at {saturated}, {rates[most]:.3f} at {most}",
            )
        )
    columns = (
        Column(name="type"),
        Column(name="operation"),
        Column(name="PrIM", unit="MOPS", origin="published"),
        Column(name=f"{most} tasklets", unit="MOPS", origin="modelled"),
        Column(name="error", unit="%", origin="modelled"),
        Column(name="saturates at", unit="tasklets", origin="modelled"),
    )
    by_tasklets = Table(
        title="By tasklets",
        columns=(
            Column(name="tasklets"),
            *(Column(name=f"{kind} {name}", unit="MOPS", origin="modelled") for kind, name in ARITHMETIC_MOPS),
        ),
        rows=tuple((n, *(mops[kind, name, n] for kind, name in ARITHMETIC_MOPS)) for n in tasklet_counts),
    )
    saturated_rates = Table(title="Saturated", columns=columns, rows=tuple(rows))
    return Section(title="Arithmetic throughput", tables=(saturated_rates, by_tasklets), checks=tuple(checks))


def mram_section(
    cycles: Mapping[tuple[Direction, int, int], float], tasklet_counts: Sequence[int], hardware: Hardware
) -> Section:
    """DMAs back to back: cycles of each, and bandwidth by size and tasklets."""
    from host.calibration.published_micro import DMA_LATENCY_CYCLES

    tables = []
    for direction in DMA_LATENCY_CYCLES:
        of_direction = {(size, n): value for (towards, size, n), value in cycles.items() if towards == direction}
        tables.append(_cycle_table(direction, of_direction, tasklet_counts[-1]))
        tables.append(_bandwidth_table(direction, of_direction, tasklet_counts, float(hardware.pipeline.clock_mhz)))
    notes = (
        "isolated: PrIM's formula for a DMA by itself, read 77 + 0.5 B, write 61 + 0.5 B cycles; not what is modelled.",
        "The clock prices running code, where one DMA starts before all of the last one is over.",
        "back to back, saturated: measured by cnm with 1 and with many tasklets; no constant was fitted to them.",
    )
    return Section(title="MRAM bandwidth", tables=tuple(tables), notes=notes)


def _cycle_table(direction: Direction, cycles: Mapping[tuple[int, int], float], most: int) -> Table:
    """Cycles of a DMA by its size, with one tasklet and with many, beside three published kinds of cycles."""
    from host.calibration import published_micro as published

    error = Column(name="error", unit="%", origin="modelled")
    columns = (
        Column(name="size", unit="B"),
        Column(name="1 tasklet", unit="cycles", origin="modelled"),
        Column(name="isolated", unit="cycles", origin="published"),
        error,
        Column(name="back to back", unit="cycles", origin="published"),
        error,
        Column(name=f"{most} tasklets", unit="cycles", origin="modelled"),
        Column(name="saturated", unit="cycles", origin="published"),
        error,
    )
    rows: list[tuple[Cell, ...]] = []
    for size, isolated, back_to_back, saturated in zip(
        published.DMA_SIZES_BYTES,
        published.DMA_LATENCY_CYCLES[direction],
        published.DMA_BACK_TO_BACK_CYCLES[direction],
        published.DMA_SATURATED_CYCLES[direction],
        strict=True,
    ):
        one, many = cycles[size, 1], cycles[size, most]
        alone = (one, isolated, _error(one, isolated), back_to_back, _error(one, back_to_back))
        rows.append((size, *alone, many, saturated, None if saturated is None else _error(many, saturated)))
    return Table(title=f"Cycles per {direction}", columns=columns, rows=tuple(rows))


def _bandwidth_table(
    direction: Direction, cycles: Mapping[tuple[int, int], float], tasklet_counts: Sequence[int], clock_mhz: float
) -> Table:
    """1e6 bytes per second by size and tasklets."""
    from host.calibration.published_micro import DMA_SIZES_BYTES

    return Table(
        title=f"Bandwidth of {direction}s by tasklets",
        columns=(
            Column(name="size", unit="B"),
            *(Column(name=str(n), unit="MB/s", origin="modelled") for n in tasklet_counts),
        ),
        rows=tuple((size, *(size * clock_mhz / cycles[size, n] for n in tasklet_counts)) for size in DMA_SIZES_BYTES),
    )


def stream_section(mb_per_s: Mapping[tuple[StreamOperation, int], float], tasklet_counts: Sequence[int]) -> Section:
    """Bytes read and written in WRAM, by operation and tasklets."""
    from host.calibration.published_micro import STREAM_MB_PER_S

    columns = (
        Column(name="operation"),
        Column(name="PrIM", unit="MB/s", origin="published"),
        *(Column(name=f"{n} tasklets", unit="MB/s", origin="modelled") for n in tasklet_counts),
        Column(name="error", unit="%", origin="modelled"),
    )
    rows = []
    for operation, published in STREAM_MB_PER_S.items():
        rates = [mb_per_s[operation, n] for n in tasklet_counts]
        rows.append((operation, published, *rates, _error(rates[-1], published)))
    notes = ("The loops are unrolled, as in PrIM: their slots are stated, 64-bit multiplies are counted.",)
    return Section(title="WRAM STREAM", tables=(Table(title="", columns=columns, rows=tuple(rows)),), notes=notes)


def operands_note() -> str:
    """What the kernels compute with: multiplies and divisions cost what their operands ask for."""
    from host.calibration.micro import LARGEST_RANDOM, NR_ELEMENTS, SCALAR

    return (
        f"Operands, as PrIM's: {NR_ELEMENTS:,} random integers from 0 to {LARGEST_RANDOM:,} (C's rand()), the scalar "
        f"{SCALAR:,}. So a 32-bit multiply takes 21 steps, and a quotient has up to 11 bits."
    )


def _error(modelled: float, published: float) -> float:
    return round(PERCENT * (modelled / published - 1), DECIMALS)
