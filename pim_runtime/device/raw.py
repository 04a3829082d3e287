"""Bytes at an address: the only operations of the device library that touch memory.

Addresses here are host addresses, as plain integers. What follows is the meaning in CPython; the compiler replaces
each function by a load or a store. Kernels never call these: they use views and DMA, which check.
"""

from __future__ import annotations

import ctypes

__all__ = ["copy_words", "peek", "peek8", "peek_shared", "poke", "poke8", "prefetch"]


def peek(address: int) -> int:
    """The int64 at `address`."""
    return ctypes.c_int64.from_address(address).value


def peek_shared(address: int) -> int:
    """The int64 at `address`, which another thread may change at any time."""
    return peek(address)


def poke(address: int, value: int) -> None:
    """Store `value` as int64 at `address`."""
    ctypes.c_int64.from_address(address).value = value


def peek8(address: int) -> int:
    """The int8 at `address`."""
    return ctypes.c_int8.from_address(address).value


def poke8(address: int, value: int) -> None:
    """Store the low byte of `value` at `address`."""
    ctypes.c_int8.from_address(address).value = value


def prefetch(address: int, nr_bytes: int) -> None:
    """Hint that these bytes are read soon. Changes nothing but speed, and may point anywhere."""


def copy_words(target: int, source: int, nr_words: int) -> None:
    """Copy `nr_words` 8-byte words from `source` to `target`."""
    ctypes.memmove(target, source, 8 * nr_words)
