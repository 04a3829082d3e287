"""What the checker does, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Options of the checker.

    dpus: how many DPUs of each part of a set that is loaded together are checked, spread over it, the first included.
        Default: 2.
    orders: random tasklet orders that every launch is repeated in, besides the cyclic one; every other is one of
        priority (EngineOptions.tasklet_order), in which tasklets starve. Default: 4.
    seed: of the first random order; order k has seed + k. Default: 0.
    keeps: names of symbols whose values outlive a launch on purpose; reading them there is no finding. Default: none.
    unordered: names of symbols whose values may differ from one tasklet order to another on purpose, such as a
        selection that keeps no order. MRAM that no host reads may differ in any case. Default: none.
    max_iterations: loop iterations of a DPU after which a launch is too long to be checked; each tasklet may run its
        equal share. Default: 2**20, up to a minute per tasklet order.
    """

    dpus: int = 2
    orders: int = 4
    seed: int = 0
    keeps: Sequence[str] = ()
    unordered: Sequence[str] = ()
    max_iterations: int = 1 << 20

    def __post_init__(self) -> None:
        if self.dpus < 1:
            raise ValueError(f"dpus is {self.dpus}: check at least 1 DPU, or leave the checker out")
        if self.orders < 0:
            raise ValueError(f"orders is {self.orders}: 0 or more random tasklet orders")
        if self.max_iterations < 1:
            raise ValueError(f"max_iterations is {self.max_iterations}: at least 1")
        for option, names in (("keeps", self.keeps), ("unordered", self.unordered)):
            if isinstance(names, str):
                raise ValueError(f"{option} is the text {names!r}: give a tuple of names, ({names!r},)")
            object.__setattr__(self, option, tuple(names))
