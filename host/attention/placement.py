"""Which DPUs take the contexts of a request that joins: the least loaded ones that have room (S0-14)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Room", "place_heads"]

Counts = NDArray[np.int64]


class Room(NamedTuple):
    """Free slots and blocks, int64 [nr_dpus] each, of DPUs that all have the same number; no blocks when contiguous."""

    slots: Counts
    blocks: Counts


def place_heads(room: Room, needs: Counts, *, heads: int) -> Counts | None:
    """The DPU of every part of every head, int64 [heads, parts], or None where they do not fit.

    needs: blocks that each part takes, [parts]. The parts of a head go to different DPUs, the largest first. Each goes
    to the DPU with the fewest contexts that has room, among these with the fewest blocks in use, then to the first.
    Heads that are not split are placed wherever they fit; for split ones there may be an arrangement that is not found.
    """
    slots, blocks = room.slots.copy(), room.blocks.copy()
    more_than_all_blocks = int(blocks.max(initial=0)) + 1
    dpus = np.empty((heads, len(needs)), np.int64)
    for head in range(heads):
        has_sibling = np.zeros(len(slots), np.bool_)
        for part in np.argsort(-needs, kind="stable"):
            has_room = (slots > 0) & (blocks >= needs[part]) & ~has_sibling
            if not has_room.any():
                return None
            dpu = np.argmax(np.where(has_room, slots * more_than_all_blocks + blocks, -1))
            slots[dpu] -= 1
            blocks[dpu] -= needs[part]
            has_sibling[dpu] = True
            dpus[head, part] = dpu
    return dpus
