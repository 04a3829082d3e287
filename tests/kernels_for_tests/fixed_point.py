"""One program that applies each function of dpu_kernels.fixed_point to rows of arguments."""

from __future__ import annotations

from dpu_kernels.fixed_point import bit_length, int_sqrt, requantise, round_divide, round_shift, scale, times_q30
from pim_runtime import DpuProgram
from pim_runtime.device import int32, int64

__all__ = ["FUNCTIONS", "NR_ROWS", "fixed_point"]

FUNCTIONS = ("round_shift", "scale", "round_divide", "bit_length", "int_sqrt", "times_q30", "requantise")
NR_ROWS = 64

fixed_point = DpuProgram("fixed_point")
function = fixed_point.host("function", int32)
first = fixed_point.host("first", int64, NR_ROWS)
second = fixed_point.host("second", int64, NR_ROWS)
third = fixed_point.host("third", int64, NR_ROWS)
fourth = fixed_point.host("fourth", int64, NR_ROWS)
results = fixed_point.host("results", int64, NR_ROWS)


@fixed_point.kernel
def apply(t):
    chosen, a, b, c, d = function.load(t), first.array(t), second.array(t), third.array(t), fourth.array(t)
    out = results.array(t)
    for i in range(NR_ROWS):
        if chosen == 0:
            out[i] = round_shift(a[i], b[i])
        if chosen == 1:
            out[i] = scale(a[i], b[i])
        if chosen == 2:
            out[i] = round_divide(a[i], b[i])
        if chosen == 3:
            out[i] = bit_length(a[i])
        if chosen == 4:
            out[i] = int_sqrt(a[i])
        if chosen == 5:
            out[i] = times_q30(a[i], b[i])
        if chosen == 6:
            out[i] = requantise(a[i], b[i], c[i], d[i])
