"""Which tokens of a group the queries keep: products of packed upper halves of K with the queries' levels (S4-2)."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, Tasklet, View, dpu_function, mram_read
from pim_runtime.symbols import WramSymbol

from ..attention.rows import clear, group_address
from ..attention.shapes import Argument, FixedSizes
from .products import NibbleProducts
from .shapes import SelectionArgument, nibble_row_bytes

__all__ = ["decider", "kept_by_any"]


@dpu_function
def kept_by_any(kept: View) -> int:
    """Bits of the tokens of a group that at least one query keeps."""
    together = 0
    for i in range(len(kept)):
        together |= kept[i]
    return together


def decider(selection: WramSymbol, sizes: FixedSizes, products: NibbleProducts) -> DpuFunction:
    """Sets bit j of kept[i] where token j of the group reaches the threshold of query i.

    Each packed row is loaded once for all queries. asked: their levels or tables, see `products`.
    """
    fixed_row_bytes, prepare, product = nibble_row_bytes(sizes.dim), products.prepare, products.product

    @dpu_function
    def decide(
        t: Tasklet,
        a: View,
        first: int,
        skipped: int,
        filled: int,
        packed: View,
        unpacked: View,
        asked: View,
        thresholds: View,
        cells: View,
        kept: View,
    ) -> None:
        s, queries, stride = selection.array(t), len(kept), len(asked) // len(kept)
        row_bytes, at_once = fixed_row_bytes or s[SelectionArgument.ROW_BYTES], s[SelectionArgument.ROWS_AT_ONCE]
        rows = group_address(t, a, a[Argument.K] + s[SelectionArgument.NIBBLES], first, row_bytes, cells)
        clear(kept)
        for start in range(skipped, filled, at_once):
            nr_rows = min(at_once, filled - start)
            mram_read(t, rows + start * row_bytes, packed, nr_rows * row_bytes)
            for k in range(nr_rows):
                row, dim = packed.window(k * row_bytes, row_bytes), sizes.dim or a[Argument.DIM]
                prepare(t, row, unpacked)
                for i in range(queries):
                    if product(row, unpacked, asked.window(i * stride, stride), dim) >= thresholds[i]:
                        kept[i] = kept[i] | (1 << (start + k))

    return decide
