"""Energy of DPUs that somebody holds, from their thermal design power.

Owns the range. It says nothing about single instructions or transfers: no energy per operation of these chips is
published.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..hardware import Hardware
from .cost import rounded

__all__ = ["EnergyRange", "dpu_energy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRange:
    """Energy by the lower and by the upper of the published powers, in picojoules: 1 W for 1 ps."""

    lower_pj: int
    upper_pj: int


def dpu_energy(*, nr_ranks: int, duration_ps: int, hardware: Hardware) -> EnergyRange:
    """Energy of all DPUs of `nr_ranks` ranks over `duration_ps`, whether they run, wait or stay unused.

    Ranks are allocated whole. The host is not included. An estimate from the thermal design power, 20 % off at best.
    Source: [power] of the profile. Raises ValueError for a negative duration and for fewer than one rank.
    """
    if nr_ranks < 1 or duration_ps < 0:
        raise ValueError(
            f"energy of {nr_ranks} ranks over {duration_ps} ps: somebody holds at least one rank, and time is not "
            f"negative. Pass nr_ranks >= 1 and duration_ps >= 0."
        )
    dpu_ps = nr_ranks * hardware.geometry.dpus_per_rank * duration_ps
    return EnergyRange(
        lower_pj=rounded(Fraction(hardware.power.dpu_watts) * dpu_ps),
        upper_pj=rounded(Fraction(hardware.power.dpu_watts_upper) * dpu_ps),
    )
