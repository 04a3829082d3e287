"""Published microbenchmarks of one DPU. Nothing here is modelled or measured by this project.

PrIM: Gomez-Luna et al., IEEE Access 2022, arXiv 2105.03814, at 350 MHz and at least 11 tasklets. cnm:
github.com/tud-ccc/cnm-cost-model, UPMEM/LUT, cycles that were read from its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dpu_kernels.micro import Direction, Operation, StreamOperation

__all__ = [
    "ARITHMETIC_MOPS",
    "DMA_BACK_TO_BACK_CYCLES",
    "DMA_LATENCY_CYCLES",
    "DMA_SATURATED_CYCLES",
    "DMA_SIZES_BYTES",
    "STREAM_MB_PER_S",
]

ARITHMETIC_MOPS: Mapping[tuple[str, Operation], float] = MappingProxyType(
    {
        ("int32", "add"): 58.56,
        ("int32", "sub"): 58.45,
        ("int32", "mul"): 10.27,
        ("int32", "div"): 11.27,
        ("int64", "add"): 50.16,
        ("int64", "sub"): 50.16,
        ("int64", "mul"): 2.56,
        ("int64", "div"): 1.40,
    }
)
"""PrIM: millions of operations per second, 1024-byte blocks of 1,048,576 elements."""

STREAM_MB_PER_S: Mapping[StreamOperation, float] = MappingProxyType(
    {"copy": 2818.98, "add": 1682.46, "scale": 42.03, "triad": 61.66}
)
"""PrIM: 1e6 bytes per second read and written in WRAM, 8-byte elements."""

DMA_SIZES_BYTES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)

DMA_LATENCY_CYCLES: Mapping[Direction, tuple[float, ...]] = MappingProxyType(
    {
        "read": tuple(77 + 0.5 * size for size in DMA_SIZES_BYTES),
        "write": tuple(61 + 0.5 * size for size in DMA_SIZES_BYTES),
    }
)
"""PrIM: one isolated DMA of one tasklet, from the paper's linear formula."""

DMA_BACK_TO_BACK_CYCLES: Mapping[Direction, tuple[float, ...]] = MappingProxyType(
    {
        "read": (62.1, 67.3, 72.8, 96.8, 126, 196.8, 328.3, 619.5, 1194.8),
        "write": (55.1, 55.3, 63.4, 88, 118.5, 190.2, 322.8, 615.8, 1177.9),
    }
)
"""cnm: each further DMA of one tasklet, its instruction included."""

DMA_SATURATED_CYCLES: Mapping[Direction, tuple[float | None, ...]] = MappingProxyType(
    {
        "read": (42.6, 47.2, 56.6, 75.4, 112.4, 178, 317.9, 596.4, None),
        "write": (32.9, 37.4, 46.8, 65.4, 101.9, 168.8, 309.3, 589.7, None),
    }
)
"""cnm: time between DMAs when many tasklets issue them in one direction; 2048 bytes were not measured."""
