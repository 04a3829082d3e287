"""Where the scores of kept tokens are: close together, as if a worker had no other tokens.

The n-th token that a worker keeps for a query has place n % 8 of the worker's group n // 8 of that query, which is
where the dense programs have the n-th token of the worker. So the norms find full groups, and the last one with its
end; tokens that were pruned enter nothing (K-9).
"""

from __future__ import annotations

from pim_runtime.device import DpuFunction, Tasklet, View, dpu_function, int64, wram_view
from pim_runtime.symbols import WramSymbol

from ..attention.buffers import STATES_AT
from ..attention.extent import Extent
from ..attention.shapes import GROUP

__all__ = [
    "LEVELS_AT",
    "PLACE_NOTES",
    "SHARED_ADDRESSES",
    "TABLES_AT",
    "THRESHOLDS_AT",
    "count_kept",
    "kept_extent",
    "next_place",
    "note_views",
]

# In `shared`, behind the addresses of dense attention.
LEVELS_AT, THRESHOLDS_AT, TABLES_AT, SHARED_ADDRESSES = 2, 3, 4, 5
PLACE_NOTES = 2  # of a worker and query, int64, behind the notes of all: where its scores end, and how many there are

WEIGHT_MAX, MOST_FRACTION_BITS = 32767, 14  # of a z-score (K-5)


@dpu_function
def next_place(place: int, workers: int) -> int:
    """The place behind `place` of the same worker."""
    behind = place + 1
    if behind & (GROUP - 1) == 0:
        behind += GROUP * (workers - 1)
    return behind


@dpu_function
def count_kept(kept: View, workers: int, queries: int, query: int) -> int:
    """Tokens that all workers keep for a query, of counts [workers][queries]."""
    count = 0
    for worker in range(workers):
        count += kept[worker * queries + query]
    return count


def note_views(shared: WramSymbol, notes: int) -> tuple[DpuFunction, DpuFunction]:
    """Views [workers][queries] int64: the places behind the last scores, and how many scores there are."""

    @dpu_function
    def ends_of(t: Tasklet, workers: int, queries: int) -> View:
        size = workers * queries
        return wram_view(t, int64, shared.array(t)[STATES_AT] + 8 * size * notes, size)

    @dpu_function
    def counts_of(t: Tasklet, workers: int, queries: int) -> View:
        size = workers * queries
        return wram_view(t, int64, shared.array(t)[STATES_AT] + 8 * size * (notes + 1), size)

    return ends_of, counts_of


def kept_extent(shared: WramSymbol, notes: int, queries: DpuFunction) -> Extent:
    """The places of the kept tokens. notes: of a norm. queries: (t) -> how many there are."""
    ends_of, counts_of = note_views(shared, notes)

    @dpu_function
    def start_of_group(t: Tasklet, first: int) -> int:
        return first & -GROUP

    @dpu_function
    def end_of_kept(t: Tasklet, end: int, worker: int, workers: int, query: int) -> int:
        return ends_of(t, workers, queries(t))[worker * queries(t) + query]

    @dpu_function
    def kept_tokens(t: Tasklet, tokens: int, workers: int, query: int) -> int:
        return max(1, count_kept(counts_of(t, workers, queries(t)), workers, queries(t), query))

    @dpu_function
    def bits_of_kept(bits: int, tokens: int) -> int:
        found = 0
        for more in range(1, MOST_FRACTION_BITS + 1):
            if tokens - 1 <= (WEIGHT_MAX * WEIGHT_MAX) >> (2 * more):
                found = more
        return found

    return Extent(first=start_of_group, end=end_of_kept, tokens=kept_tokens, fraction_bits=bits_of_kept)
