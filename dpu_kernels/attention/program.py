"""Decode attention of one KV head on one DPU: scores, normalisation, weighted sum of V, for all queries that share it.

Tasklet 0 is the master, the others are workers: worker w takes the groups of eight tokens g with g mod workers = w.
Phases: scores | normalisation | weighted sums | merge, with a barrier between; every number of tasklets from 2 to 24
gives the same bits. Rows of K and V are read once, with one DMA each. Memory addresses and sizes come in `arguments`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pim_runtime.device import (
    Tasklet,
    barrier_wait,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    nr_tasklets,
    uint8,
    wram_view,
)
from pim_runtime.program import DpuProgram, dpu_program

from .buffers import STATES_AT, query_reader, sharer
from .exponential import Exponential
from .phases import norm_phases, nothing
from .rows import unpacker
from .scores import scorer
from .shapes import (
    ALIGNMENT,
    GROUP,
    STACK_BYTES,
    STATE_LENGTH,
    Accumulation,
    Argument,
    DTypeName,
    FixedSizes,
    Norm,
    Products,
    Stage,
    output_kind,
    running_kind,
    score_kind,
    storage,
    weight_kind,
)
from .sums import appender, merger, weighted_sum

__all__ = ["attention_program"]


@dpu_program
def attention_program(
    dtype: DTypeName,
    norm: Norm,
    acc: Accumulation,
    exponential: Exponential = "lut256_lerp",
    dim: int = 0,
    products: Products = "int64",
) -> DpuProgram:
    """The program for operands of type `dtype` and any norm but softmax_online.

    dim: makes programs for one query and heads of this size only, with faster DMAs and inner loops to emulate. It
    does not change results, and the clock sees that the compiler knows the sizes. 0: heads of any size, any number of
    queries.
    products: type of the products of weights and V where sums have 64 bits, see `products_of`; int64 is always right.
    Host variables: `arguments` int32 [len(Argument)], `constants` int64 [MAX_QUERIES * 5] (SoftmaxConstant or
    ZscoreConstant) unless norm is div_d or zscore_linear, and for softmax `exp2_table` uint32 [257].
    Output, at Argument.OUTPUT, a row of Argument.OUTPUT_BYTES per query: its weighted sum [dim], of the operands' type
    when acc="wrap", else int64; behind it STATE_LENGTH[norm] statistics int64 (SoftmaxState, ZscoreState). Softmax sums
    are still to be divided by the sum of weights. zscore_linear has one more row: the sum of V, without weights.
    """
    operands = storage(dtype)
    kind, score, output = operands.kind, score_kind(operands.kind, acc), output_kind(operands.kind, acc)
    sizes, elements_per_item = FixedSizes.of(operands, dim), operands.elements_per_item
    name = (
        f"attention_{dtype}_{norm}_{acc}"
        + (f"_{exponential}_{products}_products" if norm == "softmax" else "")
        + (f"_{dim}" if dim else "")
    )
    program = DpuProgram(name, nr_tasklets=17, stack_bytes=STACK_BYTES)
    arguments, shared = program.host("arguments", int32, len(Argument)), program.wram("shared", int64, 2)
    ready, scored, summed = program.barrier("ready"), program.barrier("scored"), program.barrier("summed")
    measured, normalised = program.barrier("measured"), program.barrier("normalised")
    phases, unpack = norm_phases(program, arguments, norm, score, exponential, sizes), unpacker(elements_per_item)
    notes, extra_rows, statistics_length = phases.notes, phases.extra_rows, STATE_LENGTH[norm]
    measure, normalise = phases.measure, phases.normalise
    measures, normalises = int(measure is not nothing), int(normalise is not nothing)
    weight, running = weight_kind(operands, norm, acc), running_kind(operands, norm, acc)
    product = int64 if running.bits == 64 and products == "int64" else int32
    narrow = int(running is not output)
    share, read_queries = sharer(arguments, shared, kind, notes), query_reader(arguments, shared, sizes, kind)
    score_tokens = scorer(arguments, sizes, kind, score, notes, unpack, phases.begin, phases.observe, phases.mark)
    weigh_values = weighted_sum(arguments, sizes, operands, weight, product, running, output, extra_rows, unpack)
    merge_sums = merger(arguments, sizes, output, acc, extra_rows)
    append = appender(arguments, sizes, statistics_length, phases.finish)

    @program.kernel
    def attention(t: Tasklet) -> Iterator[int]:
        a = arguments.array(t)
        queries, worker, workers = sizes.queries or a[Argument.QUERIES], me(t) - 1, nr_tasklets(t) - 1
        if worker < 0:
            mem_reset(t)
            share(t, queries, workers)
        yield barrier_wait(t, ready)
        columns, stage = ((sizes.dim or a[Argument.COLUMNS]) + 7) & -8, a[Argument.STAGE]
        mem_alloc(t, uint8, -mem_alloc(t, uint8, 0).address % ALIGNMENT)
        rows = mem_alloc(t, kind, a[Argument.BUFFER_BYTES] * elements_per_item // kind.itemsize)
        stored = rows
        if elements_per_item > 1:
            stored = mem_alloc(t, kind, a[Argument.BUFFER_BYTES] // kind.itemsize)
        query = read_queries(t, queries, worker)
        total = mem_alloc(t, output, (queries + extra_rows) * columns)
        sums = total
        if narrow:
            sums = mem_alloc(t, running, (queries + extra_rows) * columns)
        group = mem_alloc(t, score, (queries + extra_rows) * GROUP)
        cells = mem_alloc(t, int64, GROUP)
        states = wram_view(t, int64, shared.array(t)[STATES_AT], workers * queries * notes)
        if (worker >= 0) & (stage != Stage.SUMS):
            score_tokens(t, worker, workers, stored, rows, query, group, cells, states)
        yield barrier_wait(t, scored)
        if measures:
            if (worker >= 0) & (stage == Stage.ALL):
                measure(t, worker, workers, group, cells, states)
            yield barrier_wait(t, measured)
        if normalises:
            if (worker >= 0) & (stage != Stage.STATISTICS):
                normalise(t, worker, workers, group, cells, states)
            yield barrier_wait(t, normalised)
        if (worker >= 0) & (stage != Stage.STATISTICS):
            weigh_values(t, worker, workers, stored, rows, group, cells, sums, total)
        yield barrier_wait(t, summed)
        if (worker < 0) & (stage != Stage.STATISTICS):
            merge_sums(t, workers, total, mem_alloc(t, output, columns))
        if (worker < 0) & (stage != Stage.SUMS):
            append(t, workers, cells, states)
        if (worker < 0) & (stage != Stage.ALL):
            a[Argument.STAGE] = Stage.STATISTICS + Stage.SUMS - stage

    return program
