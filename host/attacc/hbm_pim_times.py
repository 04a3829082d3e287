"""What attention takes on HBM stacks with PIM: DRAM cycles of its commands, and softmax on the buffer die (S1-9).

Devices share the heads of all requests equally. A channel computes one head at a time, so a stack takes its heads in
waves of as many as it has channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from host.machines.hbm_pim import CommandTiming, HbmPim

from .commands import CommandCounts

__all__ = [
    "ProductCycles",
    "gemv_s",
    "head_cycles",
    "product_cycles",
    "row_openings",
    "softmax_s",
    "stretched_cycles",
    "waves",
]

GIGA, PS = 1e9, 1e-12
SOFTMAX_BITS = 16  # width of the elements that the operations of the softmax unit are stated for


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductCycles:
    """Cycles of a product of one head with K or V on its channel, without refreshes.

    mac, row: commands that multiply, and opening rows for them (S1-9). move: transfers that nothing hides.
    """

    mac: int
    row: int
    move: int

    @property
    def total(self) -> int:
        """One after the other."""
        return self.mac + self.row + self.move


def product_cycles(timing: CommandTiming, *, macs: int, row_openings: int, moves: int) -> ProductCycles:
    """Cycles of so many commands that multiply, of which some open a row first, and so many that move."""
    return ProductCycles(
        mac=macs * timing.mac_cycles,
        row=row_openings * timing.row_cycles,
        move=moves * timing.move_cycles,
    )


def row_openings(timing: CommandTiming, macs: int) -> int:
    """Rows that commands open which read one column after the other, from the first column of a row on."""
    return -(-macs // timing.macs_per_row)


def head_cycles(timing: CommandTiming, commands: CommandCounts) -> tuple[ProductCycles, ProductCycles]:
    """Of the scores of a head, and of its weighted sums."""
    score, context = (
        product_cycles(timing, macs=macs, row_openings=row_openings(timing, macs), moves=moves)
        for macs, moves in (
            (commands.mac_score, commands.moves_before_softmax),
            (commands.mac_context, commands.moves_after_softmax),
        )
    )
    return score, context


def waves(pim: HbmPim, heads: int) -> int:
    """How often in a row a channel computes a head, of `heads` that all devices share."""
    heads_per_stack = -(-heads // pim.stacks.count)
    return -(-heads_per_stack // pim.stacks.channels)


def stretched_cycles(timing: CommandTiming, cycles: float) -> float:
    """Cycles with the refreshes that fall into them."""
    return cycles / (1 - timing.refresh_cycles / timing.refresh_interval_cycles)


def gemv_s(pim: HbmPim, *, heads: int, cycles_per_head: float) -> float:
    """Seconds of a product for `heads` query heads of all requests together."""
    cycles = stretched_cycles(pim.timing, waves(pim, heads) * cycles_per_head)
    return cycles * pim.timing.clock_ps * PS


def softmax_s(pim: HbmPim, *, flops: float, moved_bytes: float, bits: int) -> tuple[float, float]:
    """Seconds that the buffer dies need for arithmetic and for memory, which overlap."""
    stacks = pim.stacks.count
    operations_per_s = float(pim.buffer_die.softmax_gops) * GIGA * SOFTMAX_BITS / bits
    bytes_per_s = float(pim.buffer_die.softmax_gb_per_s) * GIGA
    return flops / (stacks * operations_per_s), moved_bytes / (stacks * bytes_per_s)
