"""Where attention keeps its data in the MRAM of a DPU, and how long a context fits (S0-2, S0-13).

From the MRAM heap on, as in the published program: Q, O, all K rows, all V rows. Behind them scores and the workers'
partial outputs, which the published program declares as variables. Rows are padded to the DMA granularity of 8 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from dpu_kernels.attention import (
    ALIGNMENT,
    GROUP,
    Accumulation,
    Norm,
    output_kind,
    output_length,
    padded,
    rows_in_a_pass,
    score_kind,
)
from pim_runtime.device import IntegerType
from pim_runtime.device.mram import MAX_DMA_BYTES
from pim_runtime.errors import PimError

__all__ = ["CapacityError", "MramLayout", "longest_context", "plan_layout"]

MAX_WORKERS = 23
WRAM_FOR_BUFFERS = 53 * 1024  # what is left of 64 KiB beside stacks, tables and variables at 24 tasklets


class CapacityError(PimError):
    """Heads do not fit the memories of a DPU. `longest_context` is the number of tokens that would."""

    def __init__(self, message: str, longest_context: int) -> None:
        super().__init__(message)
        self.longest_context = longest_context


@dataclass(frozen=True, slots=True, kw_only=True)
class MramLayout:
    """Offsets from the MRAM heap and sizes, in bytes, for up to `max_tokens` tokens of `dim` elements."""

    dim: int
    max_tokens: int
    row_bytes: int
    output_bytes: int
    q: int
    output: int
    k: int
    v: int
    scores: int
    partials: int
    end: int


def plan_layout(
    *, kind: IntegerType, norm: Norm, acc: Accumulation, dim: int, max_tokens: int, heap_bytes: int
) -> MramLayout:
    """The layout of one head per DPU. Raises CapacityError with the longest context that fits `heap_bytes`."""
    row_bytes = padded(dim * kind.itemsize)
    output_bytes = padded(output_length(dim, norm) * output_kind(kind, acc).itemsize)
    widest = max(row_bytes, output_bytes)
    if widest > MAX_DMA_BYTES:
        raise CapacityError(f"rows of {dim} {kind} elements need {widest} bytes, a DMA moves {MAX_DMA_BYTES}", 0)
    buffers = (1 + rows_in_a_pass(kind)) * row_bytes + output_bytes + GROUP * score_kind(kind, acc).itemsize
    per_tasklet = buffers + ALIGNMENT - 8
    if (MAX_WORKERS + 1) * per_tasklet + output_bytes > WRAM_FOR_BUFFERS:
        raise CapacityError(
            f"{dim} {kind} elements per row need {per_tasklet} bytes of WRAM buffers per tasklet; 24 tasklets have "
            f"{(WRAM_FOR_BUFFERS - output_bytes) // 24} each: use fewer dimensions per DPU or a narrower type",
            0,
        )
    score_bytes = score_kind(kind, acc).itemsize
    k = row_bytes + output_bytes
    v = k + max_tokens * row_bytes
    scores = v + max_tokens * row_bytes
    partials = scores + _grouped(max_tokens) * score_bytes
    end = partials + MAX_WORKERS * output_bytes
    if max_tokens < 1 or end > heap_bytes:
        fits = _fitting_tokens(row_bytes, output_bytes, score_bytes, heap_bytes)
        raise CapacityError(
            f"{max_tokens} tokens of {dim} {kind} elements need {end:,} bytes of MRAM, the heap has {heap_bytes:,}: "
            f"the longest context that fits is {fits} tokens",
            fits,
        )
    return MramLayout(
        dim=dim,
        max_tokens=max_tokens,
        row_bytes=row_bytes,
        output_bytes=output_bytes,
        q=0,
        output=row_bytes,
        k=k,
        v=v,
        scores=scores,
        partials=partials,
        end=end,
    )


def longest_context(*, kind: IntegerType, norm: Norm, acc: Accumulation, dim: int, heap_bytes: int) -> int:
    """Tokens of one head that fit the MRAM heap of one DPU."""
    row_bytes = padded(dim * kind.itemsize)
    output_bytes = padded(output_length(dim, norm) * output_kind(kind, acc).itemsize)
    return _fitting_tokens(row_bytes, output_bytes, score_kind(kind, acc).itemsize, heap_bytes)


def _fitting_tokens(row_bytes: int, output_bytes: int, score_bytes: int, heap_bytes: int) -> int:
    free = heap_bytes - row_bytes - output_bytes * (1 + MAX_WORKERS)
    groups = max(0, free) // (GROUP * (2 * row_bytes + score_bytes))
    rest = free - groups * GROUP * (2 * row_bytes + score_bytes) - GROUP * score_bytes  # a last, partly filled group
    return groups * GROUP + max(0, min(GROUP - 1, rest // (2 * row_bytes)))


def _grouped(tokens: int) -> int:
    return (tokens + GROUP - 1) // GROUP * GROUP
