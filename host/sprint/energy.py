"""What attention costs on a SPRINT chip: four groups of parts, with their energy, time, traffic and operations (S4-10).

The groups are document 4's: reads and writes of ReRAM, pruning in ReRAM, the buffer of K and V, and the arithmetic of
QK-PU, softmax and V-PU. Energy is of what switches; nothing is added for leakage and clocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from host.machines.cost import Cost, in_sequence, overlapped
from host.machines.sprint_chip import SprintChip

__all__ = ["BUFFER", "COMPUTE", "GROUPS", "PRUNING", "RERAM", "Events", "attention_cost", "energy_split"]

RERAM, PRUNING, BUFFER, COMPUTE = "ReRAM reads and writes", "pruning in ReRAM", "K/V buffer", "QK-PU, softmax, V-PU"
GROUPS = (RERAM, PRUNING, BUFFER, COMPUTE)
"""The four groups, in document 4's order."""

PJ = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """What happens during attention, over all heads and queries.

    written_bytes: Q, K and V, once. query_bytes: Q, read once for thresholds and arithmetic together. token_bytes: K
    and V of one token. in_memory_macs: of thresholds. loaded, kept: tokens, summed over queries. macs: of kept tokens.
    Pruning vectors come from comparators and not from cells: they count in no energy of reading. Cycles of parts are
    those that they would take alone, total_cycles what all take together.
    """

    written_bytes: int
    query_bytes: int
    token_bytes: int
    in_memory_macs: int
    loaded: int
    kept: int
    macs: int
    threshold_cycles: int
    load_cycles: int
    compute_cycles: int
    total_cycles: int


def attention_cost(chip: SprintChip, events: Events) -> Cost:
    """The tree: a part for each of `GROUPS`; moved bytes of ReRAM and of the buffer are counted each where they move.

    Operations are two for each multiply-accumulate. Parts have the seconds that they would take alone; those of the
    buffer are within the arithmetic's.
    """
    energy, second_cycles = chip.energy, chip.clock_hz
    read_bytes = events.query_bytes + events.loaded * events.token_bytes
    filled_bytes, used_bytes = events.loaded * events.token_bytes, events.kept * events.token_bytes
    reram = in_sequence(
        RERAM,
        [
            Cost(
                name="reads",
                seconds=events.load_cycles / second_cycles,
                bound_by="unit bandwidth",
                moved_bytes=read_bytes,
                transfers=events.loaded,
                joules=8 * read_bytes * float(energy.reram_read_pj_per_bit) * PJ,
            ),
            # The layer before writes them while it computes.
            Cost(
                name="writes",
                seconds=0,
                bound_by="unit bandwidth",
                moved_bytes=events.written_bytes,
                joules=8 * events.written_bytes * float(energy.reram_write_pj_per_bit) * PJ,
            ),
        ],
    )
    pruning = Cost(
        name=PRUNING,
        seconds=events.threshold_cycles / second_cycles,
        bound_by="controller",
        operations=2 * events.in_memory_macs,
        joules=events.in_memory_macs * float(energy.in_memory_mac_pj) * PJ,
    )
    filling = 8 * filled_bytes * float(energy.buffer_write_pj_per_bit)
    using = 8 * used_bytes * float(energy.buffer_read_pj_per_bit)
    buffer = Cost(
        name=BUFFER,
        seconds=0,
        bound_by="unit bandwidth",
        moved_bytes=filled_bytes + used_bytes,
        joules=(filling + using) * PJ,
    )
    arithmetic_pj = events.macs * float(energy.mac_pj) + events.kept * float(energy.softmax_pj)
    compute = Cost(
        name=COMPUTE,
        seconds=events.compute_cycles / second_cycles,
        bound_by="compute",
        operations=2 * events.macs,
        joules=arithmetic_pj * PJ,
    )
    return overlapped(
        "attention",
        [reram, pruning, buffer, compute],
        seconds=events.total_cycles / second_cycles,
        rule="of every query thresholds, then loads beside arithmetic",
    )


def energy_split(cost: Cost) -> dict[str, float]:
    """Joules of each of `GROUPS`."""
    return {group: cost.part(group).joules for group in GROUPS}
