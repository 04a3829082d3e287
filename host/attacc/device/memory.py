"""The banks of one channel: K and V of the heads that live there.

Owns the cells. Data come by ordinary writes, token by token, as `geometry` lays them out. Lanes that fill up a column
hold the least integer, so that an answer that depends on them is wrong at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.machines.hbm_pim import HbmPim

from .faults import IllegalCommand, check_index
from .geometry import Address, HeadGeometry

__all__ = ["ChannelMemory"]

Integers = NDArray[np.signedinteger[Any]]


class ChannelMemory:
    """`rows` of every bank, which is as many as are in use; the other rows exist, and nobody writes them.

    dtype: of elements on the host. element_bits: of elements in the banks, fewer for packed nibbles.
    """

    def __init__(
        self, hardware: HbmPim, *, rows: int, dtype: np.dtype[np.signedinteger[Any]], element_bits: int
    ) -> None:
        self.element_bits = element_bits
        self._banks, self._columns_per_row = hardware.banks, hardware.timing.macs_per_row
        self._filling = int(np.iinfo(dtype).min)
        banks = hardware.units.pseudo_channels, self._banks.groups, self._banks.banks
        columns = rows, self._columns_per_row, 8 * hardware.units.command_bytes // element_bits
        self._cells = np.zeros((*banks, *columns), dtype)  # which takes memory where it is written only
        self._row_written = np.zeros(rows, np.bool_)

    def write(self, geometry: HeadGeometry, vectors: Integers, *, first_row: int, first_token: int) -> None:
        """Put vectors [n, dim] of consecutive tokens into the matrix, K or V, that begins at `first_row`."""
        places = geometry.token_places(first_token + np.arange(len(vectors)))
        row = first_row + places.row
        where = places.pseudo_channel, places.group, places.bank, row, places.column
        self._cells[where] = geometry.to_columns(vectors, fill=self._filling)
        self._row_written[row] = True

    def read(self, address: Address) -> NDArray[np.int64]:
        """The column at this address in every bank that it means: [pseudo channels, groups, banks, lanes].

        Raises IllegalCommand for an address that no bank has, and for a row that nobody wrote.
        """
        check_index("row", address.row, self._banks.rows)
        check_index("column", address.column, self._columns_per_row)
        if address.row >= len(self._row_written) or not self._row_written[address.row]:
            raise IllegalCommand(f"row {address.row} holds nothing yet: write K and V before a head uses them")
        groups = _chosen("bank group", address.group, self._banks.groups)
        banks = _chosen("bank", address.bank, self._banks.banks)
        return self._cells[:, groups, banks, address.row, address.column].astype(np.int64)


def _chosen(name: str, index: int | None, count: int) -> slice:
    """One, or all."""
    if index is None:
        return slice(None)
    check_index(name, index, count)
    return slice(index, index + 1)
