"""Phase 3 and the end: weighted sums of V rows by every worker, and the master's sum of those."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, int32, mram_read, mram_write
from pim_runtime.symbols import WramSymbol

from .adders import flusher, row_adder
from .rows import add_to, clear, first_group, group_address, row_reader, scaled_adder
from .shapes import GROUP, RUNNING_ROWS, Accumulation, Argument, FixedSizes, Storage

__all__ = ["appender", "merger", "weighted_sum"]


def weighted_sum(
    arguments: WramSymbol,
    sizes: FixedSizes,
    operands: Storage,
    weight: IntegerType,
    product: IntegerType,
    running: IntegerType,
    output: IntegerType,
    extra_rows: int,
    unpack: DpuFunction,
) -> DpuFunction:
    """The sums of a worker's V rows, each row times its weight for each query, to MRAM.

    Each element of V is read once: by whole rows if the sums of all queries fit WRAM, else by columns.
    """
    rows_per_pass, elements_per_item = operands.rows_in_a_pass, operands.elements_per_item
    itemsize, output_itemsize = operands.kind.itemsize, output.itemsize
    add_rows, read_row = row_adder(rows_per_pass, operands.kind, weight, product, running), row_reader(sizes)
    flush = flusher(output, running)

    @dpu_function
    def weigh_values(
        t: Tasklet,
        worker: int,
        workers: int,
        stored: View,
        rows: View,
        group: View,
        cells: View,
        sums: View,
        total: View,
    ) -> None:
        a = arguments.array(t)
        dim, row_bytes = sizes.dim or a[Argument.DIM], sizes.row_bytes or a[Argument.ROW_BYTES]
        columns, summed = sizes.dim or a[Argument.COLUMNS], (sizes.queries or a[Argument.QUERIES]) + extra_rows
        end, group_bytes, total_stride = a[Argument.END], group.nbytes, len(total) // summed
        for column in range(0, dim, columns):
            width = min(columns, dim - column)
            part_bytes, start = row_bytes, column * itemsize // elements_per_item
            if width < dim:
                part_bytes = min(row_bytes - start, (-(-width * itemsize // elements_per_item) + 7) & -8)
            stored_stride, stride = part_bytes // itemsize, part_bytes * elements_per_item // itemsize
            clear(total)
            clear(sums)
            taken = 0
            for first in range(first_group(a, worker), end, GROUP * workers):
                skipped, filled = max(0, a[Argument.FIRST] - first), min(GROUP, end - first)
                values = group_address(t, a, a[Argument.V], first, row_bytes, cells) + start
                mram_read(t, a[Argument.SCORES] + first // GROUP * group_bytes, group, group_bytes)
                for j in range(skipped // rows_per_pass * rows_per_pass, filled, rows_per_pass):
                    for k in range(max(0, skipped - j), min(rows_per_pass, filled - j)):
                        row = stored.window(k * stored_stride, stored_stride)
                        read_row(t, values, j + k, row_bytes, row, part_bytes)
                    unpack(t, stored.window(0, rows_per_pass * stored_stride), rows)
                    # Where no row was read, before the first and behind the last token, weights are 0.
                    for i in range(summed):
                        add_rows(t, sums.window(i * total_stride, width), group, GROUP * i + j, rows, stride)
                taken += GROUP
                if taken % RUNNING_ROWS == 0:
                    flush(total, sums)
            flush(total, sums)
            for i in range(summed):
                target = a[Argument.PARTIALS] + (worker * summed + i) * a[Argument.OUTPUT_BYTES]
                part = total.window(i * total_stride, total_stride)
                mram_write(t, part, target + column * output_itemsize, (width * output_itemsize + 7) & -8)

    return weigh_values


def merger(
    arguments: WramSymbol, sizes: FixedSizes, output: IntegerType, acc: Accumulation, extra_rows: int
) -> DpuFunction:
    """The master's part: all workers' sums of each query added up.

    The published program merges with its scaled addition, times 1; sums that do not wrap are added.
    """
    itemsize, add_part = output.itemsize, add_to if acc == "wide" else scaled_adder(int32)

    @dpu_function
    def merge(t: Tasklet, workers: int, total: View, part: View) -> None:
        a = arguments.array(t)
        dim, columns = sizes.dim or a[Argument.DIM], sizes.dim or a[Argument.COLUMNS]
        summed, row_bytes = (sizes.queries or a[Argument.QUERIES]) + extra_rows, a[Argument.OUTPUT_BYTES]
        for i in range(summed):
            for column in range(0, dim, columns):
                width, start = min(columns, dim - column), column * itemsize
                nr_bytes = (width * itemsize + 7) & -8
                clear(total)
                for worker in range(workers):
                    mram_read(t, a[Argument.PARTIALS] + (worker * summed + i) * row_bytes + start, part, nr_bytes)
                    add_part(total.window(0, width), output(1), part.window(0, width))
                mram_write(t, total, a[Argument.OUTPUT] + i * row_bytes + start, nr_bytes)

    return merge


def appender(arguments: WramSymbol, sizes: FixedSizes, length: int, finish: DpuFunction) -> DpuFunction:
    """The master's end: `length` statistics of each query go behind its sums."""

    @dpu_function
    def append(t: Tasklet, workers: int, cells: View, states: View) -> None:
        a = arguments.array(t)
        queries, row_bytes = sizes.queries or a[Argument.QUERIES], a[Argument.OUTPUT_BYTES]
        for i in range(queries * (length > 0)):
            statistics = cells.window(0, length)
            finish(states, workers, queries, i, statistics)
            mram_write(t, statistics, a[Argument.OUTPUT] + (i + 1) * row_bytes - 8 * length, 8 * length)

    return append
