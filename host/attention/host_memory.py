"""What this computer has room for, asked before it is taken."""

from __future__ import annotations

import os

__all__ = ["check_host_memory", "host_memory_bytes"]


def host_memory_bytes() -> int:
    """Physical memory of this computer."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_host_memory(needed_bytes: int, *, what: str, mend: str) -> None:
    """Raise ValueError if this computer has less memory. what: needs it, in messages; mend: what to do instead."""
    there_is = host_memory_bytes()
    if needed_bytes > there_is:
        raise ValueError(f"{what} exceed the {there_is:,} bytes of this computer: {mend}")
