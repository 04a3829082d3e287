"""Adding weighted rows of V to running sums: several rows in one pass here, one after the other on the clock.

Several rows at once are what makes the emulator fast. The program that was measured adds row by row with a scaled
addition of its own, whose compiled form is known, so the slots of that are stated.
"""

from __future__ import annotations

from pim_runtime.device import DpuFunction, IntegerType, Tasklet, View, dpu_function, stated

from .rows import clear, scaled_adder

__all__ = ["flusher", "row_adder"]

# timing-model 4.3, by index: two addresses, two loads, add, store, two for the loop. A multiply of 8 bits is one slot
# and stated here; wider ones are counted from the data.
ELEMENT_SLOTS = 8
BYTE_PRODUCT_SLOTS = 1
ARGUMENT_MOVE_SLOTS = 1  # timing-model 4.3: a called multiply wants the weight in its register in every iteration
LONG_SUM_SLOTS = 1  # timing-model 4.1, rule 6: an addition of 64 bits takes two
EXTENSION_SLOTS = 1  # of a product of 32 bits to 64: the sign fills the upper register
# timing-model 10.5: the published int8 program takes 0.365 slots per product more than the rules say, which is one slot
# in one of its two loops, most likely a sign extension. Its size is measured, its mechanism is not known.
BYTE_SUM_SLOTS = 1
# timing-model 4.1, rule 8: call and return, three argument moves, the start of the loop; with a called multiply also a
# frame (4) and four pairs of registers (8).
CALL_SLOTS, FRAME_SLOTS = 6, 12


def row_slots(kind: IntegerType, weight: IntegerType, product: IntegerType, running: IntegerType) -> tuple[int, int]:
    """Slots per row and per element of a scaled addition to sums of type `running`, wide multiplies not included."""
    widest = max(kind.bits, weight.bits)
    called = widest > 16
    element = ELEMENT_SLOTS + LONG_SUM_SLOTS * (running.bits == 64) + ARGUMENT_MOVE_SLOTS * called
    element += EXTENSION_SLOTS * (product.bits < running.bits)
    if widest == 8:
        element += BYTE_PRODUCT_SLOTS + BYTE_SUM_SLOTS * (running.bits == 8)
    return CALL_SLOTS + FRAME_SLOTS * called, element


def row_adder(
    rows_per_pass: int, kind: IntegerType, weight: IntegerType, product: IntegerType, running: IntegerType
) -> DpuFunction:
    """Adds `rows_per_pass` rows, which stand `stride` elements apart in `rows`, times the weights from `first` on.

    One pass over the total serves all of them. Rows are of type `kind`, weights fit `weight` (`shapes.weight_kind`),
    products are wrapped to `product`, sums are of type `running`.
    """
    of_row, of_element = row_slots(kind, weight, product, running)
    add_scaled = scaled_adder(product)

    @dpu_function
    def add_2_rows(total: View, w0: int, r0: View, w1: int, r1: View) -> None:
        for i in range(len(total)):
            total[i] = total[i] + product(w0 * r0[i]) + product(w1 * r1[i])

    @dpu_function
    def add_4_rows(total: View, w0: int, r0: View, w1: int, r1: View, w2: int, r2: View, w3: int, r3: View) -> None:
        for i in range(len(total)):
            total[i] = (
                total[i] + (product(w0 * r0[i]) + product(w1 * r1[i])) + (product(w2 * r2[i]) + product(w3 * r3[i]))
            )

    @dpu_function
    def add_4(t: Tasklet, total: View, group: View, first: int, rows: View, stride: int) -> None:
        stated(t, 4 * (of_row + of_element * len(total)))
        dim = len(total)
        r0, r1 = rows.window(0, dim), rows.window(stride, dim)
        r2, r3 = rows.window(2 * stride, dim), rows.window(3 * stride, dim)
        w0, w1 = weight(group[first]), weight(group[first + 1])
        w2, w3 = weight(group[first + 2]), weight(group[first + 3])
        add_4_rows(total, w0, r0, w1, r1, w2, r2, w3, r3)

    @dpu_function
    def add_2(t: Tasklet, total: View, group: View, first: int, rows: View, stride: int) -> None:
        stated(t, 2 * (of_row + of_element * len(total)))
        dim = len(total)
        r0, r1 = rows.window(0, dim), rows.window(stride, dim)
        add_2_rows(total, weight(group[first]), r0, weight(group[first + 1]), r1)

    @dpu_function
    def add_1(t: Tasklet, total: View, group: View, first: int, rows: View, stride: int) -> None:
        stated(t, of_row + of_element * len(total))
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
