"""How much fits: tokens of a context, requests of a batch, in whatever memory, by one rule (P-4)."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pim_runtime.errors import PimError

__all__ = ["CapacityRule", "MachineCapacityError", "how_many_fit"]

CapacityRule = Literal["strict", "attacc"]
"""strict: the most that fit. attacc: the first number that reaches the room or exceeds it, as the simulator does."""


class MachineCapacityError(PimError, ValueError):
    """What is resident does not fit a machine, or not even one of what is asked for."""


def how_many_fit(
    *,
    room_bytes: int,
    resident_bytes: int | Fraction,
    each_bytes: int | Fraction,
    what: str,
    rule: CapacityRule = "strict",
) -> int:
    """Most of something, of `each_bytes`, that fits beside what is resident.

    what: named in messages, such as "tokens of KV cache". Raises MachineCapacityError if what is resident does not
    fit, ValueError for a size that is not positive. 0 if there is no room for one.
    """
    if room_bytes < 0 or resident_bytes < 0 or each_bytes <= 0:
        raise ValueError(
            f"{what}: {room_bytes} bytes of room, {resident_bytes} resident, {each_bytes} each: sizes must be positive"
        )
    free = room_bytes - resident_bytes
    if free < 0:
        raise MachineCapacityError(
            f"{what}: {float(resident_bytes):,.0f} bytes are resident already, and there is room for {room_bytes:,}. "
            f"Take more memory, fewer bits, or a smaller model."
        )
    return int(free // each_bytes) if rule == "strict" else int(-(-free // each_bytes))
