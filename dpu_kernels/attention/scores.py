"""Phase 1: scores of a worker's tokens, to MRAM, and what a norm wants to know about all of them."""

from __future__ import annotations

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    dpu_function,
    int32,
    int64,
    mram_read,
    mram_write,
)
from pim_runtime.symbols import WramSymbol

from .rows import clear, dot_product, first_group, group_address, row_reader
from .shapes import GROUP, Argument, FixedSizes

__all__ = ["add_biases", "mark_nothing", "mark_tokens", "scorer"]


@dpu_function
def mark_tokens(group: View, skipped: int, filled: int) -> None:
    """Behind the queries' scores, weights of 1 for the tokens that take part."""
    ones = group.window(len(group) - GROUP, GROUP)
    for j in range(skipped, filled):
        ones[j] = 1


@dpu_function
def mark_nothing(group: View, skipped: int, filled: int) -> None:
    """A group holds the queries' scores, nothing else."""


@dpu_function
def add_biases(
    t: Tasklet, a: View, query: int, first: int, skipped: int, filled: int, scores: View, cells: View
) -> None:
    """Add the biases of eight tokens to one query's scores (ALiBi, K-9)."""
    mram_read(t, a[Argument.BIASES] + query * a[Argument.BIAS_STRIDE] + 8 * first, cells, 8 * GROUP)
    for j in range(skipped, filled):
        scores[j] = scores[j] + cells[j]


def scorer(
    arguments: WramSymbol,
    sizes: FixedSizes,
    kind: IntegerType,
    score: IntegerType,
    state_length: int,
    unpack: DpuFunction,
    begin: DpuFunction,
    observe: DpuFunction,
    mark: DpuFunction,
) -> DpuFunction:
    """Scores of all queries for each row of K, which is read once.

    `begin` gets each query's notes first, then `observe` every group of its scores.
    """
    dot, itemsize = dot_product(int64 if score.bits == 64 else int32, sizes), kind.itemsize
    read_row = row_reader(sizes)

    @dpu_function
    def score_tokens(
        t: Tasklet,
        worker: int,
        workers: int,
        stored: View,
        row: View,
        query: View,
        group: View,
        cells: View,
        states: View,
    ) -> None:
        a = arguments.array(t)
        dim, row_bytes = sizes.dim or a[Argument.DIM], sizes.row_bytes or a[Argument.ROW_BYTES]
        queries, end = sizes.queries or a[Argument.QUERIES], a[Argument.END]
        stride, group_bytes = len(query) // queries, group.nbytes
        for i in range(queries):
            begin(states.window((worker * queries + i) * state_length, state_length))
        key, stored_key = row.window(0, dim), stored.window(0, row_bytes // itemsize)
        for first in range(first_group(a, worker), end, GROUP * workers):
            skipped, filled = max(0, a[Argument.FIRST] - first), min(GROUP, end - first)
            rows = group_address(t, a, a[Argument.K], first, row_bytes, cells)
            clear(group)
            for j in range(skipped, filled):
                read_row(t, rows, j, row_bytes, stored_key, row_bytes)
                unpack(t, stored_key, row)
                for i in range(queries):
                    group[GROUP * i + j] = dot(key, query.window(i * stride, dim))
            mark(group, skipped, filled)
            for i in range(queries):
                scores = group.window(GROUP * i, GROUP)
                if a[Argument.BIASES] != 0:
                    add_biases(t, a, i, first, skipped, filled, scores, cells)
                state = states.window((worker * queries + i) * state_length, state_length)
                observe(state, scores, skipped, filled)
            mram_write(t, group, a[Argument.SCORES] + first // GROUP * group_bytes, group_bytes)

    return score_tokens
