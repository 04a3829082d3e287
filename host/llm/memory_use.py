"""How well a kernel uses the memory of its DPU: MUE, memory usage efficiency (S3-5), from the counters of its DMAs.

Fuhrer et al., Geosci. Model Dev. 11, 2018, whom the profiling paper of document 3 follows: the least bytes that an
operator can move over those that it moves, times the bandwidth that it reaches over the one that there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pim_runtime.counters import Counter, LaunchCounters
from pim_runtime.hardware import TICKS_PER_CYCLE, Hardware
from pim_runtime.report.roofline import dma_bytes_per_s
from pim_runtime.timing.kernel import barriers_ticks, phase_bounds
from pim_runtime.timing.prices import occupancy_ticks
from pim_runtime.timing.variable import completed_patterns

__all__ = ["MemoryUse", "memory_use"]

HZ_PER_MHZ = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUse:
    """What one DPU moved for an operator.

    minimal_bytes: Q, its inputs and outputs, each once. read_bytes, write_bytes: D, of all its DMAs.
    engine_s: for which the DMA engine was busy with them. kernel_s: of the phases, barriers included.
    peak_bytes_per_s: of the engine, with these shares of reads and writes, if all DMAs were of the largest size.
    """

    name: str
    minimal_bytes: Fraction
    read_bytes: int
    write_bytes: int
    engine_s: float
    kernel_s: float
    peak_bytes_per_s: float

    @property
    def moved_bytes(self) -> int:
        """D."""
        return self.read_bytes + self.write_bytes

    @property
    def io_share(self) -> float:
        """Q / D."""
        return float(self.minimal_bytes / self.moved_bytes)

    @property
    def engine_mue(self) -> float:
        """MUE in percent, with the bandwidth that the DMAs have while the engine moves them: what the sizes of DMAs
        leave of the peak. It does not depend on what else the kernel does."""
        return 100 * self.io_share * self.moved_bytes / self.engine_s / self.peak_bytes_per_s

    @property
    def kernel_mue(self) -> float:
        """MUE in percent, with the bandwidth over the kernel's time. Where instructions bound a kernel, it says how
        short it is, and little of its use of memory."""
        return 100 * self.io_share * self.moved_bytes / self.kernel_s / self.peak_bytes_per_s


def memory_use(
    name: str, counters: LaunchCounters, hardware: Hardware, *, phases: Sequence[int], minimal_bytes: Fraction
) -> MemoryUse:
    """Of some phases of a launch on one DPU.

    Raises ValueError for several DPUs, for a phase that the launch does not have, or without a DMA in these phases.
    """
    if counters.nr_dpus != 1:
        raise ValueError(f"{name}: counters of {counters.nr_dpus} DPUs: launch the kernel on one")
    wrong = [phase for phase in phases if not 0 <= phase < counters.nr_phases]
    if wrong:
        raise ValueError(f"{name}: the launch has phases 0 to {counters.nr_phases - 1}, and not {wrong[0]}")
    rows, chosen = completed_patterns(counters, hardware), list(phases)
    counts = rows[0, chosen].sum(axis=(0, 1))
    read_bytes, write_bytes = int(counts[Counter.READ_BYTES]), int(counts[Counter.WRITE_BYTES])
    if not read_bytes + write_bytes:
        raise ValueError(f"{name}: no DMA in phases {chosen}, so there is no use of memory to rate")
    bounds = phase_bounds(rows, hardware)
    ticks = np.maximum(bounds.compute, bounds.memory) + barriers_ticks(rows, hardware)
    best_read, best_write = dma_bytes_per_s(hardware, hardware.dma.max_bytes)
    ticks_per_s = TICKS_PER_CYCLE * hardware.pipeline.clock_mhz * HZ_PER_MHZ
    return MemoryUse(
        name=name,
        minimal_bytes=minimal_bytes,
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        engine_s=float(int(counts @ occupancy_ticks(hardware)) / Fraction(ticks_per_s)),
        kernel_s=float(int(ticks[0, chosen].sum()) / Fraction(ticks_per_s)),
        peak_bytes_per_s=(read_bytes + write_bytes) / (read_bytes / best_read + write_bytes / best_write),
    )
