"""Keys in two parts: the most significant bits, which the transposable ReRAM multiplies, and the rest (S4-1).

Owns the cut and its inverse. k = 2**(8 - msb_bits) * msb + lsb holds for every int8 k in both modes. Packed nibbles
are those of the DPU kernels, low nibble first (K-12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.integer_math import whole_number
from host.attention.operands import pack_rows, unpack_rows

from .arguments import check_int8

__all__ = ["OPERAND_BITS", "Nibbles", "PackedNibbles", "SplitMode", "check_split", "split_msb_lsb", "unpack_nibbles"]

OPERAND_BITS = 8

SplitMode = Literal["trunc", "round"]
"""trunc: msb = k >> bits, and lsb is never negative; the parts are the stored bits. round: msb is the nearest multiple,
saturated at the largest; lsb then has a sign and one more bit."""


class PackedNibbles(NamedTuple):
    """The parts of 4 bits as rows of bytes, uint8 [..., ceil(dim / 2)]; behind an odd row is a nibble of 0."""

    msb: NDArray[np.uint8]
    lsb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nibbles:
    """Both parts of int8 values, int8 of their shape.

    msb: -2**(msb_bits - 1) to 2**(msb_bits - 1) - 1.
    lsb: 0 to step - 1 in mode trunc; -step / 2 to step - 1 in mode round, of which only values whose msb saturated have
        step / 2 or more.
    """

    msb: NDArray[np.int8]
    lsb: NDArray[np.int8]
    msb_bits: int
    mode: SplitMode

    @property
    def step(self) -> int:
        """What a unit of `msb` is worth: 16 for 4 bits."""
        return 1 << (OPERAND_BITS - self.msb_bits)

    def recombined(self) -> NDArray[np.int8]:
        """The values that were cut, bit for bit."""
        values: NDArray[np.int8] = (self.msb.astype(np.int16) * self.step + self.lsb).astype(np.int8)
        return values

    def packed(self) -> PackedNibbles:
        """Both parts as packed rows. Raises ValueError unless they are 4 stored bits each."""
        if self.msb_bits != 4 or self.mode != "trunc":
            raise ValueError(
                f"parts of {self.msb_bits} and {OPERAND_BITS - self.msb_bits} bits in mode {self.mode!r} to pack: "
                'bytes hold nibbles, so take msb_bits=4 and mode="trunc".'
            )
        # An unsigned nibble is stored as the signed one of the same bits.
        return PackedNibbles(msb=pack_rows(self.msb), lsb=pack_rows((self.lsb ^ np.int8(8)) - np.int8(8)))


def split_msb_lsb(keys: NDArray[np.int8], msb_bits: int = 4, mode: SplitMode = "trunc") -> Nibbles:
    """Cut int8 values [..., dim], odd dims too, into msb_bits and the rest.

    Raises TypeError for other types, ValueError for msb_bits outside 1 to 7, an unknown mode, or no element in a row.
    """
    check_int8("keys", keys, "dim")
    bits = check_split(msb_bits, mode)
    shift = OPERAND_BITS - bits
    wide = keys.astype(np.int16)
    half_step = 1 << (shift - 1) if mode == "round" else 0
    msb = np.minimum((wide + half_step) >> shift, (1 << (bits - 1)) - 1)
    return Nibbles(msb=msb.astype(np.int8), lsb=(wide - (msb << shift)).astype(np.int8), msb_bits=bits, mode=mode)


def unpack_nibbles(packed: PackedNibbles, dim: int) -> Nibbles:
    """Inverse of `Nibbles.packed` for rows of `dim`. Raises as `operands.unpack_rows` does."""
    return Nibbles(
        msb=unpack_rows(packed.msb, dim), lsb=unpack_rows(packed.lsb, dim) & np.int8(15), msb_bits=4, mode="trunc"
    )


def check_split(msb_bits: int, mode: SplitMode) -> int:
    """msb_bits as a Python integer. Raises TypeError or ValueError as `split_msb_lsb` does."""
    bits = whole_number("msb_bits", msb_bits)
    if not 1 <= bits < OPERAND_BITS:
        raise ValueError(
            f"msb_bits = {bits}: choose 1 to {OPERAND_BITS - 1}, so that both parts of an int8 have a bit (SPRINT: 4)."
        )
    if mode not in get_args(SplitMode):
        raise ValueError(f"mode = {mode!r}: choose one of {', '.join(get_args(SplitMode))}.")
    return bits
