"""What crosses between the controller and its banks, counted where it crosses (document 2, section 3.1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["Moved", "Purpose", "Traffic"]

Purpose = Literal["weights", "kv", "append", "orders"]
"""weights: products with resident matrices. kv: queries, scores, weights and sums of attention. append: the k and v of
new tokens, which document 2 leaves out (E2-6). orders: arguments of the attention program, which are no elements."""


@dataclass(frozen=True, slots=True)
class Moved:
    """transfers: in either direction. down, up: elements; what all banks get, or those that share inputs, counts once.

    controller_adds: partial sums that the controller added up. read_bytes: of rows that all banks read by DMA.
    """

    transfers: int = 0
    down: int = 0
    up: int = 0
    controller_adds: int = 0
    read_bytes: int = 0

    @property
    def volume(self) -> int:
        """Elements in both directions."""
        return self.down + self.up

    def __add__(self, other: Moved) -> Moved:
        return Moved(*(mine + theirs for mine, theirs in zip(self._counts, other._counts, strict=True)))

    def __sub__(self, other: Moved) -> Moved:
        return Moved(*(mine - theirs for mine, theirs in zip(self._counts, other._counts, strict=True)))

    @property
    def _counts(self) -> tuple[int, ...]:
        return (self.transfers, self.down, self.up, self.controller_adds, self.read_bytes)


class Traffic:
    """Counters by purpose, from zero."""

    def __init__(self) -> None:
        self._moved: dict[Purpose, Moved] = dict.fromkeys(get_args(Purpose), Moved())

    def add(self, purpose: Purpose, moved: Moved) -> None:
        """Count."""
        self._moved[purpose] += moved

    def now(self) -> Mapping[Purpose, Moved]:
        """The counters as they are; what comes later does not change them."""
        return MappingProxyType(dict(self._moved))

    def since(self, before: Mapping[Purpose, Moved]) -> Mapping[Purpose, Moved]:
        """What has moved since `before`, which `now` gave."""
        return MappingProxyType({purpose: moved - before[purpose] for purpose, moved in self._moved.items()})
