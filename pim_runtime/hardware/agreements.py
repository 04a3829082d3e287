"""Rules that two values of a machine must obey together; those of a single value are on its field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import Hardware

__all__ = ["agreements"]


def agreements(hardware: Hardware) -> Iterator[tuple[str, object, bool, str]]:
    """(key, value, does it hold, rule) of every rule between two values."""
    geometry, dpu, dma, power = hardware.geometry, hardware.dpu, hardware.dma, hardware.power
    tasklets = [x for x, _ in hardware.sync.barrier]
    yield (
        "geometry.ranks_per_dimm",
        geometry.ranks_per_dimm,
        geometry.ranks_per_dimm <= geometry.ranks,
        f"must not exceed geometry.ranks = {geometry.ranks}",
    )
    yield (
        "dpu.reserved_atomic_bits",
        dpu.reserved_atomic_bits,
        dpu.mutex_bits >= 0,
        f"must not exceed dpu.atomic_bits = {dpu.atomic_bits}",
    )
    yield (
        "dpu.default_stack_bytes",
        dpu.default_stack_bytes,
        dpu.default_stack_bytes <= dpu.wram_bytes,
        f"must fit in dpu.wram_bytes = {dpu.wram_bytes}",
    )
    yield (
        "dma.min_bytes",
        dma.min_bytes,
        dma.min_bytes <= dma.max_bytes,
        f"must not exceed dma.max_bytes = {dma.max_bytes}",
    )
    for key, size_bytes in (("dma.min_bytes", dma.min_bytes), ("dma.max_bytes", dma.max_bytes)):
        yield (
            key,
            size_bytes,
            size_bytes % dma.granularity_bytes == 0,
            f"must be a multiple of dma.granularity_bytes = {dma.granularity_bytes}",
        )
    yield (
        "sync.barrier",
        hardware.sync.barrier,
        tasklets[0] == 1 and tasklets[-1] >= dpu.max_tasklets,
        f"must reach from 1 tasklet to dpu.max_tasklets = {dpu.max_tasklets}",
    )
    yield (
        "power.dpu_watts",
        power.dpu_watts,
        power.dpu_watts <= power.dpu_watts_upper,
        f"must not exceed power.dpu_watts_upper = {power.dpu_watts_upper}",
    )
