"""Reads the log of a DPU: the words that `printf` left in MRAM, formatted on the host (upmem-sdk 2.8 and 3.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from .allocation import Allocation
from .commands import Memory, Read
from .device.wram_map import LOG_WRITTEN
from .errors import LogBufferTooSmallError, LogContextMissingError, LogFormatError
from .transfers import common_binary

__all__ = ["format_log", "read_log"]

CONVERSION = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?P<precision>(?:\.\d*)?)(?P<size>hh|h|ll|l|L|z)?(?P<kind>.)"
)
SIZES = {"hh": 8, "h": 16, "l": 64, "ll": 64, "L": 64}  # bits on a DPU; without a size an int


def read_log(allocation: Allocation, dpu: int) -> str:
    """What one DPU printed in its last launch.

    Raises LogContextMissingError for a program without printf, LogBufferTooSmallError when the ring was overrun.
    """
    binary = common_binary(allocation, range(dpu, dpu + 1))
    if not binary.log_bytes:
        raise LogContextMissingError(f"program {binary.name!r} never calls printf")
    written, wrapped = (int(word) for word in _read_words(allocation, dpu, "wram", LOG_WRITTEN, 2))
    if wrapped:
        raise LogBufferTooSmallError(
            f"DPU {dpu} printed {written} bytes in one launch, the ring holds {binary.log_bytes}"
        )
    return format_log(_read_words(allocation, dpu, "mram", 0, written // 8), binary.closure.formats)


def format_log(words: NDArray[np.int64], formats: Mapping[int, str]) -> str:
    """The text of all messages in `words`; `formats` maps the key in a message's header to its format."""
    text, position = [], 0
    while position < len(words):
        header = int(words[position])
        end = position + 1 + (header >> 32)
        text.append(_formatted(formats[header & 0xFFFF_FFFF], iter(words[position + 1 : end].tolist())))
        position = end
    return "".join(text)


def _read_words(allocation: Allocation, dpu: int, memory: Memory, address: int, count: int) -> NDArray[np.int64]:
    words = np.zeros(count, np.int64)
    if count:
        command = Read(
            dpus=range(dpu, dpu + 1),
            memory=memory,
            address=address,
            nbytes=8 * count,
            rows=words.view(np.uint8)[None, :],
            mode="serial_from",
        )
        allocation.transfer(command, "log")
    return words


def _formatted(text: str, arguments: Iterator[int]) -> str:
    def replace(match: re.Match[str]) -> str:
        kind, bits = match["kind"], SIZES.get(match["size"], 32)
        if kind == "%":
            return "%"
        value = next(arguments, None)
        if value is None or kind not in "diuxXoc":
            problem = "has no argument" if value is None else "is not one of d i u x X o c"
            raise LogFormatError(f"{match[0]!r} in {text!r} {problem}")
        value &= (1 << bits) - 1
        if kind in "di" and value >> (bits - 1):
            value -= 1 << bits
        if kind == "c":
            value &= 0xFF
        return ("%" + match["flags"] + match["width"] + match["precision"] + ("d" if kind == "u" else kind)) % value

    return CONVERSION.sub(replace, text)
