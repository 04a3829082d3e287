"""Cost parts of one transfer between the host and the MRAM or WRAM of many DPUs.

Owns the formula: a setup that grows with the ranks, then bytes over a bandwidth that grows with the ranks up to a knee.
Where the bytes come from and whether the host waits for them is not known here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from ..hardware import Hardware, HostLink
from .cost import Cost, exact_us, rounded

__all__ = ["TransferMode", "transfer_costs"]

TransferMode = Literal["push", "pull", "broadcast", "serial_to", "serial_from"]
"""push, pull: all DPUs in one call. broadcast: one buffer to all. serial_to, serial_from: a call per DPU, in turn."""


def transfer_costs(
    *, mode: TransferMode, nr_dpus: int, nr_ranks: int, bytes_per_dpu: int, hardware: Hardware
) -> tuple[Cost, ...]:
    """The parts "transfer_setup" and "transfer" of one transfer; none when there are no bytes.

    The bandwidths are those of buffers in DRAM. Parallel transfers that fit the last-level cache of the host (16 MB in
    github.com/tud-ccc/cnm-cost-model) run up to 4 times as fast on hardware; that is not modelled.
    Raises ValueError for an unknown mode, negative bytes, no DPU, or DPUs that do not fill or fit the ranks.
    """
    _check(nr_dpus, nr_ranks, bytes_per_dpu, hardware)
    links = hardware.transfer
    match mode:
        case "push":
            link, calls, dpus, ranks = links.push, 1, nr_dpus, nr_ranks
        case "pull":
            link, calls, dpus, ranks = links.pull, 1, nr_dpus, nr_ranks
        case "broadcast":
            link, calls, dpus, ranks = links.broadcast, 1, nr_dpus, nr_ranks
        case "serial_to":
            link, calls, dpus, ranks = links.push, nr_dpus, 1, 1
        case "serial_from":
            link, calls, dpus, ranks = links.pull, nr_dpus, 1, 1
        case _:
            raise ValueError(
                f"transfer mode {mode!r} is not one of push, pull, broadcast, serial_to, serial_from. Use one of them."
            )
    if bytes_per_dpu == 0:
        return ()
    return (
        Cost(reason="transfer_setup", duration_ps=rounded(calls * _setup_ps(link, ranks))),
        Cost(reason="transfer", duration_ps=rounded(calls * _bytes_ps(link, dpus, ranks, bytes_per_dpu))),
    )


def _setup_ps(link: HostLink, nr_ranks: int) -> Fraction:
    return exact_us(link.setup_us) + exact_us(link.setup_us_per_rank) * nr_ranks


def _bytes_ps(link: HostLink, nr_dpus: int, nr_ranks: int, bytes_per_dpu: int) -> Fraction:
    growth = Fraction(link.gb_per_s_per_rank) * min(Fraction(nr_ranks), Fraction(link.knee_ranks))
    gb_per_s = min(Fraction(link.base_gb_per_s) + growth, Fraction(link.one_dpu_gb_per_s) * nr_dpus)
    return nr_dpus * bytes_per_dpu * 1000 / gb_per_s  # at 1 GB/s a byte takes 1000 ps


def _check(nr_dpus: int, nr_ranks: int, bytes_per_dpu: int, hardware: Hardware) -> None:
    most = nr_ranks * hardware.geometry.dpus_per_rank
    if not 1 <= nr_ranks <= nr_dpus <= most:
        raise ValueError(
            f"transfer with {nr_dpus} DPUs in {nr_ranks} ranks: a rank has 1 to "
            f"{hardware.geometry.dpus_per_rank} DPUs. Pass the ranks that hold these DPUs."
        )
    if bytes_per_dpu < 0:
        raise ValueError(f"transfer of {bytes_per_dpu} bytes per DPU: sizes are not negative. Pass 0 or more.")
