"""The phases of the attention program, as helper functions of its kernel.

Each factory takes the program's symbols and types and gives the function for one phase. Worker w takes the groups of
eight tokens g with g mod workers = w.
"""

from __future__ import annotations

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    charge,
    div,
    dpu_function,
    int32,
    int64,
    mram_read,
    mram_write,
)
from pim_runtime.symbols import WramSymbol

from .shapes import GROUP, Argument, FixedRows

__all__ = [
    "add_scaled",
    "append_sums",
    "clear",
    "divide_scores",
    "nothing_to_append",
    "scorer",
    "softmax_weights",
    "weighted_sum",
]

LOWEST = -(1 << 62)  # below every score: plans keep |score| <= 2**61


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
        dim, row_bytes = fixed.dim or a[Argument.DIM], fixed.row_bytes or a[Argument.ROW_BYTES]
        tokens, best = a[Argument.TOKENS], LOWEST
        for first in range(GROUP * worker, tokens, GROUP * workers):
            filled = min(GROUP, tokens - first)
            clear(group)
            for j in range(filled):
                mram_read(t, a[Argument.K] + (first + j) * row_bytes, row, row_bytes)
                group[j] = dot(row.window(0, dim), query.window(0, dim))
                best = max(best, group[j])
            charge(t, filled * a[Argument.SCORE_SLOTS])
            mram_write(t, group, a[Argument.SCORES] + first * score.itemsize, GROUP * score.itemsize)
        return best

    return score_tokens


def divide_scores(arguments: WramSymbol, fixed: FixedRows, score: IntegerType) -> DpuFunction:
    """Phase 2 of norm "div_d": score / dim, truncated as in C (K-4)."""

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View) -> int:
        a = arguments.array(t)
        dim, tokens = fixed.dim or a[Argument.DIM], a[Argument.TOKENS]
        for first in range(GROUP * worker, tokens, GROUP * workers):
            mram_read(t, a[Argument.SCORES] + first * score.itemsize, group, GROUP * score.itemsize)
            for j in range(GROUP):
                group[j] = div(int64, group[j], dim)  # in C, too, operands are promoted: dim need not fit a score
            charge(t, GROUP * a[Argument.NORM_SLOTS])
            mram_write(t, group, a[Argument.SCORES] + first * score.itemsize, GROUP * score.itemsize)
        return 0

    return normalise


def softmax_weights(arguments: WramSymbol, table: WramSymbol, maxima: WramSymbol, score: IntegerType) -> DpuFunction:
    """Phase 2 of norm "softmax": weights 2**-(slope * (max - score)) in Q(P), as SoftmaxPlan says; gives their sum."""

    @dpu_function
    def normalise(t: Tasklet, worker: int, workers: int, group: View) -> int:
        a, power = arguments.array(t), table.array(t)
        tokens, multiplier = a[Argument.TOKENS], a[Argument.MULTIPLIER]
        shift, pre_shift = a[Argument.SHIFT], a[Argument.PRE_SHIFT]
        max_difference, bits = a[Argument.MAX_DIFFERENCE], a[Argument.PROBABILITY_BITS]
        top, total = largest(maxima.array(t), workers), 0
        for first in range(GROUP * worker, tokens, GROUP * workers):
            mram_read(t, a[Argument.SCORES] + first * score.itemsize, group, GROUP * score.itemsize)
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
            charge(t, GROUP * a[Argument.NORM_SLOTS])
            mram_write(t, group, a[Argument.SCORES] + first * score.itemsize, GROUP * score.itemsize)
        return total

    return normalise


def append_sums(arguments: WramSymbol, maxima: WramSymbol, weight_sums: WramSymbol) -> DpuFunction:
    """End of norm "softmax": the largest score and the sum of weights go behind the output."""

    @dpu_function
    def finish(t: Tasklet, workers: int, total: View) -> None:
        dim = arguments.array(t)[Argument.DIM]
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
        dim, row_bytes = fixed.dim or a[Argument.DIM], fixed.row_bytes or a[Argument.ROW_BYTES]
        tokens, stride = a[Argument.TOKENS], len(rows) // rows_per_pass
        clear(total)
        sum_of_rows = total.window(0, dim)
        for first in range(GROUP * worker, tokens, GROUP * workers):
            filled = min(GROUP, tokens - first)
            mram_read(t, a[Argument.SCORES] + first * score.itemsize, group, GROUP * score.itemsize)
            for j in range(0, filled, rows_per_pass):
                for k in range(min(rows_per_pass, filled - j)):
                    row = rows.window(k * stride, stride)
                    mram_read(t, a[Argument.V] + (first + j + k) * row_bytes, row, row_bytes)
                # Beyond the last token stand rows of earlier ones; their weights are 0.
                add_rows(sum_of_rows, group, j, rows, stride)
            charge(t, filled * a[Argument.SUM_SLOTS])

    return weigh_values
