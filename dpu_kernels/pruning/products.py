"""Products of packed upper halves of K with the levels of a query: by lookup in tables, or by multiplying (S4-13).

A table per pair of elements holds the products of the pair's levels with all 256 bytes, so that a byte of K takes a
load, a lookup and an addition instead of unpacking and two multiplies. Tables are made once per launch; their
arithmetic is that of the crossbar, which holds a product for every bit that may come. They take 512 bytes per pair and
query of WRAM, so wide heads and many queries multiply.
"""

from __future__ import annotations

from typing import NamedTuple

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    dpu_function,
    extern_function,
    int8,
    int32,
    uint8,
)

from ..attention.rows import dot_product, unpacker
from ..attention.shapes import FixedSizes
from .shapes import TABLE_LENGTH, Decision, pairs_of

__all__ = ["NibbleProducts", "nibble_products", "tabulator"]


class NibbleProducts(NamedTuple):
    """How rows are multiplied. packed: type that the bytes of K are read as.

    prepare: (t, packed row, unpacked), once per row. product: (packed row, unpacked, query's levels or tables, dim).
    """

    packed: IntegerType
    prepare: DpuFunction
    product: DpuFunction


def nibble_products(decision: Decision, sizes: FixedSizes) -> NibbleProducts:
    """The functions of a way to decide."""
    return {"multiply": _multiplying, "tables": _looking_up}[decision](sizes)


def _multiplying(sizes: FixedSizes) -> NibbleProducts:
    dot = dot_product(int32, sizes)

    @dpu_function
    def multiplied(row: View, unpacked: View, levels: View, dim: int) -> int:
        return dot(unpacked.window(0, dim), levels.window(0, dim))

    return NibbleProducts(int8, unpacker(2), multiplied)


def _looking_up(sizes: FixedSizes) -> NibbleProducts:
    fixed_pairs = pairs_of(sizes.dim)

    @extern_function
    def add_up(row: View, tables: View) -> int:
        total, table = int32(0), 0
        for pair in range(fixed_pairs or len(row)):
            total = int32(total + tables[table + row[pair]])
            table += TABLE_LENGTH
        return total

    @dpu_function
    def looked_up(row: View, unpacked: View, tables: View, dim: int) -> int:
        return add_up(row.window(0, (dim + 1) // 2), tables)

    @dpu_function
    def leave_packed(t: Tasklet, row: View, unpacked: View) -> None:
        """Bytes are looked up as they are."""

    return NibbleProducts(uint8, leave_packed, looked_up)


def tabulator() -> DpuFunction:
    """Makes the tables of all queries, every tasklet those of some pairs. The low nibble of a byte comes first."""

    @dpu_function
    def fill_half(table: View, first: int, value: int, step: int) -> None:
        for low in range(first, first + 8):
            table[low] = value
            value += step

    @dpu_function
    def tabulate(levels: View, tables: View, queries: int, pairs: int, worker: int, workers: int) -> None:
        stride = len(levels) // queries
        for index in range(worker, queries * pairs, workers):
            query, pair = index // pairs, index % pairs
            first, second = levels[query * stride + 2 * pair], levels[query * stride + 2 * pair + 1]
            value = 0
            for high in range(16):
                if high == 8:
                    value = -8 * second
                table = tables.window((index * 16 + high) * 16, 16)
                fill_half(table, 0, value, first)
                fill_half(table, 8, value - 8 * first, first)
                value += second

    return tabulate
