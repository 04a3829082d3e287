"""Integer arithmetic that kernels share: rounding shifts and divisions, roots, products of 94 bits (K-3, K-10)."""

from __future__ import annotations

from pim_runtime.device import clz, dpu_function, int64

__all__ = ["bit_length", "int_sqrt", "requantise", "round_divide", "round_shift", "scale", "times_q30"]

Q30_FRACTION, LOW_LIMB = (1 << 30) - 1, (1 << 32) - 1


@dpu_function
def round_shift(value: int, distance: int) -> int:
    """value / 2**distance, halves rounded up; distance 0 to 62."""
    return (value + ((1 << distance) >> 1)) >> distance


@dpu_function
def scale(value: int, shift: int) -> int:
    """value * 2**shift: exact for shift >= 0, else rounded, halves up."""
    if shift >= 0:
        return value << shift
    return round_shift(value, -shift)


@dpu_function
def round_divide(value: int, divisor: int) -> int:
    """value / divisor for a positive divisor, halves rounded away from zero."""
    magnitude = abs(value)
    quotient = magnitude // divisor
    rest = magnitude - quotient * divisor
    if rest >= divisor - rest:
        quotient += 1
    if value < 0:
        return -quotient
    return quotient


@dpu_function
def bit_length(value: int) -> int:
    """Bits of a number >= 0; 0 for 0."""
    return 64 - clz(int64, value)


@dpu_function
def int_sqrt(value: int) -> int:
    """The largest integer whose square is at most `value`, 0 <= value < 2**63, digit by digit."""
    root, rest, digit = 0, value, 1 << 62
    for _ in range(32):
        if rest >= root + digit:
            rest -= root + digit
            root = (root >> 1) + digit
        else:
            root >>= 1
        digit >>= 2
    return root


@dpu_function
def times_q30(value: int, factor: int) -> int:
    """value * factor / 2**30, halves rounded up, for 0 <= factor <= 2**30: products of up to 94 bits."""
    return (value >> 30) * factor + round_shift((value & Q30_FRACTION) * factor, 30)


@dpu_function
def requantise(value: int, multiplier: int, shift: int, highest: int) -> int:
    """value * multiplier * 2**-shift, halves rounded away from zero, saturated to -highest - 1 to highest (K-10).

    |value| < 2**63, 0 <= multiplier <= 2**31 and 0 <= shift <= 95, as host.attention.requantise.dyadic gives them;
    highest below 2**31. The product of up to 94 bits is upper * 2**32 + lower; half a unit of a shift above 32 adds to
    upper, where lower cannot matter, and a result below 2**31 of a smaller shift needs upper < 2**31.
    """
    size = abs(value)
    low = (size & LOW_LIMB) * multiplier
    upper = (size >> 32) * multiplier + (low >> 32)
    if shift > 33:
        rounded = round_shift(upper >> 1, shift - 33)  # one bit less, so that half a unit can be added at shift 95
    elif shift == 33:
        rounded = round_shift(upper, 1)
    elif upper >> 31 > 0:
        rounded = 1 << 31
    else:
        rounded = round_shift((upper << 32) | (low & LOW_LIMB), shift)
    if value < 0:
        return -min(rounded, highest + 1)
    return min(rounded, highest)
