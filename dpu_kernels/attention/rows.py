"""Reading rows of K and V: where a token's row is, and what its stored bytes mean."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, int16, mram_read, wram_view

from .shapes import BLOCK_TOKENS, GROUP, Argument

__all__ = ["add_scaled", "clear", "dot_product", "first_group", "flusher", "group_address", "row_adder", "unpacker"]


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
    return cells[0] + rows + token % BLOCK_TOKENS * row_bytes


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


def dot_product(accumulator: IntegerType) -> DpuFunction:
    """sum a[i] * b[i], wrapped to `accumulator`: at least as wide as a score, to which the sum is wrapped again."""

    @dpu_function
    def dot(a: View, b: View) -> int:
        total = accumulator(0)
        for i in range(len(a)):
            total = accumulator(total + a[i] * b[i])
        return total

    return dot


@dpu_function
def add_scaled(total: View, factor: int, row: View) -> None:
    """total += factor * row, in the type of `total`; both have the same length."""
    for i in range(len(total)):
        total[i] = total[i] + factor * row[i]


def row_adder(rows_per_pass: int, weight: IntegerType) -> DpuFunction:
    """Adds `rows_per_pass` rows, which stand `stride` elements apart in `rows`, times the weights from `first` on.

    One pass over the total serves all of them. Weights fit the type `weight` (`shapes.weight_kind`).
    """

    @dpu_function
    def add_2_rows(total: View, w0: int, r0: View, w1: int, r1: View) -> None:
        for i in range(len(total)):
            total[i] = total[i] + w0 * r0[i] + w1 * r1[i]

    @dpu_function
    def add_4_rows(total: View, w0: int, r0: View, w1: int, r1: View, w2: int, r2: View, w3: int, r3: View) -> None:
        for i in range(len(total)):
            total[i] = total[i] + (w0 * r0[i] + w1 * r1[i]) + (w2 * r2[i] + w3 * r3[i])

    @dpu_function
    def add_4(total: View, group: View, first: int, rows: View, stride: int) -> None:
        dim = len(total)
        r0, r1 = rows.window(0, dim), rows.window(stride, dim)
        r2, r3 = rows.window(2 * stride, dim), rows.window(3 * stride, dim)
        w0, w1 = weight(group[first]), weight(group[first + 1])
        w2, w3 = weight(group[first + 2]), weight(group[first + 3])
        add_4_rows(total, w0, r0, w1, r1, w2, r2, w3, r3)

    @dpu_function
    def add_2(total: View, group: View, first: int, rows: View, stride: int) -> None:
        dim = len(total)
        r0, r1 = rows.window(0, dim), rows.window(stride, dim)
        add_2_rows(total, weight(group[first]), r0, weight(group[first + 1]), r1)

    @dpu_function
    def add_1(total: View, group: View, first: int, rows: View, stride: int) -> None:
        add_scaled(total, weight(group[first]), rows.window(0, len(total)))

    return {1: add_1, 2: add_2, 4: add_4}[rows_per_pass]


@dpu_function
def add_and_clear(total: View, running: View) -> None:
    """total += running, and running starts anew."""
    for i in range(len(total)):
        total[i] = total[i] + running[i]
    clear(running)


@dpu_function
def already_added(total: View, running: View) -> None:
    """Both are the same view."""


def flusher(total: IntegerType, running: IntegerType) -> DpuFunction:
    """Brings running sums of type `running` into totals of type `total`."""
    return already_added if running is total else add_and_clear
