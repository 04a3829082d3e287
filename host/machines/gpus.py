"""Servers of GPUs with a link between them, as document 1 prices them (S1-2 to S1-8). Owns the record.

What their kernels take is said in `gpu_times`; how products are cut into tiles, in `gpu_tiles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Annotated

from pim_runtime.hardware.profile_files import ProfileFolder
from pim_runtime.hardware.profiled import Profiled
from pim_runtime.quantities import Integer, Number

__all__ = ["ElementKernels", "GpuEnergy", "GpuLink", "GpuServer", "Gpus", "gpu_servers"]

Bandwidth = Annotated[Decimal, Number("GB/s", 6, "positive")]
Use = Annotated[Decimal, Number("of 1", 6, "positive")]
PicojoulePerByte = Annotated[Decimal, Number("pJ/B", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """GPUs that share every operator equally, and one of them: its memory, its arithmetic, its caches.

    tflops: 10^12 operations per second on elements of 16 bits. memory_use, compute_use: how much of the peak kernels
    reach. l1_bytes: of each multiprocessor. l2_bytes: of all together.
    """

    count: Annotated[int, Integer("GPUs", at_least=1)]
    memory_bytes: Annotated[int, Integer("bytes", at_least=1)]
    gb_per_s: Bandwidth
    memory_use: Use
    tflops: Annotated[Decimal, Number("TFLOP/s", 6, "positive")]
    compute_use: Use
    multiprocessors: Annotated[int, Integer("multiprocessors", at_least=1)]
    l1_bytes: Annotated[int, Integer("bytes", at_least=1)]
    l2_bytes: Annotated[int, Integer("bytes", at_least=1)]

    @property
    def total_bytes(self) -> int:
        """Memory of all GPUs."""
        return self.count * self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementKernels:
    """Kernels that pass once over their elements: a fixed time, and a slope at the bandwidth they were fitted at."""

    activation_us: Annotated[Decimal, Number("us", 6)]
    activation_ps_per_byte: Annotated[Decimal, Number("ps/B", 6)]
    norm_us: Annotated[Decimal, Number("us", 6)]
    norm_ps_per_byte: Annotated[Decimal, Number("ps/B", 6)]
    fitted_gb_per_s: Bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLink:
    """Between the GPUs. gb_per_s: of both directions of a GPU together. step: of an all-reduce, one per other GPU."""

    gb_per_s: Bandwidth
    step_us: Annotated[Decimal, Number("us", 6)]
    step_ps_per_byte: Annotated[Decimal, Number("ps/B", 6)]
    fitted_gb_per_s: Bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuEnergy:
    """Energy of a byte at each level of memory, of a byte on the link, and of a multiplication with its addition."""

    memory_pj_per_byte: PicojoulePerByte
    l2_pj_per_byte: PicojoulePerByte
    l1_pj_per_byte: PicojoulePerByte
    register_pj_per_byte: PicojoulePerByte
    link_pj_per_byte: PicojoulePerByte
    mac_pj: Annotated[Decimal, Number("pJ", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuServer(Profiled):
    """A server. `provenance` lists every value with its unit, provenance and source."""

    gpus: Gpus
    kernels: ElementKernels
    link: GpuLink
    energy: GpuEnergy


def gpu_servers() -> ProfileFolder[GpuServer]:
    """The servers that ship."""
    return ProfileFolder("GPU server", files("host.machines") / "profiles" / "gpu_servers", GpuServer)
