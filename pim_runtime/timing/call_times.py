"""Time of one host call between and beyond the points of a table.

Owns the interpolation: linear in the logarithms of bytes, DPUs and time. A time that grows in proportion to the bytes
is met exactly, and so is one that does not grow at all; interpolating time itself would exceed a proportional one by up
to 26 % between sizes that are 4 times apart. Logarithms are decimal numbers, correctly rounded, never floating point:
every computer gets the same picosecond.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import lru_cache

from ..quantities import CallTimes

__all__ = ["call_ps"]

PS_PER_MS = 10**9
_DIGITS = 30  # of a time: the longest has 17 digits before the point


@lru_cache(maxsize=1024)  # programs repeat a few calls, and a logarithm takes as long as all the rest of a row
def call_ps(table: CallTimes, *, nr_dpus: int, bytes_per_dpu: int) -> Fraction:
    """Picoseconds of one call; exact at the points of the table.

    Fewer bytes than the first column take the time of the first column. More than the last take, for every further
    byte, what a byte between the last two columns takes. More DPUs than the last row take the time of the last row in
    proportion to the DPUs: the bandwidth of all together stays.
    """
    last = table.dpus[-1]
    if nr_dpus > last:
        return call_ps(table, nr_dpus=last, bytes_per_dpu=bytes_per_dpu) * Fraction(nr_dpus, last)
    before, end = table.bytes_per_dpu[-2:]
    if bytes_per_dpu > end:
        end_ps = call_ps(table, nr_dpus=nr_dpus, bytes_per_dpu=end)
        before_ps = call_ps(table, nr_dpus=nr_dpus, bytes_per_dpu=before)
        return end_ps + (end_ps - before_ps) / (end - before) * (bytes_per_dpu - end)
    return _interpolated_ps(table, nr_dpus, max(bytes_per_dpu, table.bytes_per_dpu[0]))


def _interpolated_ps(table: CallTimes, nr_dpus: int, bytes_per_dpu: int) -> Fraction:
    context = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN)
    log_ms = Decimal(0)
    for row, row_weight in _weights(table.dpus, nr_dpus, context):
        for column, column_weight in _weights(table.bytes_per_dpu, bytes_per_dpu, context):
            weight = context.multiply(row_weight, column_weight)
            if weight == 1:
                return Fraction(table.times[row][column]) * PS_PER_MS
            log_ms = context.fma(weight, context.ln(table.times[row][column]), log_ms)
    return Fraction(context.exp(log_ms)) * PS_PER_MS


def _weights(points: Sequence[int], at: int, context: Context) -> list[tuple[int, Decimal]]:
    """(index, weight) of the points on both sides of `at`, or of the one that it is; points[0] <= at <= points[-1]."""
    left = bisect_right(points, at) - 1
    if points[left] == at:
        return [(left, Decimal(1))]
    below, above = Decimal(points[left]), Decimal(points[left + 1])
    share = context.divide(
        context.subtract(context.ln(Decimal(at)), context.ln(below)),
        context.subtract(context.ln(above), context.ln(below)),
    )
    return [(left, context.subtract(Decimal(1), share)), (left + 1, share)]
