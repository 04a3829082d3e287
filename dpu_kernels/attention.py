"""Decode attention of one head on one DPU: scores, normalisation, weighted sum of V.

Tasklet 0 is the master, the others are workers: worker w takes the groups of eight tokens g with g mod workers = w.
Phases: scores | normalisation | weighted sums | merge, with a barrier between; every number of tasklets from 2 to 24
gives the same bits. Rows of K and V are read with one DMA each. Memory addresses and sizes come in `arguments`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Literal, NamedTuple

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    barrier_wait,
    charge,
    div,
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
)
from pim_runtime.program import DpuProgram, dpu_program
from pim_runtime.symbols import WramSymbol

__all__ = [
    "ALIGNMENT",
    "GROUP",
    "TABLE_SIZE",
    "Argument",
    "attention_program",
    "output_kind",
    "output_length",
    "padded",
    "rows_in_a_pass",
    "score_kind",
]

GROUP = 8  # tokens whose scores move in one DMA
TABLE_SIZE = 257  # 2**(30 - i/256) for i = 0 to 256, and one more for the interpolation
STACK_BYTES = 384  # the default 1024 would leave no room for 24 tasklets with 128 dimensions of int32
ALIGNMENT = 64  # of a tasklet's buffers: rows that start on a cache line of the host are computed with much faster
LOWEST = -(1 << 62)  # below every score: plans keep |score| <= 2**61


class Argument(IntEnum):
    """Places in the host variable `arguments`. Addresses are MRAM offsets, `*_bytes` are padded to DMA granularity."""

    DIM = 0
    TOKENS = 1
    ROW_BYTES = 2  # one row of q, K or V
    Q = 3
    K = 4
    V = 5
    SCORES = 6
    PARTIALS = 7  # one partial output per worker
    OUTPUT = 8
    OUTPUT_BYTES = 9
    SCORE_SLOTS = 10  # instruction slots that the host states per score, weight and weighted row
    NORM_SLOTS = 11
    SUM_SLOTS = 12
    MERGE_SLOTS = 13  # and per partial output that the master adds
    MULTIPLIER = 14  # of the softmax plan (host.attention.softmax_plan)
    SHIFT = 15
    PRE_SHIFT = 16
    MAX_DIFFERENCE = 17
    PROBABILITY_BITS = 18


DIM, TOKENS, ROW_BYTES = int(Argument.DIM), int(Argument.TOKENS), int(Argument.ROW_BYTES)
Q, K, V = int(Argument.Q), int(Argument.K), int(Argument.V)
SCORES, PARTIALS = int(Argument.SCORES), int(Argument.PARTIALS)
OUTPUT, OUTPUT_BYTES = int(Argument.OUTPUT), int(Argument.OUTPUT_BYTES)
SCORE_SLOTS, NORM_SLOTS = int(Argument.SCORE_SLOTS), int(Argument.NORM_SLOTS)
SUM_SLOTS, MERGE_SLOTS = int(Argument.SUM_SLOTS), int(Argument.MERGE_SLOTS)
MULTIPLIER, SHIFT, PRE_SHIFT = int(Argument.MULTIPLIER), int(Argument.SHIFT), int(Argument.PRE_SHIFT)
MAX_DIFFERENCE, PROBABILITY_BITS = int(Argument.MAX_DIFFERENCE), int(Argument.PROBABILITY_BITS)

Norm = Literal["div_d", "softmax"]
Accumulation = Literal["wrap", "wide"]


def score_kind(kind: IntegerType, acc: Accumulation) -> IntegerType:
    """Type of a stored score: the operands' own when it wraps, else wide enough for the exact sum (K-1)."""
    if acc == "wrap":
        return kind
    return int32 if kind.bits == 8 else int64


def output_kind(kind: IntegerType, acc: Accumulation) -> IntegerType:
    """Type of a stored output."""
    return kind if acc == "wrap" else int64


def padded(nbytes: int) -> int:
    """Bytes that a row takes in MRAM: a multiple of the DMA granularity."""
    return (nbytes + 7) & -8


def rows_in_a_pass(kind: IntegerType) -> int:
    """Rows of V that are added up in one pass over the output: as many as take the room of one int32 row."""
    return 4 // kind.itemsize


def output_length(dim: int, norm: Norm) -> int:
    """Elements of a stored output."""
    return dim + 2 if norm == "softmax" else dim


class FixedRows(NamedTuple):
    """Sizes that are constants of a program, as `DIM_HEAD` is in C; 0 leaves them to `arguments`."""

    dim: int
    row_bytes: int


@dpu_program
def attention_program(kind: IntegerType, norm: Norm, acc: Accumulation, dim: int = 0) -> DpuProgram:
    """The program for operands of type `kind`, and for heads of `dim` elements, or of any size for 0.

    A constant size makes DMAs and inner loops faster to emulate. It changes neither results nor counters.
    Host variables: `arguments` int64 [19] and, for softmax, `exp2_table` uint32 [257]. The output at Argument.OUTPUT is
    [dim] of the operands' type when acc="wrap", else int64. Softmax outputs are sums of weights times V, still to be
    divided by the sum of weights; behind them stand the largest score and that sum, so the output is int64 [dim + 2].
    """
    score, output = score_kind(kind, acc), output_kind(kind, acc)
    fixed = FixedRows(dim, padded(dim * kind.itemsize))
    name = f"attention_{kind}_{norm}_{acc}" + (f"_{dim}" if dim else "")
    program = DpuProgram(name, nr_tasklets=17, stack_bytes=STACK_BYTES)
    arguments = program.host("arguments", int64, len(Argument))
    maxima = program.wram("maxima", int64, 24)
    weight_sums = program.wram("weight_sums", int64, 24)
    ready, scored = program.barrier("ready"), program.barrier("scored")
    normalised, summed = program.barrier("normalised"), program.barrier("summed")
    if norm == "softmax":
        table = program.host("exp2_table", uint32, TABLE_SIZE)
        normalise = softmax_weights(arguments, table, maxima, score)
        finish = append_sums(arguments, maxima, weight_sums)
    else:
        normalise = divide_scores(arguments, fixed, score)
        finish = nothing_to_append
    score_tokens = scorer(arguments, fixed, score)
    rows_per_pass = rows_in_a_pass(kind)
    weigh_values = weighted_sum(arguments, fixed, score, rows_per_pass)

    @program.kernel
    def attention(t: Tasklet) -> Iterator[int]:
        if me(t) == 0:
            mem_reset(t)
        yield barrier_wait(t, ready)
        a = arguments.array(t)
        worker, workers, row_bytes = me(t) - 1, nr_tasklets(t) - 1, fixed.row_bytes or a[ROW_BYTES]
        mem_alloc(t, uint8, -mem_alloc(t, uint8, 0).address % ALIGNMENT)
        rows = mem_alloc(t, kind, rows_per_pass * row_bytes // kind.itemsize)
        query = mem_alloc(t, kind, row_bytes // kind.itemsize)
        total = mem_alloc(t, output, a[OUTPUT_BYTES] // output.itemsize)
        group = mem_alloc(t, score, GROUP)
        if worker >= 0:
            mram_read(t, a[Q], query, row_bytes)
            maxima.array(t)[worker] = score_tokens(t, worker, workers, rows, query, group)
        yield barrier_wait(t, scored)
        if worker >= 0:
            weight_sums.array(t)[worker] = normalise(t, worker, workers, group)
        yield barrier_wait(t, normalised)
        if worker >= 0:
            weigh_values(t, worker, workers, rows, group, total)
            mram_write(t, total, a[PARTIALS] + worker * a[OUTPUT_BYTES], a[OUTPUT_BYTES])
        yield barrier_wait(t, summed)
        if worker < 0:
            part = mem_alloc(t, output, a[OUTPUT_BYTES] // output.itemsize)
            dim = fixed.dim or a[DIM]
            clear(total)
            for other in range(workers):
                mram_read(t, a[PARTIALS] + other * a[OUTPUT_BYTES], part, a[OUTPUT_BYTES])
                charge(t, a[MERGE_SLOTS])
                add_scaled(total.window(0, dim), 1, part.window(0, dim))
            finish(t, workers, total)
            mram_write(t, total, a[OUTPUT], a[OUTPUT_BYTES])

    return program


@dpu_function
def clear(view: View) -> None:
    for i in range(len(view)):
        view[i] = 0


@dpu_function
def add_scaled(total: View, factor: int, row: View) -> None:
    """total += factor * row, in the type of `total`; both have the same length."""
    for i in range(len(total)):
        total[i] = total[i] + factor * row[i]


@dpu_function
def largest(values: View, count: int) -> int:
    best = LOWEST
    for i in range(count):
        best = max(best, values[i])
    return best


@dpu_function
def sum_of(values: View, count: int) -> int:
    total = 0
    for i in range(count):
        total += values[i]
    return total


@dpu_function
def round_shift(value: int, distance: int) -> int:
    """value / 2**distance, halves rounded up."""
    return (value + ((1 << distance) >> 1)) >> distance


def scorer(arguments: WramSymbol, fixed: FixedRows, score: IntegerType) -> DpuFunction:
    """Phase 1: scores of a worker's tokens, to MRAM; gives the largest."""
    accumulator = int64 if score.bits == 64 else int32  # at least as wide as a score, so wrapping once is enough

    @dpu_function
    def dot(a: View, b: View) -> int:
        total = accumulator(0)
        for i in range(len(a)):
            total = accumulator(total + a[i] * b[i])
        return total

    @dpu_function
    def score_tokens(t: Tasklet, worker: int, workers: int, row: View, query: View, group: View) -> int:
        a = arguments.array(t)
        dim, row_bytes = fixed.dim or a[DIM], fixed.row_bytes or a[ROW_BYTES]
        tokens, best = a[TOKENS], LOWEST
        for first in range(GROUP * worker, tokens, GROUP * workers):
            filled = min(GROUP, tokens - first)
            clear(group)
            for j in range(filled):
                mram_read(t, a[K] + (first + j) * row_bytes, row, row_bytes)
                group[j] = dot(row.window(0, dim), query.window(0, dim))
                best = max(best, group[j])
            charge(t, filled * a[SCORE_SLOTS])
            mram_write(t, group, a[SCORES] + first * score.itemsize, GROUP * score.itemsize)
        return best

    return score_tokens


def divide_scores(arguments: WramSymbol, fixed: FixedRows, score: IntegerType) -> DpuFunction:
    """Phase 2 of norm "div_d": score / dim, truncated as in C (K-4)."""

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View) -> int:
        a = arguments.array(t)
        dim, tokens = fixed.dim or a[DIM], a[TOKENS]
        for first in range(GROUP * worker, tokens, GROUP * workers):
            mram_read(t, a[SCORES] + first * score.itemsize, group, GROUP * score.itemsize)
            for j in range(GROUP):
                group[j] = div(int64, group[j], dim)  # in C, too, operands are promoted: dim need not fit a score
            charge(t, GROUP * a[NORM_SLOTS])
            mram_write(t, group, a[SCORES] + first * score.itemsize, GROUP * score.itemsize)
        return 0

    return normalise


def softmax_weights(arguments: WramSymbol, table: WramSymbol, maxima: WramSymbol, score: IntegerType) -> DpuFunction:
    """Phase 2 of norm "softmax": weights 2**-(slope * (max - score)) in Q(P), as SoftmaxPlan says; gives their sum."""

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View) -> int:
        a, power = arguments.array(t), table.array(t)
        tokens, multiplier, shift, pre_shift = a[TOKENS], a[MULTIPLIER], a[SHIFT], a[PRE_SHIFT]
        max_difference, bits = a[MAX_DIFFERENCE], a[PROBABILITY_BITS]
        top, total = largest(maxima.array(t), workers), 0
        for first in range(GROUP * worker, tokens, GROUP * workers):
            mram_read(t, a[SCORES] + first * score.itemsize, group, GROUP * score.itemsize)
            for j in range(GROUP):
                difference, weight = top - group[j], 0
                if (difference <= max_difference) & (first + j < tokens):
                    exponent = round_shift(round_shift(difference, pre_shift) * multiplier, shift)
                    halvings, step, rest = exponent >> 16, (exponent >> 8) & 255, exponent & 255
                    if halvings <= bits + 1:
                        left = power[step]
                        value = left - (((left - power[step + 1]) * rest + 128) >> 8)
                        weight = round_shift(value, 30 - bits + halvings)
                group[j] = weight
                total += weight
            charge(t, GROUP * a[NORM_SLOTS])
            mram_write(t, group, a[SCORES] + first * score.itemsize, GROUP * score.itemsize)
        return total

    return normalise


def append_sums(arguments: WramSymbol, maxima: WramSymbol, weight_sums: WramSymbol) -> DpuFunction:
    """End of norm "softmax": the largest score and the sum of weights go behind the output."""

    @dpu_function
    def finish(t: Tasklet, workers: int, total: View) -> None:
        dim = arguments.array(t)[DIM]
        total[dim] = largest(maxima.array(t), workers)
        total[dim + 1] = sum_of(weight_sums.array(t), workers)

    return finish


@dpu_function
def nothing_to_append(t: Tasklet, workers: int, total: View) -> None:
    """End of norm "div_d"."""


@dpu_function
def add_scaled_2(total: View, w0: int, r0: View, w1: int, r1: View) -> None:
    """total += w0 * r0 + w1 * r1: one pass over `total` for two rows."""
    for i in range(len(total)):
        total[i] = total[i] + w0 * r0[i] + w1 * r1[i]


@dpu_function
def add_scaled_4(total: View, w0: int, r0: View, w1: int, r1: View, w2: int, r2: View, w3: int, r3: View) -> None:
    """total += w0 * r0 + w1 * r1 + w2 * r2 + w3 * r3: one pass over `total` for four rows."""
    for i in range(len(total)):
        total[i] = total[i] + (w0 * r0[i] + w1 * r1[i]) + (w2 * r2[i] + w3 * r3[i])


def row_adder(rows_per_pass: int) -> DpuFunction:
    """Adds `rows_per_pass` rows, which stand `stride` elements apart in `rows`, times the weights from `first` on."""

    @dpu_function
    def add_4(total: View, group: View, first: int, rows: View, stride: int) -> None:
        dim = len(total)
        r0, r1 = rows.window(0, dim), rows.window(stride, dim)
        r2, r3 = rows.window(2 * stride, dim), rows.window(3 * stride, dim)
        w0, w1, w2, w3 = group[first], group[first + 1], group[first + 2], group[first + 3]
        add_scaled_4(total, w0, r0, w1, r1, w2, r2, w3, r3)

    @dpu_function
    def add_2(total: View, group: View, first: int, rows: View, stride: int) -> None:
        dim = len(total)
        add_scaled_2(total, group[first], rows.window(0, dim), group[first + 1], rows.window(stride, dim))

    @dpu_function
    def add_1(total: View, group: View, first: int, rows: View, stride: int) -> None:
        add_scaled(total, group[first], rows.window(0, len(total)))

    return {1: add_1, 2: add_2, 4: add_4}[rows_per_pass]


def weighted_sum(arguments: WramSymbol, fixed: FixedRows, score: IntegerType, rows_per_pass: int) -> DpuFunction:
    """Phase 3: the sum of a worker's V rows, each times its weight. GROUP is a multiple of `rows_per_pass`."""
    add_rows = row_adder(rows_per_pass)

    @dpu_function
    def weigh_values(t: Tasklet, worker: int, workers: int, rows: View, group: View, total: View) -> None:
        a = arguments.array(t)
        dim, row_bytes = fixed.dim or a[DIM], fixed.row_bytes or a[ROW_BYTES]
        tokens, stride = a[TOKENS], len(rows) // rows_per_pass
        clear(total)
        sum_of_rows = total.window(0, dim)
        for first in range(GROUP * worker, tokens, GROUP * workers):
            filled = min(GROUP, tokens - first)
            mram_read(t, a[SCORES] + first * score.itemsize, group, GROUP * score.itemsize)
            for j in range(0, filled, rows_per_pass):
                for k in range(min(rows_per_pass, filled - j)):
                    row = rows.window(k * stride, stride)
                    mram_read(t, a[V] + (first + j + k) * row_bytes, row, row_bytes)
                # Beyond the last token stand rows of earlier ones; their weights are 0.
                add_rows(sum_of_rows, group, j, rows, stride)
            charge(t, filled * a[SUM_SLOTS])

    return weigh_values
