"""DRAM cycles that the public AttAcc simulator counted, to hold the closed form against (S1-9).

Owns the shipped table. Its outputs are those of a cycle simulation that this project does not run.
"""

from __future__ import annotations

import csv
import importlib.resources
from dataclasses import dataclass
from typing import Any

from host.machines.hbm_pim import hbm_pims

from .commands import head_commands
from .hbm_pim_times import head_cycles, stretched_cycles, waves

__all__ = ["SimulatedStack", "closed_form_cycles", "simulated_stacks"]

PROFILES = {"BA": "attacc-bank", "BG": "attacc-bank-group", "BUFFER": "attacc-buffer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedStack:
    """Attention of `heads` heads on one stack. profile: where the units are, limited by power."""

    profile: str
    heads: int
    tokens: int
    dim: int
    element_bits: int
    cycles: int


def simulated_stacks() -> tuple[SimulatedStack, ...]:
    """The rows of the table, in order."""
    file = importlib.resources.files("host.attacc").joinpath("data", "attacc_pim_golden.csv")
    return tuple(_row(row) for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def closed_form_cycles(row: SimulatedStack) -> float:
    """The same by S1-9: commands that multiply and rows that they open, with refreshes; moves are hidden."""
    pim = hbm_pims().load(row.profile)
    commands = head_commands(pim.units, tokens=row.tokens, dim=row.dim, element_bits=row.element_bits)
    cycles = sum(product.mac + product.row for product in head_cycles(pim.timing, commands))
    return stretched_cycles(pim.timing, waves(pim, row.heads * pim.stacks.count) * cycles)


def _row(row: dict[str, Any]) -> SimulatedStack:
    return SimulatedStack(
        profile=PROFILES[row["pim_type"]],
        heads=int(row["nhead"]),
        tokens=int(row["L"]),
        dim=int(row["dhead"]),
        element_bits=8 * int(row["dbyte"]),
        cycles=int(row["cycle"]),
    )
