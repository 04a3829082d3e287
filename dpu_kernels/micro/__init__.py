"""Microbenchmarks of one DPU: arithmetic throughput, MRAM bandwidth by DMA size, WRAM STREAM."""

from .arithmetic import BLOCK_BYTES, Operation, arithmetic_program
from .mram import Direction, mram_program
from .stream import STREAM_ELEMS, StreamOperation, stream_program

__all__ = [
    "BLOCK_BYTES",
    "STREAM_ELEMS",
    "Direction",
    "Operation",
    "StreamOperation",
    "arithmetic_program",
    "mram_program",
    "stream_program",
]
