"""Decode attention of one KV head on one DPU over the tokens that reach a threshold (S4-13, SPRINT on DPUs).

As dense attention (dpu_kernels.attention.program), with the same division of tokens among the workers, except that
phase 1 first decides with packed upper halves of K, and everything after that is done for what is kept only. Phases:
decisions and scores | normalisation | weighted sums | merge. Every number of tasklets from 2 to 24 gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator

from pim_runtime.device import (
    DpuFunction,
    Tasklet,
    barrier_wait,
    dpu_function,
    int8,
    int16,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    nr_tasklets,
    uint8,
    wram_view,
)
from pim_runtime.program import DpuProgram, dpu_program
from pim_runtime.symbols import WramSymbol

from ..attention.buffers import STATES_AT, query_reader, sharer
from ..attention.exponential import Exponential
from ..attention.phases import nothing
from ..attention.shapes import (
    ALIGNMENT,
    GROUP,
    STACK_BYTES,
    Argument,
    FixedSizes,
    Products,
    output_kind,
    running_kind,
    score_kind,
    storage,
    weight_kind,
)
from ..attention.sums import appender, merger
from .norms import pruned_phases
from .places import LEVELS_AT, PLACE_NOTES, SHARED_ADDRESSES, TABLES_AT, THRESHOLDS_AT, note_views
from .products import nibble_products, tabulator
from .scores import survivors_scorer
from .shapes import PRUNED_STATE_LENGTH, TABLE_LENGTH, Decision, PrunedNorm, SelectionArgument, nibble_row_bytes
from .sums import survivors_sum

__all__ = ["pruned_attention_program"]


@dpu_program
def pruned_attention_program(
    norm: PrunedNorm,
    exponential: Exponential = "lut256_lerp",
    dim: int = 0,
    products: Products = "int64",
    decision: Decision = "tables",
) -> DpuProgram:
    """The program for int8 operands, exact accumulators, and norm softmax, div_d or zscore (a whole head).

    exponential, dim, products: as in `attention_program`, whose host variables and output it has. A query that keeps no
    token has sums of 0, and for softmax a weight sum of 0. Statistics are those of PRUNED_STATE_LENGTH.
    decision: how packed rows are multiplied (module `products`), with the same results.
    Host variable `selection`: int32 [len(SelectionArgument)]. At its LEVELS a row of int8 per query, at THRESHOLDS an
    int64 per query: token j is kept where sum_i levels[i] * nibbles[j][i] >= threshold. At KEPT the bits of the tokens
    that were kept (`shapes.kept_bytes`).
    """
    operands = storage("int8")
    score, output = score_kind(int8, "wide"), output_kind(int8, "wide")
    sizes, nibbles_bytes = FixedSizes.of(operands, dim), nibble_row_bytes(dim)
    name = f"pruned_attention_{norm}_{decision}"
    name += f"_{exponential}_{products}_products" if norm == "softmax" else ""
    program = DpuProgram(name + (f"_{dim}" if dim else ""), nr_tasklets=17, stack_bytes=STACK_BYTES)
    arguments, shared = program.host("arguments", int32, len(Argument)), program.wram("shared", int64, SHARED_ADDRESSES)
    selection = program.host("selection", int32, len(SelectionArgument))
    ready, scored, summed = program.barrier("ready"), program.barrier("scored"), program.barrier("summed")
    tabulated, normalised = program.barrier("tabulated"), program.barrier("normalised")
    measured = program.barrier("measured")
    phases = pruned_phases(program, arguments, shared, norm, score, exponential, sizes)
    notes, measure, normalise = phases.notes, phases.measure, phases.normalise
    measures, normalises = int(measure is not nothing), int(normalise is not nothing)
    weight, running = weight_kind(operands, norm, "wide"), running_kind(operands, norm, "wide")
    product = int64 if running.bits == 64 and products == "int64" else int32
    narrow = int(running is not output)
    share = sharer(arguments, shared, int8, notes + PLACE_NOTES)
    read_queries = query_reader(arguments, shared, sizes, int8)
    tabulates, nibbles = int(decision == "tables"), nibble_products(decision, sizes)
    packed_kind, tabulate = nibbles.packed, tabulator()
    share_decisions = decision_sharer(arguments, selection, shared, decision)
    ends_of, counts_of = note_views(shared, notes)
    score_survivors = survivors_scorer(arguments, selection, sizes, nibbles, score, notes, phases.begin, phases.settle)
    weigh_survivors = survivors_sum(arguments, selection, sizes, operands, score, weight, product, running, output)
    merge_sums = merger(arguments, sizes, output, "wide", 0)
    append = appender(arguments, sizes, PRUNED_STATE_LENGTH[norm], phases.finish)

    @program.kernel
    def pruned_attention(t: Tasklet) -> Iterator[int]:
        a = arguments.array(t)
        queries, worker, workers = sizes.queries or a[Argument.QUERIES], me(t) - 1, nr_tasklets(t) - 1
        if worker < 0:
            mem_reset(t)
            share(t, queries, workers)
            share_decisions(t, queries)
        yield barrier_wait(t, ready)
        columns, addresses = ((sizes.dim or a[Argument.COLUMNS]) + 7) & -8, shared.array(t)
        mem_alloc(t, uint8, -mem_alloc(t, uint8, 0).address % ALIGNMENT)
        rows = mem_alloc(t, int8, a[Argument.BUFFER_BYTES])
        packed, unpacked = wram_view(t, packed_kind, rows.address, a[Argument.BUFFER_BYTES]), rows
        if not tabulates:
            unpacked = mem_alloc(t, int8, 2 * (nibbles_bytes or selection.array(t)[SelectionArgument.ROW_BYTES]))
        query = read_queries(t, queries, worker)
        total = mem_alloc(t, output, queries * columns)
        sums = total
        if narrow:
            sums = mem_alloc(t, running, queries * columns)
        group, weights = mem_alloc(t, score, queries * GROUP), mem_alloc(t, score, queries * GROUP)
        cells, places = mem_alloc(t, int64, GROUP), mem_alloc(t, int64, queries)
        bits = mem_alloc(t, uint8, queries * GROUP)
        levels = wram_view(t, int8, addresses[LEVELS_AT], queries * a[Argument.Q_BYTES])
        asked = levels
        if tabulates:
            pairs = ((sizes.dim or a[Argument.DIM]) + 1) // 2
            asked = wram_view(t, int16, addresses[TABLES_AT], queries * pairs * TABLE_LENGTH)
            if worker >= 0:
                tabulate(levels, asked, queries, pairs, worker, workers)
            yield barrier_wait(t, tabulated)
        thresholds = wram_view(t, int64, addresses[THRESHOLDS_AT], queries)
        states = wram_view(t, int64, addresses[STATES_AT], workers * queries * (notes + PLACE_NOTES))
        ends, counts = ends_of(t, workers, queries), counts_of(t, workers, queries)
        if worker >= 0:
            score_survivors(
                t,
                worker,
                workers,
                rows,
                packed,
                unpacked,
                query,
                asked,
                thresholds,
                group,
                cells,
                bits,
                states,
                ends,
                counts,
            )
        yield barrier_wait(t, scored)
        if measures:
            if worker >= 0:
                measure(t, worker, workers, group, cells, states)
            yield barrier_wait(t, measured)
        if normalises:
            if worker >= 0:
                normalise(t, worker, workers, group, cells, states)
            yield barrier_wait(t, normalised)
        if worker >= 0:
            weigh_survivors(t, worker, workers, rows, group, weights, cells, bits, places, sums, total)
        yield barrier_wait(t, summed)
        if worker < 0:
            merge_sums(t, workers, total, mem_alloc(t, output, columns))
            append(t, workers, cells, states)

    return program


def decision_sharer(
    arguments: WramSymbol, selection: WramSymbol, shared: WramSymbol, decision: Decision
) -> DpuFunction:
    """The master's reservation for decisions: levels, tables and thresholds of the queries."""
    tabulates = int(decision == "tables")

    @dpu_function
    def share_decisions(t: Tasklet, queries: int) -> None:
        a, s, addresses = arguments.array(t), selection.array(t), shared.array(t)
        row_bytes = a[Argument.Q_BYTES]
        levels = mem_alloc(t, int8, queries * row_bytes)
        for i in range(queries):
            row = levels.window(i * row_bytes, row_bytes)
            mram_read(t, s[SelectionArgument.LEVELS] + i * row_bytes, row, row_bytes)
        thresholds = mem_alloc(t, int64, queries)
        mram_read(t, s[SelectionArgument.THRESHOLDS], thresholds, 8 * queries)
        addresses[LEVELS_AT] = levels.address
        addresses[THRESHOLDS_AT] = thresholds.address
        if tabulates:
            pairs = (a[Argument.DIM] + 1) // 2
            addresses[TABLES_AT] = mem_alloc(t, int16, queries * pairs * TABLE_LENGTH).address

    return share_decisions
