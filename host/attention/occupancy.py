"""How full a KV cache is, and what of its memory nobody can use: fragmentation inside and between contexts (S0-14)."""

from __future__ import annotations

from dataclasses import dataclass

from dpu_kernels.attention import BLOCK_TOKENS

from .contexts import Contexts
from .placement import Room

__all__ = ["Occupancy", "occupancy_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """A moment of a KV cache. A row is K and V of one token of one KV head.

    contexts: KV heads of requests, or their parts. busiest_dpu_contexts: on the DPU with the most of them, which is how
    many launches a decode step takes. rows_stored: that requests have. rows_reserved: that their slots or blocks have
    room for. rows_free: of slots or blocks that belong to nobody. blocks_used, blocks_free: 0 in a contiguous cache.
    longest_context: tokens that a new request could have now; longest_in_one_place: if all free rows were together.
    """

    requests: int
    contexts: int
    nr_dpus: int
    dpus_in_use: int
    busiest_dpu_contexts: int
    rows_stored: int
    rows_reserved: int
    rows_free: int
    blocks_used: int
    blocks_free: int
    longest_context: int
    longest_in_one_place: int

    @property
    def use(self) -> float:
        """Share of all rows that hold a token; 0 for a cache without rows."""
        rows = self.rows_reserved + self.rows_free
        return self.rows_stored / rows if rows else 0.0

    @property
    def internal_fragmentation(self) -> float:
        """Share of the reserved rows that hold nothing; 0 when none is reserved."""
        return 1 - self.rows_stored / self.rows_reserved if self.rows_reserved else 0.0

    @property
    def free_space_fragmentation(self) -> float:
        """Share of the longest context that free rows could hold which a new request cannot have; 0 when none is free.

        It cannot because the free rows are on different DPUs, or in DPUs without a free slot.
        """
        return 1 - self.longest_context / self.longest_in_one_place if self.longest_in_one_place else 0.0


def occupancy_of(contexts: Contexts, room: Room, *, requests: int, rows_stored: int, longest_context: int) -> Occupancy:
    """How full `contexts` are when `room` is what is left of them; the rest as in `Occupancy`."""
    spec, layout = contexts.spec, contexts.layout
    slots, blocks = layout.slots - room.slots, layout.nr_blocks - room.blocks
    if contexts.paging == "paged":
        rows_reserved, rows_free = (BLOCK_TOKENS * int(count.sum()) for count in (blocks, room.blocks))
    else:
        rows_reserved, rows_free = (layout.capacity * int(count.sum()) for count in (slots, room.slots))
    return Occupancy(
        requests=requests,
        contexts=int(slots.sum()),
        nr_dpus=len(slots),
        dpus_in_use=int((slots > 0).sum()),
        busiest_dpu_contexts=int(slots.max()),
        rows_stored=rows_stored,
        rows_reserved=rows_reserved,
        rows_free=rows_free,
        blocks_used=int(blocks.sum()),
        blocks_free=int(room.blocks.sum()),
        longest_context=longest_context,
        longest_in_one_place=min(spec.max_tokens, rows_free // spec.kv_heads),
    )
