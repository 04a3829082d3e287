"""Integer operands of attention: their types, their ranges, and rows of packed nibbles.

Owns the meaning of an operand type's name. int4 is a type of storage: K and V are packed nibbles in MRAM, on the host
int8 arrays; q and all arithmetic are those of int8 (K-12).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["DTypeName", "OperandType", "operand_dtype", "operand_type", "pack_rows", "unpack_rows"]

DTypeName = Literal["int4", "int8", "int16", "int32"]

_NUMPY_NAMES: tuple[DTypeName, ...] = ("int8", "int16", "int32")
_NIBBLE_MIN, _NIBBLE_MAX = -8, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class OperandType:
    """What q, K and V may hold.

    name: the type of K and V as stored. dtype: numpy dtype of q and, on the host, of K and V.
    bits: of one stored element of K or V.
    q_min, q_max, kv_min, kv_max: least and greatest element. Quantised operands lie in -q_max to q_max and
        -kv_max to kv_max.
    """

    name: DTypeName
    dtype: np.dtype[np.signedinteger]
    bits: int
    q_min: int
    q_max: int
    kv_min: int
    kv_max: int


def operand_type(dtype: DTypeName | DTypeLike) -> OperandType:
    """The operand type of a name or numpy dtype. Raises TypeError unless it is int4, int8, int16 or int32."""
    if isinstance(dtype, str) and dtype == "int4":
        return _operand_type("int4", np.dtype(np.int8), bits=4, kv_min=_NIBBLE_MIN, kv_max=_NIBBLE_MAX)
    resolved: np.dtype[Any] = np.dtype(dtype)
    for name in _NUMPY_NAMES:
        if resolved == np.dtype(name):
            info = np.iinfo(resolved)
            return _operand_type(name, resolved, bits=info.bits, kv_min=int(info.min), kv_max=int(info.max))
    raise TypeError(
        f"attention operands of type {resolved}: the kernels take int4, int8, int16 or int32. "
        "Quantise with host.attention.quantise first."
    )


def operand_dtype(dtype: DTypeName | DTypeLike) -> np.dtype[np.signedinteger]:
    """numpy dtype of q and, on the host, of K and V: int8 for int4, else the type itself.

    Raises TypeError as `operand_type` does.
    """
    return operand_type(dtype).dtype


def pack_rows(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Rows as nibbles, two to a byte, low nibble first (K-12): int8 [..., dim] to uint8 [..., ceil(dim / 2)].

    The high nibble behind an odd row is 0. Raises TypeError for another type, ValueError for a value outside -8 to 7.
    """
    if values.dtype != np.int8:
        raise TypeError(f"values of type {values.dtype} to pack: int4 values are int8 arrays of -8 to 7.")
    if values.ndim < 1:
        raise ValueError("one value to pack: rows are [..., dim].")
    if values.size and not _NIBBLE_MIN <= values.min() <= values.max() <= _NIBBLE_MAX:
        raise ValueError(
            f"values from {values.min()} to {values.max()} do not fit 4 bits, which hold {_NIBBLE_MIN} to "
            f"{_NIBBLE_MAX}: quantise with limit={_NIBBLE_MAX}."
        )
    nibbles: NDArray[np.uint8] = values.view(np.uint8) & np.uint8(15)
    packed, high = nibbles[..., ::2].copy(), nibbles[..., 1::2]
    packed[..., : high.shape[-1]] |= high << 4
    return packed


def unpack_rows(packed: NDArray[np.uint8], dim: int) -> NDArray[np.int8]:
    """Inverse of `pack_rows`: uint8 [..., ceil(dim / 2)] to int8 [..., dim].

    Raises TypeError for another type, ValueError when the bytes of a row do not belong to `dim` elements.
    """
    if packed.dtype != np.uint8:
        raise TypeError(f"packed rows of type {packed.dtype}: they are uint8, two elements to a byte.")
    if packed.ndim < 1 or dim < 0 or packed.shape[-1] != (dim + 1) // 2:
        raise ValueError(f"packed rows of shape {packed.shape} for dim = {dim}: a row has ceil(dim / 2) bytes.")
    nibbles = np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], 2 * packed.shape[-1])
    values: NDArray[np.int8] = ((nibbles[..., :dim] ^ 8).view(np.int8) - 8).astype(np.int8)
    return values


def _operand_type(
    name: DTypeName, dtype: np.dtype[np.signedinteger], *, bits: int, kv_min: int, kv_max: int
) -> OperandType:
    info = np.iinfo(dtype)
    return OperandType(
        name=name, dtype=dtype, bits=bits, q_min=int(info.min), q_max=int(info.max), kv_min=kv_min, kv_max=kv_max
    )
