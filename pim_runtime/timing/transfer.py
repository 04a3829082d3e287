"""Cost parts of one transfer between the host and the MRAM or WRAM of many DPUs.

Owns what a call costs on each kind of link: a table of call times, or a setup and bytes over a bandwidth that grows
with the ranks up to a knee. Where the bytes come from and whether the host waits for them is not known here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from ..hardware import Hardware, HostLink, LinkLine, LinkTable
from .call_times import call_ps
from .cost import Cost, exact_us, rounded

__all__ = ["TransferMode", "transfer_costs"]

TransferMode = Literal["push", "pull", "broadcast", "serial_to", "serial_from"]
"""push, pull: all DPUs in one call. broadcast: one buffer to all. serial_to, serial_from: a call per DPU, in turn."""


def transfer_costs(
    *, mode: TransferMode, nr_dpus: int, nr_ranks: int, bytes_per_dpu: int, hardware: Hardware
) -> tuple[Cost, ...]:
    """The parts "transfer_setup" and "transfer" of one transfer; none when there are no bytes.

    The setup is what a call costs before its bytes count: by a table, the time of its smallest size. A serial transfer
    costs a call with one DPU for each DPU. Both parts are rounded so that their sum is the rounded time of the calls.
    Source: the entries of `hardware.transfer`; on the hardware they describe, 7 to 10 % off.
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
    setup_ps, whole_ps = _setup_and_call_ps(link, dpus, ranks, bytes_per_dpu)
    setup = rounded(calls * setup_ps)
    return (
        Cost(reason="transfer_setup", duration_ps=setup),
        Cost(reason="transfer", duration_ps=rounded(calls * whole_ps) - setup),
    )


def _setup_and_call_ps(link: HostLink, nr_dpus: int, nr_ranks: int, bytes_per_dpu: int) -> tuple[Fraction, Fraction]:
    """Time of one call before its bytes count, and of all of it."""
    if isinstance(link, LinkTable):
        table = link.call_times
        return (
            call_ps(table, nr_dpus=nr_dpus, bytes_per_dpu=table.bytes_per_dpu[0]),
            call_ps(table, nr_dpus=nr_dpus, bytes_per_dpu=bytes_per_dpu),
        )
    setup_ps = exact_us(link.setup_us) + exact_us(link.setup_us_per_rank) * nr_ranks
    return setup_ps, setup_ps + _bytes_ps(link, nr_dpus, nr_ranks, bytes_per_dpu)


def _bytes_ps(link: LinkLine, nr_dpus: int, nr_ranks: int, bytes_per_dpu: int) -> Fraction:
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
