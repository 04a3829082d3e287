"""Which part of a split context holds which token, and where in that part (U-6).

Owns the arithmetic of positions: global token numbers to (part, local number) and back, and token ranges as each part
sees them. What the parts compute and how that is put together again is the business of `merge`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["WHOLE", "LocalRange", "Partition", "PartitionLayout", "Placement", "RowsOfPart"]

PartitionLayout = Literal["block", "interleave"]

Positions = NDArray[np.int64]


class LocalRange(NamedTuple):
    """Local tokens [first, end) of a part, both int64; empty when they are equal."""

    first: Positions
    end: Positions


class RowsOfPart(NamedTuple):
    """Rows [..., n, dim] of one part, which are its local tokens first, first + 1 and so on; n may be 0."""

    first: int
    rows: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Partition:
    """How many parts the tokens of a context are split into, and in what order (U-6).

    layout "block": part 0 holds the oldest tokens, the last part the newest. With room for max_tokens, token j belongs
    to part j // ceil(max_tokens / parts): a short context leaves the last parts empty.
    layout "interleave": token j belongs to part j mod parts, so that no two parts differ by more than one token.

    Raises ValueError for fewer than one part or another layout.
    """

    parts: int = 1
    layout: PartitionLayout = "block"

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise ValueError(f"{self.parts} parts: a context has at least 1.")
        if self.layout not in ("block", "interleave"):
            raise ValueError(f'layout = {self.layout!r}: choose "block" or "interleave".')

    def part_capacity(self, max_tokens: int) -> int:
        """Most tokens that a part holds of a context of max_tokens: ceil(max_tokens / parts)."""
        return self.over(max_tokens).capacity

    def over(self, max_tokens: int) -> Placement:
        """The places of the tokens of a context of up to max_tokens. Raises ValueError for less than one token."""
        return Placement(parts=self.parts, layout=self.layout, max_tokens=max_tokens)


WHOLE = Partition()
"""Heads that are not split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The place of each token 0 to max_tokens - 1: its part, and its number in that part.

    Arguments that are arrays broadcast; results are int64. Raises ValueError for positions and parts that do not exist.
    """

    parts: int
    layout: PartitionLayout
    max_tokens: int

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens = {self.max_tokens}: a context has room for at least 1.")

    @property
    def capacity(self) -> int:
        """Most tokens that a part holds."""
        return -(-self.max_tokens // self.parts)

    def owner(self, position: ArrayLike) -> Positions:
        """The part that holds a token."""
        checked = self._positions(position, last=self.max_tokens - 1)
        return checked // self.capacity if self.layout == "block" else checked % self.parts

    def local(self, position: ArrayLike) -> Positions:
        """The number of a token in its part."""
        checked = self._positions(position, last=self.max_tokens - 1)
        return checked % self.capacity if self.layout == "block" else checked // self.parts

    def positions(self, part: int, tokens: int) -> Positions:
        """Global positions of the tokens of a part, in local order, when the context holds `tokens`; int64 [n]."""
        self._positions(tokens, last=self.max_tokens)
        self._parts(part)
        if self.layout == "interleave":
            return np.arange(part, tokens, self.parts)
        return np.arange(part * self.capacity, min((part + 1) * self.capacity, tokens))

    def tokens_before(self, position: ArrayLike, part: ArrayLike) -> Positions:
        """How many tokens of a part lie before a global position 0 to max_tokens.

        With the number of tokens as position: how many the part holds. Monotone in the position.
        """
        checked, owner = self._positions(position, last=self.max_tokens), self._parts(part)
        if self.layout == "interleave":
            return (checked - owner + self.parts - 1) // self.parts
        return np.clip(checked - owner * self.capacity, 0, self.capacity)

    def local_range(self, first: ArrayLike, end: ArrayLike, part: ArrayLike) -> LocalRange:
        """The tokens of a part among the global tokens [first, end), which are neighbours in the part too."""
        return LocalRange(first=self.tokens_before(first, part), end=self.tokens_before(end, part))

    def split_rows(self, rows: NDArray[Any], first_token: int) -> list[RowsOfPart]:
        """Rows [..., n, dim] of the tokens from first_token on, dealt out to the parts; views, nothing is copied."""
        self._positions(first_token + rows.shape[-2], last=self.max_tokens)
        return list(self._split(rows, first_token))

    def _split(self, rows: NDArray[Any], first_token: int) -> Iterator[RowsOfPart]:
        end = first_token + rows.shape[-2]
        for part in range(self.parts):
            before, after = map(int, self.local_range(first_token, end, part))
            if self.layout == "interleave":
                yield RowsOfPart(before, rows[..., (part - first_token) % self.parts :: self.parts, :])
            else:
                start = part * self.capacity + before - first_token
                yield RowsOfPart(before, rows[..., start : start + after - before, :])

    def _positions(self, position: ArrayLike, *, last: int) -> Positions:
        checked: Positions = np.asarray(position, dtype=np.int64)
        if checked.size and (checked.min() < 0 or checked.max() > last):
            raise ValueError(
                f"positions from {checked.min()} to {checked.max()}: a context of {self.max_tokens} tokens has "
                f"0 to {last}."
            )
        return checked

    def _parts(self, part: ArrayLike) -> Positions:
        checked: Positions = np.asarray(part, dtype=np.int64)
        if checked.size and (checked.min() < 0 or checked.max() >= self.parts):
            raise ValueError(f"parts from {checked.min()} to {checked.max()}: there are 0 to {self.parts - 1}.")
        return checked
