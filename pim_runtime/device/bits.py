"""Bit counting on 64-bit patterns. What follows is the meaning in CPython; the compiler uses one instruction each."""

from __future__ import annotations

__all__ = ["leading_zeros", "ones"]


def leading_zeros(pattern: int) -> int:
    """Zero bits above the highest one of a 64-bit pattern; 64 for 0."""
    return 64 - (pattern & 0xFFFF_FFFF_FFFF_FFFF).bit_length()


def ones(pattern: int) -> int:
    """One bits of a 64-bit pattern."""
    return (pattern & 0xFFFF_FFFF_FFFF_FFFF).bit_count()
