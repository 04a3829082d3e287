"""Integer constants of the exponential's variants (K-7), shared by the kernels and the host.

Every variant turns u, a Q16 fraction from 0 to 65535, into y, about 2**(30 - u / 65536).
With rsh(a, s) = (a + (2**s >> 1)) >> s:

    lut256_lerp   T[i] = round(2**(30 - i/256)), i = u >> 8:  y = T[i] - (((T[i] - T[i + 1]) * (u & 255) + 128) >> 8)
    lut256_mid    y = T[i] with T[i] = round(2**(30 - (i + 1/2)/256))
    lut256_floor  y = T[i] with T[i] = round(2**(30 - i/256))
    poly2         y = POLY2_0 - rsh((POLY2_1 - rsh(POLY2_2 * u, 16)) * u, 16)
    poly3         y = POLY3_0 - rsh((POLY3_1 - rsh((POLY3_2 - rsh(POLY3_3 * u, 16)) * u, 16)) * u, 16)
    iexp          y = min(2**30, rsh(((IEXP_ROOT - u)**2 + IEXP_OFFSET) * IEXP_SCALE, 28))

The table is a host variable. Every intermediate stays below 2**59. y never grows with u and never exceeds 2**30: the
published parabola of iexp starts at 1.0003, so that it is capped, or sums rescaled with it could grow past their range.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "IEXP_OFFSET",
    "IEXP_ROOT",
    "IEXP_SCALE",
    "POLY2_0",
    "POLY2_1",
    "POLY2_2",
    "POLY3_0",
    "POLY3_1",
    "POLY3_2",
    "POLY3_3",
    "Exponential",
]

Exponential = Literal["lut256_lerp", "lut256_mid", "lut256_floor", "poly2", "poly3", "iexp"]

# 0.99827524 - 0.66600761 u + 0.16859474 u**2, minimax; coefficients in Q30
POLY2_0 = 1_071_889_877
POLY2_1 = 715_120_226
POLY2_2 = 181_027_224

# 0.99992524 - 0.69102046 u + 0.23006962 u**2 - 0.03901177 u**3, minimax; coefficients in Q30
POLY3_0 = 1_073_661_551
POLY3_1 = 741_977_569
POLY3_2 = 247_035_373
POLY3_3 = 41_888_569

# I-BERT: 0.3585 (p + 1.353)**2 + 0.344 for p = -u S, with S = ln(2) / 65536
IEXP_ROOT = 127_924  # floor(1.353 / S)
IEXP_OFFSET = 8_577_845_540  # floor(0.344 / (0.3585 S**2))
IEXP_SCALE = 11_558_992  # round(0.3585 S**2 2**58)
