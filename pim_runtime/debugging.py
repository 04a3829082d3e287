"""What a debugger may look at in a running kernel: symbols and memory, copied, so that nothing is disturbed.

(Pdb) from pim_runtime.debugging import memory, values
(Pdb) values(t, partial_sums)
(Pdb) memory(t, "mram", 0x1000, 64)
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .commands import Memory
from .device.raw import peek
from .device.run_record import MRAM_END, WRAM_END
from .device.tasklet import Tasklet
from .symbols import MramSymbol, Symbol

__all__ = ["memory", "values"]


def values(t: Tasklet, symbol: Symbol) -> NDArray[Any]:
    """The elements of a symbol on the tasklet's DPU, in the symbol's shape and type; a copy.

    Works in the interpreted engine, in a debugger or a `print`. Raises TypeError for what is no symbol.
    """
    if not isinstance(symbol, Symbol):
        raise TypeError(f"{symbol!r} is a {type(symbol).__name__} and no symbol: use memory(t, 'wram', address, n)")
    where: Memory = "mram" if isinstance(symbol, MramSymbol) else "wram"
    return memory(t, where, symbol.address, symbol.nbytes).view(symbol.kind.dtype).reshape(symbol.shape)


def memory(t: Tasklet, where: Memory, address: int, nr_bytes: int) -> NDArray[np.uint8]:
    """Bytes of the MRAM or WRAM of the tasklet's DPU, uint8 [nr_bytes]; a copy. Raises ValueError outside of it."""
    if where not in ("mram", "wram"):
        raise ValueError(f"memory {where!r}: choose 'mram' or 'wram'")
    base, end = (t.mram, MRAM_END) if where == "mram" else (t.wram, WRAM_END)
    size = peek(t.run + 8 * end)
    if address < 0 or nr_bytes < 0 or address + nr_bytes > size:
        raise ValueError(f"{nr_bytes} bytes at {address:#x} are not in the {where.upper()}, which ends at {size:#x}")
    return np.frombuffer(ctypes.string_at(base + address, nr_bytes), np.uint8).copy()
