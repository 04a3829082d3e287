"""`printf` (SDK `stdio.h`): messages go unformatted to a ring in MRAM, the host formats them (upmem-sdk 3.6, 2.8).

A message is a header word (CRC-32 of the format in the low half, number of arguments above) and one 8-byte word per
argument. The format must be a literal; its arguments are integers. The buffer restarts at every boot.
"""

from __future__ import annotations

import zlib

from .faults import FaultCode, fault
from .library import library
from .raw import peek, poke
from .run_record import LOG_BYTES
from .tasklet import Tasklet
from .wram_map import LOG_WRAPPED, LOG_WRITTEN

__all__ = ["STDOUT_BYTES", "format_key", "printf"]

STDOUT_BYTES = 1 << 20  # the SDK's default STDOUT_BUFFER_INIT


def format_key(text: str) -> int:
    """What stands for a format string in the log."""
    return zlib.crc32(text.encode())


@library
def append_word(t: Tasklet, word: int) -> None:
    """Append one word to the log ring."""
    written, size = peek(t.wram + LOG_WRITTEN), peek(t.run + 8 * LOG_BYTES)
    if written >= size:
        poke(t.wram + LOG_WRAPPED, 1)
    poke(t.mram + written % size, word)
    poke(t.wram + LOG_WRITTEN, written + 8)


@library
def open_message(t: Tasklet, key: int, nr_arguments: int) -> None:
    """Start a message; faults when it cannot fit the ring."""
    size = peek(t.run + 8 * LOG_BYTES)
    if 8 * (nr_arguments + 1) > size:
        fault(t, FaultCode.LOG_MESSAGE_SIZE, 8 * (nr_arguments + 1), size, 0, 0)
    append_word(t, key | nr_arguments << 32)


def printf(t: Tasklet, text: str, *arguments: int) -> None:
    """Print on the DPU's log: conversions d i u x X o c, with C's flags, widths and length modifiers."""
    open_message(t, format_key(text), len(arguments))
    for argument in arguments:
        append_word(t, int(argument))
