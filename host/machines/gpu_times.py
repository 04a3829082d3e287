"""What operators take on the GPUs of a server: the longer of arithmetic and memory, and transfers (S1-2 to S1-6).

Sizes are those of one GPU. Every other system of document 1 uses these for what it leaves on the GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from host.llm.operators import Matmul
from host.llm.quantisation import QuantConfig

from .cost import Bound
from .gpu_tiles import Fidelity, busy_share, tile_matmul
from .gpus import ElementKernels, GpuLink, Gpus

__all__ = [
    "GIGA",
    "TERA",
    "GpuKernel",
    "Peaks",
    "activation_s",
    "all_reduce_s",
    "attention_kernel",
    "bytes_per_s",
    "fc_kernel",
    "link_s",
    "norm_s",
    "operations_per_s",
]

GIGA, TERA, US, PS = 1e9, 1e12, 1e-6, 1e-12
PEAK_BITS = 16  # width of the elements that the peak is stated for


class Peaks(Protocol):
    """Of a processor with memory, a GPU or a CPU: see `Gpus` for the units."""

    @property
    def gb_per_s(self) -> Decimal: ...

    @property
    def memory_use(self) -> Decimal: ...

    @property
    def tflops(self) -> Decimal: ...

    @property
    def compute_use(self) -> Decimal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuKernel:
    """An operator on one GPU. l2_bytes, l1_bytes: what passes between L2 and L1, and L1 and registers."""

    compute_s: float
    memory_s: float
    flops: float
    dram_bytes: float
    l2_bytes: float
    l1_bytes: float

    @property
    def seconds(self) -> float:
        """Arithmetic and memory overlap."""
        return max(self.compute_s, self.memory_s)

    @property
    def bound_by(self) -> Bound:
        """What it waits for."""
        return "compute" if self.compute_s > self.memory_s else "unit bandwidth"


def operations_per_s(peaks: Peaks, bits: int) -> float:
    """Of one processor in practice, on elements of `bits`: half as wide, twice as many."""
    return float(peaks.tflops * peaks.compute_use) * TERA * PEAK_BITS / bits


def bytes_per_s(peaks: Peaks) -> float:
    """Of the memory of one processor in practice."""
    return float(peaks.gb_per_s * peaks.memory_use) * GIGA


def fc_kernel(gpus: Gpus, matmul: Matmul, quant: QuantConfig, fidelity: Fidelity) -> GpuKernel:
    """A product with weights (S1-2). Multiplies in the wider of the two types."""
    tiling = tile_matmul(
        gpus,
        rows=matmul.rows,
        inner=matmul.inner,
        columns=matmul.columns,
        weight_bits=quant.weight_bits,
        activation_bits=quant.activation_bits,
        fidelity=fidelity,
    )
    flops_per_s = operations_per_s(gpus, max(quant.weight_bits, quant.activation_bits))
    return GpuKernel(
        compute_s=matmul.flops / (flops_per_s * tiling.busy_share),
        memory_s=tiling.dram_bytes / (bytes_per_s(gpus) * tiling.busy_share),
        flops=matmul.flops,
        dram_bytes=tiling.dram_bytes,
        l2_bytes=tiling.l2_bytes,
        l1_bytes=tiling.l1_bytes,
    )


def attention_kernel(
    gpus: Gpus, *, blocks: float, flops: float, moved_bytes: float, bits: int, fidelity: Fidelity
) -> GpuKernel:
    """A product with K or V, or a softmax, of which each head of each request is a block (S1-3)."""
    share = busy_share(gpus, blocks, fidelity)
    return GpuKernel(
        compute_s=flops / (operations_per_s(gpus, bits) * share),
        memory_s=moved_bytes / (bytes_per_s(gpus) * share),
        flops=flops,
        dram_bytes=moved_bytes,
        l2_bytes=moved_bytes,
        l1_bytes=moved_bytes,
    )


def activation_s(kernels: ElementKernels, gpus: Gpus, moved_bytes: float) -> float:
    """An activation function over its inputs and outputs (S1-4)."""
    return _element_s(kernels, gpus, kernels.activation_us, kernels.activation_ps_per_byte, moved_bytes)


def norm_s(kernels: ElementKernels, gpus: Gpus, moved_bytes: float) -> float:
    """A norm with the residual that it is applied to, over inputs and outputs (S1-4)."""
    return _element_s(kernels, gpus, kernels.norm_us, kernels.norm_ps_per_byte, moved_bytes)


def all_reduce_s(link: GpuLink, gpus: Gpus, moved_bytes: float) -> float:
    """Partial sums of `moved_bytes` on each GPU become sums on all (S1-5): a step per other GPU, of a share each."""
    share = moved_bytes / gpus.count
    slope_ps = float(link.step_ps_per_byte * link.fitted_gb_per_s / link.gb_per_s)
    step = max(float(link.step_us) * US + slope_ps * PS * share, link_s(link.gb_per_s, share))
    return (gpus.count - 1) * step


def link_s(gb_per_s: Decimal, moved_bytes: float) -> float:
    """Bytes one way over a link whose bandwidth counts both directions (S1-6)."""
    return moved_bytes / (float(gb_per_s) * GIGA / 2)


def _element_s(
    kernels: ElementKernels, gpus: Gpus, fixed_us: Decimal, ps_per_byte: Decimal, moved_bytes: float
) -> float:
    slope_ps = float(ps_per_byte * kernels.fitted_gb_per_s / gpus.gb_per_s)
    return float(fixed_us) * US + slope_ps * PS * moved_bytes
