"""Powers of two with a fraction as exponent, in integers: the variants of K-7 and their proven errors.

Owns the tables and the integer steps on the host. The steps and constants are those of
`dpu_kernels.attention.exponential`, which the kernels evaluate.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention.exponential import (
    IEXP_OFFSET,
    IEXP_ROOT,
    IEXP_SCALE,
    POLY2_0,
    POLY2_1,
    POLY2_2,
    POLY3_0,
    POLY3_1,
    POLY3_2,
    POLY3_3,
    Exponential,
)

from .integer_math import rsh

__all__ = ["RELATIVE_ERROR", "Exponential", "check_exponential", "exponential_table", "power_of_two"]

RELATIVE_ERROR: Mapping[Exponential, float] = MappingProxyType(
    {
        "lut256_lerp": 9.2e-7,
        "lut256_mid": 1.354e-3,
        "lut256_floor": 2.702e-3,
        "poly2": 1.726e-3,
        "poly3": 7.49e-5,
        "iexp": 3.1e-3,
    }
)
"""rho_f: |y / 2**(30 - u / 65536) - 1| of a variant is below it for every u. A test enumerates all 65536 fractions."""

_TABLE_STEPS = 256


def check_exponential(exponential: str) -> Exponential:
    """The variant itself. Raises ValueError, with the variants there are, for any other name."""
    for variant in get_args(Exponential):
        if exponential == variant:
            return variant
    raise ValueError(
        f"exponential = {exponential!r}: choose one of {', '.join(get_args(Exponential))}. Normalised 8-bit "
        "probabilities are not offered: over a long context they round to 0 (4096 equal tokens weigh 2**-12 each), "
        "and with them the whole output."
    )


def exponential_table(exponential: Exponential) -> NDArray[np.uint32]:
    """The table of a variant: uint32 [257], read-only, of which only interpolation reads the last entry.

    Empty for the variants that evaluate a polynomial. Raises ValueError for an unknown variant.
    """
    if check_exponential(exponential) not in ("lut256_lerp", "lut256_mid", "lut256_floor"):
        table = np.empty(0, dtype=np.uint32)
    else:
        place = 0.5 if exponential == "lut256_mid" else 0.0
        table = np.round(np.exp2(30 - (np.arange(_TABLE_STEPS + 1) + place) / _TABLE_STEPS)).astype(np.uint32)
    table.setflags(write=False)
    return table


def power_of_two(fraction: NDArray[np.int64], exponential: Exponential, table: NDArray[np.uint32]) -> NDArray[np.int64]:
    """y of every u in `fraction`: about 2**(30 - u / 65536), int64 of the same shape, 0 < y <= 2**30.

    `fraction` is int64 from 0 to 65535, `table` is `exponential_table(exponential)`.
    """
    if exponential == "poly2":
        return POLY2_0 - rsh((POLY2_1 - rsh(POLY2_2 * fraction, 16)) * fraction, 16)
    if exponential == "poly3":
        inner = POLY3_2 - rsh(POLY3_3 * fraction, 16)
        return POLY3_0 - rsh((POLY3_1 - rsh(inner * fraction, 16)) * fraction, 16)
    if exponential == "iexp":
        parabola = np.square(IEXP_ROOT - fraction) + IEXP_OFFSET
        return np.minimum(rsh(parabola * IEXP_SCALE, 28), 2**30)
    entries, step = table.astype(np.int64), fraction >> 8
    left: NDArray[np.int64] = entries[step]
    if exponential == "lut256_lerp":
        return left - (((left - entries[step + 1]) * (fraction & 255) + 128) >> 8)
    return left
