"""Where the scores of kept tokens are: close together, as if a worker had no other tokens.

The n-th token that a worker keeps for a query has place n % 8 of the worker's group n // 8 of that query, which is
where the dense programs have the n-th token of the worker. So the norms find full groups, and the last one with its
end; tokens that were pruned enter nothing (K-9).
"""

from __future__ import annotations

from pim_runtime.device import DpuFunction, Tasklet, View, dpu_function, int64, wram_view
from pim_runtime.symbols import WramSymbol

from ..attention.extent import Extent
from ..attention.shapes import GROUP

__all__ = [
    "ENDS_AT",
    "LEVELS_AT",
    "SHARED_ADDRESSES",
    "TABLES_AT",
    "THRESHOLDS_AT",
    "ends_of_workers",
    "kept_extent",
    "next_place",
]

# In `shared`, behind the addresses of dense attention.
LEVELS_AT, THRESHOLDS_AT, ENDS_AT, TABLES_AT, SHARED_ADDRESSES = 2, 3, 4, 5, 6


@dpu_function
def next_place(place: int, workers: int) -> int:
    """The place behind `place` of the same worker."""
    behind = place + 1
    if behind & (GROUP - 1) == 0:
        behind += GROUP * (workers - 1)
    return behind


def ends_of_workers(shared: WramSymbol) -> DpuFunction:
    """A view of the places behind the last score, [workers][queries] int64."""

    @dpu_function
    def ends_of(t: Tasklet, workers: int, queries: int) -> View:
        return wram_view(t, int64, shared.array(t)[ENDS_AT], workers * queries)

    return ends_of


def kept_extent(shared: WramSymbol, queries: DpuFunction) -> Extent:
    """The places of the kept tokens. queries: (t) -> how many there are."""
    ends_of = ends_of_workers(shared)

    @dpu_function
    def start_of_group(t: Tasklet, first: int) -> int:
        return first & -GROUP

    @dpu_function
    def end_of_kept(t: Tasklet, end: int, worker: int, workers: int, query: int) -> int:
        return ends_of(t, workers, queries(t))[worker * queries(t) + query]

    return Extent(first=start_of_group, end=end_of_kept)
