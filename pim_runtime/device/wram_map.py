"""Fixed WRAM addresses of the DPU runtime's own variables (upmem-sdk 3.2), shared by device library and linker.

The heap pointer and the print state live in WRAM because the real runtime keeps them there: they persist between
launches and a load resets them.
"""

from __future__ import annotations

__all__ = ["FIRST_VARIABLE", "HEAP_POINTER", "HEAP_START", "LOG_WRAPPED", "LOG_WRITTEN"]

NULL_WORD = 0  # 8 reserved bytes: address 0 is valid and reads 0
HEAP_POINTER = 8  # first free heap byte
HEAP_START = 16  # where mem_reset() returns to
LOG_WRITTEN = 24  # bytes printed since boot
LOG_WRAPPED = 32  # 1 when the ring was overrun in this launch
FIRST_VARIABLE = 40  # program variables start here
