"""The integer types of kernels: `int8` ... `uint64`. Each is a declared type and a cast.

A value inside a kernel is a signed 64-bit integer, in both engines. A cast `int16(x)` wraps it to the type's range; a
load from a view extends, a store truncates, as in C. The bit pattern of a `uint64` is carried as a signed number: use
`device.arith` where its order, quotient or right shift matters.

A sum, difference or product that does not fit 64 bits is right modulo 2**64 once it is cast or stored. Compared,
divided or shifted before that, the engines may differ, since only compiled code has wrapped it. As in C, a shift by a
negative number or by more than 63 is undefined. `device.arith` defines all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["IntegerType", "as_integer_type", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@dataclass(frozen=True, slots=True)
class IntegerType:
    """An integer type of the DPU: `int32` declares a symbol, `int32(x)` wraps x to 32 bits (two's complement)."""

    name: str
    bits: int
    signed: bool

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The NumPy type with the same layout in memory."""
        return np.dtype(self.name)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.bits // 8

    @property
    def unsigned_64(self) -> bool:
        """True for uint64, whose values are carried as signed patterns."""
        return not self.signed and self.bits == 64

    @property
    def shift_mask(self) -> int:
        """The bits of a shift count that a DPU looks at."""
        return 63 if self.bits == 64 else 31

    @property
    def pattern_mask(self) -> int:
        """`kind(x) & kind.pattern_mask` is the bit pattern of x, not sign-extended."""
        return -1 if self.bits == 64 else (1 << self.bits) - 1

    def __call__(self, value: int) -> int:
        """`value` wrapped to this type; a uint64 comes back as its signed 64-bit pattern."""
        if not isinstance(value, int):
            raise TypeError(f"DPU kernels are integer-only, but this is {type(value).__name__}: {value!r}")
        wrapped = value & ((1 << self.bits) - 1)
        if (self.signed or self.bits == 64) and wrapped >> (self.bits - 1):
            wrapped -= 1 << self.bits
        return wrapped

    def __repr__(self) -> str:
        return self.name


int8 = IntegerType("int8", 8, True)
int16 = IntegerType("int16", 16, True)
int32 = IntegerType("int32", 32, True)
int64 = IntegerType("int64", 64, True)
uint8 = IntegerType("uint8", 8, False)
uint16 = IntegerType("uint16", 16, False)
uint32 = IntegerType("uint32", 32, False)
uint64 = IntegerType("uint64", 64, False)


def as_integer_type(kind: IntegerType | np.dtype | type | str) -> IntegerType:
    """The kernel type for a NumPy dtype, scalar type or name; TypeError for anything that is no integer type."""
    if isinstance(kind, IntegerType):
        return kind
    try:
        dtype = np.dtype(kind)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "iu":
        raise TypeError(f"{kind!r} is no integer type: DPU symbols are int8 ... int64 or uint8 ... uint64")
    return IntegerType(dtype.name, dtype.itemsize * 8, dtype.kind == "i")
