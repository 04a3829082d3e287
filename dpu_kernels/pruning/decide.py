"""Which tokens of a group the queries keep: products of packed upper halves of K with the queries' levels (S4-2)."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, Tasklet, View, dpu_function, int32, mram_read
from pim_runtime.symbols import WramSymbol

from ..attention.rows import clear, dot_product, group_address, unpacker
from ..attention.shapes import Argument, FixedSizes
from .shapes import SelectionArgument, nibble_row_bytes

__all__ = ["decider", "kept_by_any"]


@dpu_function
def kept_by_any(kept: View) -> int:
    """Bits of the tokens of a group that at least one query keeps."""
    together = 0
    for i in range(len(kept)):
        together |= kept[i]
    return together


def decider(selection: WramSymbol, sizes: FixedSizes) -> DpuFunction:
    """Sets bit j of kept[i] where token j of the group reaches the threshold of query i.

    Each packed row is loaded and unpacked once for all queries.
    """
    dot, unpack = dot_product(int32, sizes), unpacker(2)
    fixed_row_bytes = nibble_row_bytes(sizes.dim)

    @dpu_function
    def decide(
        t: Tasklet,
        a: View,
        first: int,
        skipped: int,
        filled: int,
        packed: View,
        unpacked: View,
        levels: View,
        thresholds: View,
        cells: View,
        kept: View,
    ) -> None:
        s, queries, stride = selection.array(t), len(kept), len(levels) // len(kept)
        row_bytes, at_once = fixed_row_bytes or s[SelectionArgument.ROW_BYTES], s[SelectionArgument.ROWS_AT_ONCE]
        rows = group_address(t, a, a[Argument.K] + s[SelectionArgument.NIBBLES], first, row_bytes, cells)
        clear(kept)
        for start in range(skipped, filled, at_once):
            nr_rows = min(at_once, filled - start)
            mram_read(t, rows + start * row_bytes, packed, nr_rows * row_bytes)
            for k in range(nr_rows):
                unpack(t, packed.window(k * row_bytes, row_bytes), unpacked)
                key = unpacked.window(0, sizes.dim or a[Argument.DIM])
                for i in range(queries):
                    if dot(key, levels.window(i * stride, len(key))) >= thresholds[i]:
                        kept[i] = kept[i] | (1 << (start + k))

    return decide
