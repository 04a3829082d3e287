"""Where the elements of a head lie in the banks of a channel, and which units multiply them (S1-13).

Owns the layout. Token j belongs to group j mod n of the n that work at the same time, in its slot j // n; the elements
of a token lie in as many parts as there are banks with units of their own. So K, or V, of a head is a stream of columns
in every bank that works, slot by slot. Where fewer units work than there are banks, the stream goes from bank group to
bank group with every column, and from bank to bank with every full row: thus columns that follow each other come from
different bank groups, and the next row opens while a row streams, which is what the closed forms rely on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.machines.hbm_pim import HbmPim

__all__ = ["Address", "HeadGeometry", "TokenPlaces"]

Indices = NDArray[np.int64]


class Address(NamedTuple):
    """A column in every bank that a command reads: of one bank group or of all, of one bank of a group or of all.

    group counts the bank groups of all ranks, those of rank 0 first.
    """

    group: int | None
    bank: int | None
    row: int
    column: int


class TokenPlaces(NamedTuple):
    """Index arrays [tokens, parts, columns], broadcast against each other, of the columns of some tokens.

    row counts from the first row of the matrix, K or V.
    """

    pseudo_channel: Indices
    group: Indices
    bank: Indices
    row: Indices
    column: Indices


@dataclass(frozen=True, kw_only=True)  # no slots: every command asks for what is cached
class HeadGeometry:
    """A head of `dim` elements of K and V, of `element_bits` each.

    Raises ValueError for a size below 1, for elements that do not fill a column, and for units that the banks of a
    channel cannot be shared out to.
    """

    hardware: HbmPim
    dim: int
    element_bits: int

    def __post_init__(self) -> None:
        units, banks = self.hardware.units, self.hardware.banks
        if self.dim < 1:
            raise ValueError(f"dim = {self.dim}: a head has at least 1 element")
        if self.element_bits < 1 or 8 * units.command_bytes % self.element_bits:
            raise ValueError(
                f"element_bits = {self.element_bits}: whole elements fill a column of {units.command_bytes} bytes"
            )
        if banks.groups % self.groups or banks.banks % units.banks:
            raise ValueError(
                f"{self.hardware.name}: {self.groups} bank groups with units of {banks.groups}, {units.banks} banks of "
                f"{banks.banks}: units take equal shares of the banks"
            )

    @cached_property
    def lanes(self) -> int:
        """Multipliers of a unit: elements of a column (n_mac)."""
        return 8 * self.hardware.units.command_bytes // self.element_bits

    @cached_property
    def groups(self) -> int:
        """Bank groups of a pseudo channel that have units of their own; 1 for units on the buffer die."""
        return self.hardware.units.ranks * self.hardware.units.bank_groups

    @cached_property
    def parts(self) -> int:
        """Parts that the elements of a token are in."""
        return self.hardware.units.banks

    @cached_property
    def tokens_per_slot(self) -> int:
        """Tokens that the units multiply at the same time."""
        return self.hardware.units.token_groups

    @cached_property
    def part_dim(self) -> int:
        """Elements of a part; the last may have fewer, or none."""
        return -(-self.dim // self.parts)

    @cached_property
    def columns(self) -> int:
        """Columns of a token in a bank."""
        return -(-self.part_dim // self.lanes)

    @cached_property
    def columns_per_row(self) -> int:
        """Columns of a row, each read by one MAC_AB."""
        return self.hardware.timing.macs_per_row

    def slots(self, tokens: int) -> int:
        """Slots of a context."""
        return -(-tokens // self.tokens_per_slot)

    def rows(self, tokens: int) -> int:
        """Rows that K, or V, of a context takes in every bank."""
        walked = self._walked_groups * self._walked_banks
        return -(-self.slots(tokens) * self.columns // (walked * self.columns_per_row))

    def address(self, slot: int, column: int, *, first_row: int) -> Address:
        """The `column`-th column of a slot of the matrix that begins at `first_row`."""
        group, bank, row, offset = self._walk(slot * self.columns + column)
        return Address(
            group=group if self._walked_groups > 1 else None,
            bank=bank if self._walked_banks > 1 else None,
            row=first_row + row,
            column=offset,
        )

    def position(self, address: Address, *, first_row: int) -> tuple[int, int]:
        """Slot and column of an address, the inverse of `address`."""
        index = (address.row - first_row) * self._walked_banks + (address.bank or 0)
        index = index * self.columns_per_row + address.column
        return divmod(index * self._walked_groups + (address.group or 0), self.columns)

    def token_places(self, tokens: Indices) -> TokenPlaces:
        """Where tokens lie."""
        member, slot = tokens % self.tokens_per_slot, tokens // self.tokens_per_slot
        group, bank, row, column = self._walk(slot[:, None, None] * self.columns + np.arange(self.columns))
        return TokenPlaces(
            pseudo_channel=member[:, None, None] % self.hardware.units.pseudo_channels,
            group=group + member[:, None, None] // self.hardware.units.pseudo_channels,
            bank=bank + np.arange(self.parts)[None, :, None],
            row=row,
            column=column,
        )

    def tokens(self, slots: Indices, *, group: int) -> Indices:
        """Tokens [pseudo channels, slots] of slots in a bank group; beyond the last where a context ends in a slot."""
        pseudo_channels = self.hardware.units.pseudo_channels
        return slots * self.tokens_per_slot + group * pseudo_channels + np.arange(pseudo_channels)[:, None]

    def to_columns(self, vectors: NDArray[Any], *, fill: int) -> NDArray[Any]:
        """Vectors [n, dim] as they lie in columns, [n, parts, columns, lanes]; `fill` where there is no element."""
        count = len(vectors)
        parts = np.full((count, self.parts * self.part_dim), fill, vectors.dtype)
        parts[:, : self.dim] = vectors
        columns = np.full((count, self.parts, self.columns * self.lanes), fill, vectors.dtype)
        columns[:, :, : self.part_dim] = parts.reshape(count, self.parts, self.part_dim)
        return columns.reshape(count, self.parts, self.columns, self.lanes)

    def from_columns(self, columns: NDArray[Any]) -> NDArray[Any]:
        """[n, parts, columns, lanes] to [n, dim], the inverse of `to_columns`."""
        parts = columns.reshape(len(columns), self.parts, self.columns * self.lanes)[:, :, : self.part_dim]
        return parts.reshape(len(columns), self.parts * self.part_dim)[:, : self.dim]

    @cached_property
    def _walked_groups(self) -> int:
        return self.hardware.banks.groups // self.groups

    @cached_property
    def _walked_banks(self) -> int:
        return self.hardware.banks.banks // self.parts

    def _walk(self, index: Any) -> tuple[Any, Any, Any, Any]:
        """Group and bank, of those walked over, row and column of the `index`-th column of a stream."""
        index, group = divmod(index, self._walked_groups)
        index, column = divmod(index, self.columns_per_row)
        row, bank = divmod(index, self._walked_banks)
        return group, bank, row, column
