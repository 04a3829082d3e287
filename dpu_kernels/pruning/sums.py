"""Phase 3: weighted sums of the V rows of kept tokens."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, mram_read, mram_write
from pim_runtime.symbols import WramSymbol

from ..attention.adders import flusher, row_adder
from ..attention.rows import clear, first_group, group_address, row_reader
from ..attention.shapes import GROUP, RUNNING_ROWS, Argument, FixedSizes, Storage
from .decide import kept_by_any
from .places import next_place
from .scores import chunk_address
from .shapes import SelectionArgument

__all__ = ["survivors_sum"]


def survivors_sum(
    arguments: WramSymbol,
    selection: WramSymbol,
    sizes: FixedSizes,
    operands: Storage,
    score: IntegerType,
    weight: IntegerType,
    product: IntegerType,
    running: IntegerType,
    output: IntegerType,
) -> DpuFunction:
    """The sums of the V rows that a worker keeps, each row times its weight for each query, to MRAM.

    Rows that any query keeps are read once per pass over columns, as many as are added in one pass over the sums, and
    weigh 0 for the queries that do not keep them.
    """
    rows_per_pass, output_itemsize = operands.rows_in_a_pass, output.itemsize
    add_rows, read_row = row_adder(rows_per_pass, operands.kind, weight, product, running), row_reader(sizes)
    flush, group_row_bytes = flusher(output, running), GROUP * score.itemsize

    @dpu_function
    def weigh_survivors(
        t: Tasklet,
        worker: int,
        workers: int,
        rows: View,
        group: View,
        weights: View,
        cells: View,
        bits: View,
        places: View,
        sums: View,
        total: View,
    ) -> None:
        a, kept_at = arguments.array(t), selection.array(t)[SelectionArgument.KEPT]
        dim, row_bytes = sizes.dim or a[Argument.DIM], sizes.row_bytes or a[Argument.ROW_BYTES]
        columns, queries = sizes.dim or a[Argument.COLUMNS], sizes.queries or a[Argument.QUERIES]
        end, total_stride = a[Argument.END], len(total) // queries
        for column in range(0, dim, columns):
            width = min(columns, dim - column)
            part_bytes = row_bytes
            if width < dim:
                part_bytes = min(row_bytes - column, (width + 7) & -8)
            clear(total)
            clear(sums)
            for i in range(queries):
                places[i] = first_group(a, worker)
            chunk, slot, gathered, added = 0, len(bits), 0, 0
            for first in range(first_group(a, worker), end, GROUP * workers):
                if slot == len(bits):
                    mram_read(t, chunk_address(kept_at, chunk, worker, workers, len(bits)), bits, len(bits))
                    chunk, slot = chunk + 1, 0
                kept = bits.window(slot, queries)
                slot += queries
                wanted = kept_by_any(kept)
                if wanted != 0:
                    values = group_address(t, a, a[Argument.V], first, row_bytes, cells) + column
                    for j in range(GROUP):
                        if (wanted >> j) & 1:
                            read_row(
                                t, values, j, row_bytes, rows.window(gathered * part_bytes, part_bytes), part_bytes
                            )
                            for i in range(queries):
                                place, own = places[i], weights.window(GROUP * i, GROUP)
                                group[GROUP * i + gathered] = 0
                                if (kept[i] >> j) & 1:
                                    if place % GROUP == 0:
                                        address = a[Argument.SCORES] + (place // GROUP * queries + i) * group_row_bytes
                                        mram_read(t, address, own, group_row_bytes)
                                    group[GROUP * i + gathered] = own[place % GROUP]
                                    places[i] = next_place(place, workers)
                            gathered += 1
                            if gathered == rows_per_pass:
                                for i in range(queries):
                                    running_sums = sums.window(i * total_stride, width)
                                    add_rows(t, running_sums, group, GROUP * i, rows, part_bytes)
                                gathered = 0
                                added += rows_per_pass
                                if added % RUNNING_ROWS == 0:
                                    flush(total, sums)
            if gathered > 0:
                for i in range(queries):
                    clear(group.window(GROUP * i + gathered, rows_per_pass - gathered))
                    add_rows(t, sums.window(i * total_stride, width), group, GROUP * i, rows, part_bytes)
            flush(total, sums)
            for i in range(queries):
                target = a[Argument.PARTIALS] + (worker * queries + i) * a[Argument.OUTPUT_BYTES]
                part = total.window(i * total_stride, total_stride)
                mram_write(t, part, target + column * output_itemsize, (width * output_itemsize + 7) & -8)

    return weigh_survivors
