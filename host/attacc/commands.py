"""How many commands an AttAcc channel executes for the attention of one head (S1-9, S1-10).

Owns the counts, of all placements by one formula. `hbm_pim_times` says how long they take, `energy` what they cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from host.machines.hbm_pim import GemvUnits

__all__ = ["CommandCounts", "head_commands"]

SCORES_PER_MOVE = 16
"""Scores that a unit collects before it moves them to the buffer die, whatever their width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCounts:
    """Commands of one head of one request, in the order of execution.

    wr_gb: queries into the GEMV units. mac_score, mac_context: commands that multiply, with K and with V.
    mv_sb_score, mv_sb_context: results to the buffer die. sfm: softmax there. mv_gb: its results to the GEMV units.
    """

    wr_gb: int
    mac_score: int
    mv_sb_score: int
    sfm: int
    mv_gb: int
    mac_context: int
    mv_sb_context: int

    @property
    def mac(self) -> int:
        """Commands that multiply."""
        return self.mac_score + self.mac_context

    @property
    def mv_sb(self) -> int:
        """Moves of results to the buffer die."""
        return self.mv_sb_score + self.mv_sb_context

    @property
    def moves_before_softmax(self) -> int:
        """Moves between the buffer die and the GEMV units for the scores: of queries, and of scores."""
        return self.wr_gb + self.mv_sb_score

    @property
    def moves_after_softmax(self) -> int:
        """Moves between the buffer die and the GEMV units for the weighted sums: of weights, and of sums."""
        return self.mv_gb + self.mv_sb_context


def head_commands(units: GemvUnits, *, tokens: int, dim: int, element_bits: int) -> CommandCounts:
    """Commands for a head of `dim` elements and a context of `tokens`.

    A token group of units takes every `units.token_groups`-th token, each of its banks an equal part of the elements.
    Both pseudo channels take part in a move, and each rank and bank group, or bank, has its own. Raises ValueError
    for sizes below 1 and for elements that do not fill a command.
    """
    for name, size in {"tokens": tokens, "dim": dim, "element_bits": element_bits}.items():
        if size < 1:
            raise ValueError(f"{name} = {size}: must be at least 1")
    if 8 * units.command_bytes % element_bits:
        raise ValueError(
            f"element_bits = {element_bits}: the {units.command_bytes} bytes of a command hold no whole ones"
        )
    lanes = 8 * units.command_bytes // element_bits
    columns = _ceil(dim, units.banks * lanes)
    rows = _ceil(tokens, units.token_groups)
    groups = units.ranks * units.bank_groups
    return CommandCounts(
        wr_gb=units.banks * columns,
        mac_score=rows * columns,
        mv_sb_score=groups * _ceil(rows, SCORES_PER_MOVE),
        sfm=1,
        mv_gb=groups * _ceil(tokens, units.token_groups * lanes),
        mac_context=rows * columns,
        mv_sb_context=units.ranks * units.banks * columns,
    )


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
