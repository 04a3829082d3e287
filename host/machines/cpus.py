"""CPUs that compute attention for GPUs, as document 1 compares them (S1-8). Owns the record."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Annotated

from pim_runtime.hardware.profile_files import ProfileFolder
from pim_runtime.hardware.profiled import Profiled
from pim_runtime.quantities import Integer, Number

__all__ = ["CpuServer", "Sockets", "cpu_servers"]

Bandwidth = Annotated[Decimal, Number("GB/s", 6, "positive")]
Use = Annotated[Decimal, Number("of 1", 6, "positive")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """CPUs that share the heads equally, and one of them.

    counted: how many CPUs' speed counts; as many as there are, but not in document 1's simulator. tflops: 10^12
    operations per second on elements of 16 bits. memory_use, compute_use: how much of the peak is reached.
    link_gb_per_s: of both directions between a GPU and the CPUs.
    """

    count: Annotated[int, Integer("CPUs", at_least=1)]
    counted: Annotated[int, Integer("CPUs", at_least=1)]
    memory_bytes: Annotated[int, Integer("bytes", at_least=1)]
    gb_per_s: Bandwidth
    memory_use: Use
    tflops: Annotated[Decimal, Number("TFLOP/s", 6, "positive")]
    compute_use: Use
    link_gb_per_s: Bandwidth

    @property
    def total_bytes(self) -> int:
        """Memory of all CPUs."""
        return self.count * self.memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuServer(Profiled):
    """The CPUs of a server. `provenance` lists every value with its unit, provenance and source."""

    sockets: Sockets


def cpu_servers() -> ProfileFolder[CpuServer]:
    """The CPUs that ship."""
    return ProfileFolder("server of CPUs", files("host.machines") / "profiles" / "cpus", CpuServer)
