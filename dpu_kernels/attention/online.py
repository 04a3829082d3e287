"""Norm "softmax_online": scores, weights and sums in one pass over the tokens, without scores in MRAM (K-8).

Every worker keeps a running maximum, weight sum and weighted sum per query. A new maximum rescales the sums by a weight
in Q30; at the end the master rescales and adds the workers' sums in their order. So the result depends on the number of
tasklets, within the bound of K-8.
"""

from __future__ import annotations

from collections.abc import Iterator

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    barrier_wait,
    dpu_function,
    int32,
    int64,
    me,
    mem_alloc,
    mem_reset,
    mram_read,
    mram_write,
    nr_tasklets,
    uint8,
    uint32,
    wram_view,
)
from pim_runtime.program import DpuProgram, dpu_program
from pim_runtime.symbols import WramSymbol

from ..fixed_point import times_q30
from .buffers import STATES_AT, query_reader, sharer
from .exponential import Exponential
from .powers import power_of_two
from .rows import add_to, clear, dot_product, first_group, group_address, row_reader, scaled_adder, unpacker
from .shapes import (
    ALIGNMENT,
    GROUP,
    MAX_QUERIES,
    STACK_BYTES,
    TABLE_SIZE,
    Argument,
    DTypeName,
    FixedSizes,
    OnlineState,
    Products,
    SoftmaxConstant,
    score_kind,
    storage,
)
from .softmax import weigher
from .statistics import LOWEST

__all__ = ["online_program"]

LENGTH, NR_CONSTANTS = len(OnlineState), len(SoftmaxConstant)
ONE = 1 << 30  # of a rescaling factor


@dpu_program
def online_program(
    dtype: DTypeName, exponential: Exponential = "lut256_lerp", dim: int = 0, products: Products = "int64"
) -> DpuProgram:
    """The program of norm softmax_online; parameters, host variables and output as in `attention_program`.

    The statistics behind each output are those of OnlineState. Argument.COLUMNS is the whole row.
    """
    operands = storage(dtype)
    kind, score, sizes = operands.kind, score_kind(operands.kind, "wide"), FixedSizes.of(operands, dim)
    elements_per_item = operands.elements_per_item
    product = {"int32": int32, "int64": int64}[products]
    name = f"attention_{dtype}_softmax_online_{exponential}_{products}_products" + (f"_{dim}" if dim else "")
    program = DpuProgram(name, nr_tasklets=17, stack_bytes=STACK_BYTES)
    arguments, shared = program.host("arguments", int32, len(Argument)), program.wram("shared", int64, 2)
    constants = program.host("constants", int64, MAX_QUERIES * NR_CONSTANTS)
    ready, summed = program.barrier("ready"), program.barrier("summed")
    power = power_of_two(exponential, program.host("exp2_table", uint32, TABLE_SIZE))
    factor_of = rescaler(constants, weigher(power))
    share, read_queries = sharer(arguments, shared, kind, LENGTH), query_reader(arguments, shared, sizes, kind)
    unpack = unpacker(elements_per_item)
    attend = attender(arguments, constants, sizes, kind, score, product, unpack, weigher(power), factor_of)
    merge = merger(arguments, factor_of)

    @program.kernel
    def attention(t: Tasklet) -> Iterator[int]:
        a = arguments.array(t)
        queries, worker, workers = sizes.queries or a[Argument.QUERIES], me(t) - 1, nr_tasklets(t) - 1
        if worker < 0:
            mem_reset(t)
            share(t, queries, workers)
        yield barrier_wait(t, ready)
        dim = sizes.dim or a[Argument.DIM]
        mem_alloc(t, uint8, -mem_alloc(t, uint8, 0).address % ALIGNMENT)
        row = mem_alloc(t, kind, a[Argument.BUFFER_BYTES] * elements_per_item // kind.itemsize)
        stored = row
        if elements_per_item > 1:
            stored = mem_alloc(t, kind, a[Argument.BUFFER_BYTES] // kind.itemsize)
        query = read_queries(t, queries, worker)
        totals = mem_alloc(t, int64, queries * dim)
        scores = mem_alloc(t, score, queries)
        biases = mem_alloc(t, int64, queries * GROUP)
        states = wram_view(t, int64, shared.array(t)[STATES_AT], workers * queries * LENGTH)
        if worker >= 0:
            notes = states.window(worker * queries * LENGTH, queries * LENGTH)
            attend(t, worker, workers, stored, row, query, scores, biases, notes, totals)
        yield barrier_wait(t, summed)
        if worker < 0:
            merge(t, workers, queries, totals.window(0, dim), mem_alloc(t, int64, dim), states, biases)

    return program


def rescaler(constants: WramSymbol, weight: DpuFunction) -> DpuFunction:
    """Factor in Q30 for sums whose maximum was smaller by `difference`; exactly 1 for the same maximum."""

    @dpu_function
    def factor_of(t: Tasklet, query: int, difference: int) -> int:
        plan = constants.array(t).window(query * NR_CONSTANTS, NR_CONSTANTS)
        if difference == 0:
            return ONE
        if difference > plan[SoftmaxConstant.MAX_DIFFERENCE]:
            return 0
        pre_shift, multiplier = plan[SoftmaxConstant.PRE_SHIFT], plan[SoftmaxConstant.MULTIPLIER]
        return weight(t, difference, pre_shift, multiplier, plan[SoftmaxConstant.SHIFT], 30)

    return factor_of


@dpu_function
def rescale(total: View, factor: int) -> None:
    for i in range(len(total)):
        total[i] = times_q30(total[i], factor)


def attender(
    arguments: WramSymbol,
    constants: WramSymbol,
    sizes: FixedSizes,
    kind: IntegerType,
    score: IntegerType,
    product: IntegerType,
    unpack: DpuFunction,
    weight: DpuFunction,
    factor_of: DpuFunction,
) -> DpuFunction:
    """A worker's one pass over its tokens."""
    dot, itemsize = dot_product(int64 if score.bits == 64 else int32, sizes), kind.itemsize
    read_row, add_scaled = row_reader(sizes), scaled_adder(product)

    @dpu_function
    def take_token(t: Tasklet, query: int, score: int, value: View, state: View, total: View) -> None:
        top = state[OnlineState.MAXIMUM]
        if score > top:
            if state[OnlineState.WEIGHT_SUM] > 0:
                factor = factor_of(t, query, score - top)
                state[OnlineState.WEIGHT_SUM] = times_q30(state[OnlineState.WEIGHT_SUM], factor)
                rescale(total, factor)
                state[OnlineState.RESCALES] = state[OnlineState.RESCALES] + 1
            state[OnlineState.MAXIMUM] = score
            top = score
        plan = constants.array(t).window(query * NR_CONSTANTS, NR_CONSTANTS)
        if top - score <= plan[SoftmaxConstant.MAX_DIFFERENCE]:
            pre_shift, multiplier = plan[SoftmaxConstant.PRE_SHIFT], plan[SoftmaxConstant.MULTIPLIER]
            shift, bits = plan[SoftmaxConstant.SHIFT], plan[SoftmaxConstant.PROBABILITY_BITS]
            share = weight(t, top - score, pre_shift, multiplier, shift, bits)
            state[OnlineState.WEIGHT_SUM] = state[OnlineState.WEIGHT_SUM] + share
            add_scaled(total, product(share), value)

    @dpu_function
    def attend(
        t: Tasklet,
        worker: int,
        workers: int,
        stored: View,
        row: View,
        query: View,
        scores: View,
        biases: View,
        notes: View,
        totals: View,
    ) -> None:
        a = arguments.array(t)
        dim, row_bytes = sizes.dim or a[Argument.DIM], sizes.row_bytes or a[Argument.ROW_BYTES]
        queries, end = sizes.queries or a[Argument.QUERIES], a[Argument.END]
        stride, element, stored_element = (
            len(query) // queries,
            row.window(0, dim),
            stored.window(0, row_bytes // itemsize),
        )
        clear(totals)
        clear(notes)
        for i in range(queries):
            notes[i * LENGTH + OnlineState.MAXIMUM] = LOWEST
        for first in range(first_group(a, worker), end, GROUP * workers):
            skipped, filled = max(0, a[Argument.FIRST] - first), min(GROUP, end - first)
            keys = group_address(t, a, a[Argument.K], first, row_bytes, biases)
            values = keys - a[Argument.K] + a[Argument.V]
            clear(biases)
            if a[Argument.BIASES] != 0:
                for i in range(queries):
                    source = a[Argument.BIASES] + i * a[Argument.BIAS_STRIDE] + 8 * first
                    mram_read(t, source, biases.window(i * GROUP, GROUP), 8 * GROUP)
            for j in range(skipped, filled):
                read_row(t, keys, j, row_bytes, stored_element, row_bytes)
                unpack(t, stored_element, row)
                for i in range(queries):
                    scores[i] = dot(element, query.window(i * stride, dim)) + biases[i * GROUP + j]
                read_row(t, values, j, row_bytes, stored_element, row_bytes)
                unpack(t, stored_element, row)
                for i in range(queries):
                    state = notes.window(i * LENGTH, LENGTH)
                    take_token(t, i, scores[i], element, state, totals.window(i * dim, dim))
        for i in range(queries):
            target = a[Argument.PARTIALS] + (worker * queries + i) * a[Argument.OUTPUT_BYTES]
            mram_write(t, totals.window(i * dim, dim), target, 8 * dim)

    return attend


def merger(arguments: WramSymbol, factor_of: DpuFunction) -> DpuFunction:
    """The master's part: the workers' sums, brought to the largest maximum one after the other."""

    @dpu_function
    def merge(t: Tasklet, workers: int, queries: int, total: View, part: View, states: View, cells: View) -> None:
        a = arguments.array(t)
        row_bytes = a[Argument.OUTPUT_BYTES]
        for i in range(queries):
            clear(total)
            top, weight_sum, rescales = LOWEST, 0, 0
            for worker in range(workers):
                state = states.window((worker * queries + i) * LENGTH, LENGTH)
                if state[OnlineState.WEIGHT_SUM] > 0:
                    mram_read(t, a[Argument.PARTIALS] + (worker * queries + i) * row_bytes, part, part.nbytes)
                    highest, part_sum = max(top, state[OnlineState.MAXIMUM]), state[OnlineState.WEIGHT_SUM]
                    part_rescales = state[OnlineState.RESCALES]
                    if (highest > top) & (weight_sum > 0):
                        factor = factor_of(t, i, highest - top)
                        weight_sum = times_q30(weight_sum, factor)
                        rescale(total, factor)
                        rescales += factor < ONE
                    if highest > state[OnlineState.MAXIMUM]:
                        factor = factor_of(t, i, highest - state[OnlineState.MAXIMUM])
                        part_sum = times_q30(part_sum, factor)
                        rescale(part, factor)
                        part_rescales += factor < ONE
                    top = highest
                    weight_sum += part_sum
                    rescales = max(rescales, part_rescales)
                    add_to(total, 1, part)
            mram_write(t, total, a[Argument.OUTPUT] + i * row_bytes, total.nbytes)
            cells[OnlineState.MAXIMUM] = top
            cells[OnlineState.WEIGHT_SUM] = weight_sum
            cells[OnlineState.RESCALES] = rescales
            mram_write(t, cells, a[Argument.OUTPUT] + (i + 1) * row_bytes - 8 * LENGTH, 8 * LENGTH)

    return merge
