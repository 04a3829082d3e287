"""Decode attention of one head on one DPU: scores, normalisation, weighted sum of V.

Tasklet 0 is the master, the others are workers: worker w takes the groups of eight tokens g with g mod workers = w.
Phases: scores | normalisation | weighted sums | merge, with a barrier between; every number of tasklets from 2 to 24
gives the same bits. Rows of K and V are read with one DMA each. Memory addresses and sizes come in `arguments`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pim_runtime.device import (
    IntegerType,
    Tasklet,
    barrier_wait,
    charge,
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

from .phases import (
    add_scaled,
    append_sums,
    clear,
    divide_scores,
    nothing_to_append,
    scorer,
    softmax_weights,
    weighted_sum,
)
from .shapes import (
    ALIGNMENT,
    GROUP,
    TABLE_SIZE,
    Accumulation,
    Argument,
    FixedRows,
    Norm,
    output_kind,
    padded,
    rows_in_a_pass,
    score_kind,
)

__all__ = ["attention_program"]

STACK_BYTES = 384  # the default 1024 would leave no room for 24 tasklets with 128 dimensions of int32


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
        worker, workers, row_bytes = me(t) - 1, nr_tasklets(t) - 1, fixed.row_bytes or a[Argument.ROW_BYTES]
        mem_alloc(t, uint8, -mem_alloc(t, uint8, 0).address % ALIGNMENT)
        rows = mem_alloc(t, kind, rows_per_pass * row_bytes // kind.itemsize)
        query = mem_alloc(t, kind, row_bytes // kind.itemsize)
        total = mem_alloc(t, output, a[Argument.OUTPUT_BYTES] // output.itemsize)
        group = mem_alloc(t, score, GROUP)
        if worker >= 0:
            mram_read(t, a[Argument.Q], query, row_bytes)
            maxima.array(t)[worker] = score_tokens(t, worker, workers, rows, query, group)
        yield barrier_wait(t, scored)
        if worker >= 0:
            weight_sums.array(t)[worker] = normalise(t, worker, workers, group)
        yield barrier_wait(t, normalised)
        if worker >= 0:
            weigh_values(t, worker, workers, rows, group, total)
            mram_write(t, total, a[Argument.PARTIALS] + worker * a[Argument.OUTPUT_BYTES], a[Argument.OUTPUT_BYTES])
        yield barrier_wait(t, summed)
        if worker < 0:
            part = mem_alloc(t, output, a[Argument.OUTPUT_BYTES] // output.itemsize)
            dim = fixed.dim or a[Argument.DIM]
            clear(total)
            for other in range(workers):
                mram_read(t, a[Argument.PARTIALS] + other * a[Argument.OUTPUT_BYTES], part, a[Argument.OUTPUT_BYTES])
                charge(t, a[Argument.MERGE_SLOTS])
                add_scaled(total.window(0, dim), 1, part.window(0, dim))
            finish(t, workers, total)
            mram_write(t, total, a[Argument.OUTPUT], a[Argument.OUTPUT_BYTES])

    return program
