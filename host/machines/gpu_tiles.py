"""How a GPU cuts a matrix product into tiles, and what then passes its caches (S1-2).

Owns the search. Tiles of the first level decide which multiprocessors work, those of the second what is read twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .gpus import Gpus

__all__ = ["Fidelity", "Tiling", "busy_share", "tile_matmul"]

Fidelity = Literal["tile", "simple"]
"""tile: products are cut into tiles. simple: every operand passes once, and all multiprocessors work."""

L1_SIDES = (8, 16, 32, 64, 128, 192, 256, 320, 384, 448, 512)
L1_DEPTH = 32  # elements of the inner dimension that lie in L1 at a time
L2_SLICES = 64  # of the inner dimension, of which one lies in L2 at a time
REGISTER_SIDE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """What a product takes of one GPU.

    rows, columns: of a tile of the first level. busy_share: of the multiprocessors, on average. dram_bytes, l2_bytes,
    l1_bytes: what passes between memory and L2, L2 and L1, L1 and registers.
    """

    rows: int
    columns: float
    busy_share: float
    dram_bytes: float
    l2_bytes: float
    l1_bytes: float


def busy_share(gpus: Gpus, blocks: float, fidelity: Fidelity) -> float:
    """Of the multiprocessors, on average, when each takes a block at a time: the last wave may not be full."""
    if fidelity == "simple":
        return 1.0
    waves = -(-blocks // gpus.multiprocessors)
    return blocks / (waves * gpus.multiprocessors)


def tile_matmul(
    gpus: Gpus,
    *,
    rows: int,
    inner: int | Fraction,
    columns: int | Fraction,
    weight_bits: int,
    activation_bits: int,
    fidelity: Fidelity,
) -> Tiling:
    """The product of activations [rows, inner] and weights [inner, columns] on one GPU.

    Tiles of the first level minimise what passes L2, over the square of the share of multiprocessors that work; those
    of the second, made of these, minimise what passes memory. Of equal tiles, the first one with the fewest rows, then
    columns. `columns` and `inner` need not be whole: they may be shares of a rounded-up matrix.
    """
    product = _Product(rows, _plain(inner), _plain(columns), weight_bits / 8, activation_bits / 8)
    if fidelity == "simple":
        once = float(product.traffic(rows, product.columns))
        return Tiling(
            rows=rows,
            columns=product.columns,
            busy_share=1.0,
            dram_bytes=once,
            l2_bytes=once,
            l1_bytes=product.register_traffic,
        )
    return _tiled(product, gpus.multiprocessors, gpus.l1_bytes, gpus.l2_bytes)


@dataclass(frozen=True, slots=True)
class _Product:
    rows: int
    inner: float
    columns: float
    weight_bytes: float
    activation_bytes: float

    def traffic(self, tile_rows: ArrayLike, tile_columns: ArrayLike) -> np.ndarray:
        """Bytes read and written when an operand is read once for each tile across the other; sizes may be arrays."""
        row_tiles = np.ceil(np.divide(self.rows, tile_rows))
        column_tiles = np.ceil(np.divide(self.columns, tile_columns))
        activations = column_tiles * self.rows * self.inner + self.rows * self.columns
        return activations * self.activation_bytes + row_tiles * self.inner * self.columns * self.weight_bytes

    def resident(self, tile_rows: np.ndarray, tile_columns: np.ndarray | float, depth: float) -> np.ndarray:
        """Bytes of a tile of the result, and of the slices of both operands that it is computed from."""
        activations = tile_rows * depth + tile_rows * tile_columns
        return activations * self.activation_bytes + tile_columns * depth * self.weight_bytes

    @property
    def register_traffic(self) -> float:
        """Bytes between L1 and registers."""
        return float(self.traffic(REGISTER_SIDE, REGISTER_SIDE))


@lru_cache(maxsize=1 << 16)
def _tiled(product: _Product, multiprocessors: int, l1_bytes: int, l2_bytes: int) -> Tiling:
    rows, columns = (
        sides.ravel()
        for sides in np.meshgrid(
            np.minimum(L1_SIDES, product.rows), np.minimum(L1_SIDES, product.columns), indexing="ij"
        )
    )
    fits = product.resident(rows, columns, L1_DEPTH) <= l1_bytes
    rows, columns = rows[fits], columns[fits]
    blocks = np.ceil(product.rows / rows) * np.ceil(product.columns / columns)
    share = blocks / (np.ceil(blocks / multiprocessors) * multiprocessors)
    traffic = product.traffic(rows, columns)
    best = int(np.argmin(traffic * (1 / share) ** 2))
    tile_rows, tile_columns = int(rows[best]), float(columns[best])
    return Tiling(
        rows=tile_rows,
        columns=tile_columns,
        busy_share=float(share[best]),
        dram_bytes=_least_dram_bytes(product, tile_rows, tile_columns, l2_bytes),
        l2_bytes=float(traffic[best]),
        l1_bytes=product.register_traffic,
    )


def _least_dram_bytes(product: _Product, tile_rows: int, tile_columns: float, l2_bytes: int) -> float:
    """Of tiles in L2 that are made of those in L1, or have all rows or columns; the tile of L1 itself always fits.

    With the rows given, the widest tile that fits is best: what is read again only falls with its columns.
    """
    depth = product.inner / L2_SLICES
    beside = l2_bytes - tile_columns * depth * product.weight_bytes
    most = (
        int(beside / ((depth + tile_columns) * product.activation_bytes)) // tile_rows
    )  # tiles that fit one below the other
    rows = np.append(np.arange(1, max(1, min(most, product.rows // tile_rows)) + 1) * tile_rows, product.rows)
    free = l2_bytes - product.resident(rows, 0, depth)
    room = free / (product.resident(rows, 1, depth) - product.resident(rows, 0, depth))
    columns = np.where(room >= product.columns, product.columns, room // tile_columns * tile_columns)
    columns[0] = max(columns[0], tile_columns)
    fits = columns > 0
    return float(product.traffic(rows[fits], columns[fits]).min())


def _plain(size: int | Fraction) -> float:
    return int(size) if size == int(size) else float(size)
