"""2**-u for a Q16 fraction u, in Q30: the table with or without interpolation, or a polynomial (K-6, K-7)."""

from __future__ import annotations

from pim_runtime.device import DpuFunction, Tasklet, dpu_function
from pim_runtime.symbols import WramSymbol

from ..fixed_point import round_shift
from .exponential import (
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

__all__ = ["power_of_two"]


def power_of_two(exponential: Exponential, table: WramSymbol) -> DpuFunction:
    """The function (t, u) -> 2**-u of a variant; `table` is the host variable `exp2_table`, unread by polynomials."""

    @dpu_function
    def interpolated(t: Tasklet, u: int) -> int:
        power, step = table.array(t), u >> 8
        left = power[step]
        return left - (((left - power[step + 1]) * (u & 255) + 128) >> 8)

    @dpu_function
    def looked_up(t: Tasklet, u: int) -> int:
        return table.array(t)[u >> 8]

    @dpu_function
    def quadratic(t: Tasklet, u: int) -> int:
        return POLY2_0 - round_shift((POLY2_1 - round_shift(POLY2_2 * u, 16)) * u, 16)

    @dpu_function
    def cubic(t: Tasklet, u: int) -> int:
        slope = POLY3_1 - round_shift((POLY3_2 - round_shift(POLY3_3 * u, 16)) * u, 16)
        return POLY3_0 - round_shift(slope * u, 16)

    @dpu_function
    def i_bert(t: Tasklet, u: int) -> int:
        square = (IEXP_ROOT - u) * (IEXP_ROOT - u) + IEXP_OFFSET
        return min(1 << 30, round_shift(square * IEXP_SCALE, 28))

    return {
        "lut256_lerp": interpolated,
        "lut256_mid": looked_up,
        "lut256_floor": looked_up,
        "poly2": quadratic,
        "poly3": cubic,
        "iexp": i_bert,
    }[exponential]
