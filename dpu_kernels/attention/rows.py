"""Rows of K and V: where a token's row is, what its stored bytes mean, and what is computed with a row.

The published program (github.com/SJTU-DDST/PIM-attention) has what happens once per row in functions of other files,
which its compiler calls: the address of a row, its load, the dot product and the scaled addition. So do these.
"""

from __future__ import annotations

from pim_runtime.device import (
    DpuFunction,
    IntegerType,
    Tasklet,
    View,
    dpu_function,
    extern_function,
    int16,
    int32,
    mram_read,
    wram_view,
)

from .shapes import BLOCK_TOKENS, GROUP, Argument, FixedSizes

__all__ = ["add_to", "clear", "dot_product", "first_group", "group_address", "row_reader", "scaled_adder", "unpacker"]


@dpu_function
def first_group(a: View, worker: int) -> int:
    """First token of the first group of a worker; groups start at multiples of eight."""
    return (a[Argument.FIRST] & -GROUP) + GROUP * worker


@dpu_function
def group_address(t: Tasklet, a: View, rows: int, token: int, row_bytes: int, cells: View) -> int:
    """MRAM address of the row of `token`, the first of a group: its whole group lies in one block.

    rows: Argument.K or Argument.V of `a`; `cells` has room for one table entry.
    """
    if a[Argument.TABLE] == 0:
        return rows + token * row_bytes
    mram_read(t, a[Argument.TABLE] + 8 * (token // BLOCK_TOKENS), cells, 8)
    return int32(cells[0]) + rows + token % BLOCK_TOKENS * row_bytes


def row_reader(sizes: FixedSizes) -> DpuFunction:
    """Loads the row of one of a group's tokens: one DMA of `nr_bytes`, of rows that are `row_bytes` apart."""

    @extern_function
    def address_of(rows: int, token: int, row_bytes: int) -> int:
        return rows + token * (sizes.row_bytes or row_bytes)

    @extern_function
    def load(t: Tasklet, address: int, row: View, nr_bytes: int) -> None:
        mram_read(t, address, row, sizes.row_bytes or nr_bytes)

    @dpu_function
    def read_row(t: Tasklet, rows: int, token: int, row_bytes: int, row: View, nr_bytes: int) -> None:
        load(t, address_of(rows, token, row_bytes), row, nr_bytes)

    return read_row


@dpu_function
def unpack_nibbles(t: Tasklet, stored: View, row: View) -> None:
    """Two signed elements of four bits per byte, low one first (K-12): each byte becomes the two bytes of an int16."""
    pairs = wram_view(t, int16, row.address, len(stored))
    for i in range(len(stored)):
        both = stored[i]
        pairs[i] = ((((both & 15) ^ 8) - 8) & 255) | ((both >> 4) << 8)


@dpu_function
def nothing_to_unpack(t: Tasklet, stored: View, row: View) -> None:
    """Elements are stored as they are: `stored` and `row` are the same view."""


def unpacker(elements_per_item: int) -> DpuFunction:
    """Turns stored bytes into elements."""
    return {1: nothing_to_unpack, 2: unpack_nibbles}[elements_per_item]


@dpu_function
def clear(view: View) -> None:
    for i in range(len(view)):
        view[i] = 0


def dot_product(accumulator: IntegerType, sizes: FixedSizes) -> DpuFunction:
    """sum a[i] * b[i], wrapped to `accumulator`: at least as wide as a score, to which the sum is wrapped again."""

    @extern_function
    def dot(a: View, b: View) -> int:
        total = accumulator(0)
        for i in range(sizes.dim or len(a)):
            total = accumulator(total + a[i] * b[i])
        return total

    return dot


def scaled_adder(product: IntegerType) -> DpuFunction:
    """total += factor * row, in the type of `total`, with products wrapped to `product`; both have the same length."""

    @extern_function
    def add_scaled(total: View, factor: int, row: View) -> None:
        for i in range(len(total)):
            total[i] = total[i] + product(factor * row[i])

    return add_scaled


@extern_function
def add_to(total: View, factor: int, row: View) -> None:
    """total += row, as a scaled addition with a factor of 1."""
    for i in range(len(total)):
        total[i] = total[i] + row[i]
