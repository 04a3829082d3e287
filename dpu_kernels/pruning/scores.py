"""Phase 1: decisions, then exact scores of what is kept, and what a norm wants to know about them."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, int32, mram_write
from pim_runtime.symbols import WramSymbol

from ..attention.rows import clear, dot_product, first_group, group_address, row_reader
from ..attention.shapes import GROUP, Argument, FixedSizes
from .decide import decider, kept_by_any
from .places import next_place
from .products import NibbleProducts
from .shapes import SelectionArgument

__all__ = ["chunk_address", "survivors_scorer"]


@dpu_function
def chunk_address(kept_at: int, chunk: int, worker: int, workers: int, nr_bytes: int) -> int:
    """MRAM address of a chunk of bits, see `shapes.kept_bytes`."""
    return kept_at + (chunk * workers + worker) * nr_bytes


def survivors_scorer(
    arguments: WramSymbol,
    selection: WramSymbol,
    sizes: FixedSizes,
    products: NibbleProducts,
    score: IntegerType,
    state_length: int,
    begin: DpuFunction,
    settle: DpuFunction,
) -> DpuFunction:
    """Bits of the tokens that queries keep, to MRAM, and the scores of those.

    A row of K that any query keeps is read once. `begin` gets each query's notes first, then `settle` its scores of
    up to eight kept tokens, before they are stored.
    """
    dot, read_row, decide = dot_product(int32, sizes), row_reader(sizes), decider(selection, sizes, products)
    group_row_bytes = GROUP * score.itemsize

    @dpu_function
    def store(
        t: Tasklet, a: View, queries: int, query: int, place: int, scores: View, filled: int, state: View
    ) -> None:
        settle(t, state, scores, filled)
        mram_write(
            t, scores, a[Argument.SCORES] + (place // GROUP * queries + query) * group_row_bytes, group_row_bytes
        )

    @dpu_function
    def score_survivors(
        t: Tasklet,
        worker: int,
        workers: int,
        rows: View,
        packed: View,
        unpacked: View,
        query: View,
        asked: View,
        thresholds: View,
        group: View,
        cells: View,
        bits: View,
        states: View,
        ends: View,
        counts: View,
    ) -> None:
        a, kept_at = arguments.array(t), selection.array(t)[SelectionArgument.KEPT]
        dim, row_bytes = sizes.dim or a[Argument.DIM], sizes.row_bytes or a[Argument.ROW_BYTES]
        queries, end = sizes.queries or a[Argument.QUERIES], a[Argument.END]
        stride, chunk, slot = len(query) // queries, 0, 0
        places, numbers = ends.window(worker * queries, queries), counts.window(worker * queries, queries)
        for i in range(queries):
            begin(states.window((worker * queries + i) * state_length, state_length))
            places[i] = first_group(a, worker)
            numbers[i] = 0
        key, stored_key = rows.window(0, dim), rows.window(0, row_bytes)
        for first in range(first_group(a, worker), end, GROUP * workers):
            skipped, filled = max(0, a[Argument.FIRST] - first), min(GROUP, end - first)
            kept = bits.window(slot, queries)
            decide(t, a, first, skipped, filled, packed, unpacked, asked, thresholds, cells, kept)
            wanted = kept_by_any(kept)
            if wanted != 0:
                keys = group_address(t, a, a[Argument.K], first, row_bytes, cells)
                for j in range(skipped, filled):
                    if (wanted >> j) & 1:
                        read_row(t, keys, j, row_bytes, stored_key, row_bytes)
                        for i in range(queries):
                            if (kept[i] >> j) & 1:
                                place, scores = places[i], group.window(GROUP * i, GROUP)
                                scores[place % GROUP] = dot(key, query.window(i * stride, dim))
                                if place % GROUP == GROUP - 1:
                                    state = states.window((worker * queries + i) * state_length, state_length)
                                    store(t, a, queries, i, place, scores, GROUP, state)
                                places[i] = next_place(place, workers)
                                numbers[i] = numbers[i] + 1
            slot += queries
            if slot == len(bits):
                mram_write(t, bits, chunk_address(kept_at, chunk, worker, workers, len(bits)), len(bits))
                chunk, slot = chunk + 1, 0
        if slot > 0:
            clear(bits.window(slot, len(bits) - slot))
            mram_write(t, bits, chunk_address(kept_at, chunk, worker, workers, len(bits)), len(bits))
        for i in range(queries):
            place, scores = places[i], group.window(GROUP * i, GROUP)
            if place % GROUP != 0:
                clear(scores.window(place % GROUP, GROUP - place % GROUP))
                state = states.window((worker * queries + i) * state_length, state_length)
                store(t, a, queries, i, place, scores, place % GROUP, state)

    return score_survivors
