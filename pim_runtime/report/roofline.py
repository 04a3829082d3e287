"""The instruction roofline of a DPU, and where the kernels of a run lie under it.

Intensity is instructions per byte that DMAs move between MRAM and WRAM. The roof is the lower of what the pipeline
issues, clock * min(1, tasklets / reissue distance), and of intensity * bandwidth of the DMA engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..counters import NR_COUNTERS, Counter, LaunchCounters
from ..hardware import TICKS_PER_CYCLE, Hardware
from ..timeline import Row
from ..timing import LaunchWork
from ..timing.kernel import kernel_ticks
from ..timing.prices import occupancy_ticks, slot_prices
from ..timing.variable import completed_patterns

__all__ = ["RooflinePoint", "dma_bytes_per_s", "roofline"]

HZ_PER_MHZ = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflinePoint:
    """The kernel of the slowest DPU of every launch of a program, all launches together.

    instructions, mram_bytes: what it issued, DMAs included, and moved; of one DPU.
    dma_bytes_mean: bytes of its mean DMA, 0 without any.
    instructions_per_s: what it achieved. ceiling_per_s: what the pipeline issues with its tasklets.
    bandwidth, best_bandwidth: bytes per second of the DMA engine with its reads and writes, at their mean sizes, and if
    all were of the largest size that a DMA has.
    """

    name: str
    nr_tasklets: int
    instructions: int
    mram_bytes: int
    dma_bytes_mean: float
    instructions_per_s: float
    ceiling_per_s: float
    bandwidth: float
    best_bandwidth: float

    @property
    def intensity(self) -> float:
        """Instructions per MRAM byte; infinite without a DMA."""
        return self.instructions / self.mram_bytes if self.mram_bytes else float("inf")

    @property
    def roof_per_s(self) -> float:
        """Instructions per second that the roof allows at this intensity and these sizes."""
        return min(self.ceiling_per_s, self.intensity * self.bandwidth)

    @property
    def limit(self) -> Literal["pipeline", "DMA engine"]:
        """Which of the two is the lower here."""
        return "pipeline" if self.ceiling_per_s <= self.intensity * self.bandwidth else "DMA engine"


def roofline(rows: Sequence[Row], hardware: Hardware) -> tuple[RooflinePoint, ...]:
    """A point for every program and number of tasklets that was launched and took time, in the order of the rows."""
    counts: dict[tuple[str, int], NDArray[np.int64]] = {}
    ticks: dict[tuple[str, int], int] = {}
    for row in rows:
        if not isinstance(row.work, LaunchWork):
            continue
        # Programs that ran side by side share a row and its name; the slowest stands for them, as in its price.
        slowest = [_slowest(counters, hardware) for counters in row.work.counters]
        of_dpu, spent, nr_tasklets = max(slowest, key=lambda entry: entry[1])
        key = (row.what, nr_tasklets)
        counts[key] = counts.get(key, np.zeros(NR_COUNTERS, np.int64)) + of_dpu
        ticks[key] = ticks.get(key, 0) + spent
    return tuple(_point(key, counts[key], ticks[key], hardware) for key in counts if ticks[key])


def dma_bytes_per_s(hardware: Hardware, size_bytes: int) -> tuple[float, float]:
    """Bytes per second of the DMA engine for (reads, writes) of one size.

    Raises ValueError for a size that a DMA cannot have.
    """
    dma = hardware.dma
    if not dma.min_bytes <= size_bytes <= dma.max_bytes or size_bytes % dma.granularity_bytes:
        raise ValueError(
            f"a DMA of {size_bytes} bytes on {hardware.name}: sizes are {dma.min_bytes} to {dma.max_bytes} bytes in "
            f"steps of {dma.granularity_bytes}. Use one of them."
        )
    read, write = (
        float(hardware.pipeline.clock_mhz * HZ_PER_MHZ * size_bytes)
        / float(line.setup_cycles + line.cycles_per_byte * size_bytes)
        for line in (dma.read_occupancy, dma.write_occupancy)
    )
    return read, write


def _slowest(counters: LaunchCounters, hardware: Hardware) -> tuple[NDArray[np.int64], int, int]:
    """Counts [NR_COUNTERS], ticks and tasklets of the slowest DPU."""
    total = kernel_ticks(counters, hardware).total
    pattern = int(total.argmax())
    counts: NDArray[np.int64] = completed_patterns(counters, hardware)[pattern].sum(axis=(0, 1))
    return counts, int(total[pattern]), counters.nr_tasklets


def _point(key: tuple[str, int], counts: NDArray[np.int64], ticks: int, hardware: Hardware) -> RooflinePoint:
    name, nr_tasklets = key
    clock_hz = hardware.pipeline.clock_mhz * HZ_PER_MHZ
    instructions = int(counts @ slot_prices(hardware))
    nr_dmas = int(counts[Counter.READS] + counts[Counter.WRITES])
    read_bytes, write_bytes = int(counts[Counter.READ_BYTES]), int(counts[Counter.WRITE_BYTES])
    mram_bytes = read_bytes + write_bytes
    best_read, best_write = dma_bytes_per_s(hardware, hardware.dma.max_bytes)
    busy_s = Fraction(int(counts @ occupancy_ticks(hardware)), TICKS_PER_CYCLE * clock_hz)
    return RooflinePoint(
        name=name,
        nr_tasklets=nr_tasklets,
        instructions=instructions,
        mram_bytes=mram_bytes,
        dma_bytes_mean=mram_bytes / nr_dmas if nr_dmas else 0.0,
        instructions_per_s=float(Fraction(instructions * TICKS_PER_CYCLE * clock_hz, ticks)),
        ceiling_per_s=float(clock_hz * min(Fraction(1), Fraction(nr_tasklets, hardware.pipeline.reissue_cycles))),
        bandwidth=float(mram_bytes / busy_s) if mram_bytes else best_read,
        best_bandwidth=mram_bytes / (read_bytes / best_read + write_bytes / best_write) if mram_bytes else best_read,
    )
