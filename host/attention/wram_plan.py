"""How the attention programs divide the WRAM heap: which columns of V one pass sums up so that all tasklets fit."""

from __future__ import annotations

from dataclasses import dataclass

from dpu_kernels.attention import (
    ALIGNMENT,
    GROUP,
    notes_length,
    output_kind,
    padded,
    running_kind,
    score_kind,
    summed_rows,
)
from dpu_kernels.pruning import PLACE_NOTES, Decision, nibble_row_bytes, tables_bytes
from pim_runtime.device.mram import MAX_DMA_BYTES
from pim_runtime.errors import PimError

from .spec import AttentionSpec

__all__ = ["CapacityError", "WramPlan", "plan_wram"]

CELLS_BYTES = 8 * GROUP
COLUMN_STEP = 16  # whole DMAs for every type: 16 nibbles are 8 bytes


class CapacityError(PimError):
    """Heads do not fit the memories of a DPU. `longest_context` is the number of tokens that would."""

    def __init__(self, message: str, longest_context: int) -> None:
        super().__init__(message)
        self.longest_context = longest_context


@dataclass(frozen=True, slots=True, kw_only=True)
class WramPlan:
    """columns: elements of V that one pass over the tokens sums up. buffer_bytes: of a tasklet for stored rows.

    decision: how pruning multiplies nibbles; tables where there is room for them beside whole rows.
    """

    columns: int
    buffer_bytes: int
    decision: Decision


def plan_wram(spec: AttentionSpec, *, nr_tasklets: int, heap_bytes: int) -> WramPlan:
    """The widest columns with which `nr_tasklets` fit `heap_bytes` of WRAM.

    Raises CapacityError when rows or groups of scores exceed a DMA, or not even the narrowest columns fit.
    """
    kind, score = spec.storage.kind, score_kind(spec.storage.kind, spec.acc)
    row_bytes, group_bytes = (
        padded(spec.dim * kind.itemsize),
        summed_rows(spec.norm, spec.queries) * GROUP * score.itemsize,
    )
    for what, nbytes in (
        (f"rows of {spec.dim} {kind} elements", row_bytes),
        (f"scores of {spec.queries} queries", group_bytes),
    ):
        if nbytes > MAX_DMA_BYTES:
            raise CapacityError(f"{what} need {nbytes} bytes, a DMA moves {MAX_DMA_BYTES}", 0)
    plans = [_plan(spec, columns, "multiply") for columns in _choices(spec)]
    if spec.selector is not None:
        plans.insert(0, _plan(spec, spec.dim, "tables"))
    for plan in plans:
        if (
            plan.columns * output_kind(kind, spec.acc).itemsize <= MAX_DMA_BYTES
            and _needed(spec, plan, nr_tasklets) < heap_bytes
        ):
            return plan
    raise CapacityError(
        f"{spec.queries} queries of {spec.dim} {spec.dtype} elements with norm {spec.norm!r} need "
        f"{_needed(spec, plans[-1], nr_tasklets):,} bytes of WRAM buffers for {nr_tasklets} tasklets, the heap has "
        f"{heap_bytes:,}: use fewer tasklets, fewer queries per KV head or dimensions, or a narrower type",
        0,
    )


def _choices(spec: AttentionSpec) -> list[int]:
    """Whole rows first. Online softmax rescales whole rows, so it has no other choice."""
    if spec.norm == "softmax_online":
        return [spec.dim]
    return [spec.dim, *range((spec.dim - 1) // COLUMN_STEP * COLUMN_STEP, 0, -COLUMN_STEP)]


def _plan(spec: AttentionSpec, columns: int, decision: Decision) -> WramPlan:
    row_bytes, part_bytes = spec.storage.row_bytes(spec.dim), spec.storage.row_bytes(columns)
    rows = 1 if spec.norm == "softmax_online" else spec.storage.rows_in_a_pass
    packed = 0 if spec.selector is None else min(GROUP * nibble_row_bytes(spec.dim), MAX_DMA_BYTES)
    return WramPlan(columns=columns, buffer_bytes=max(row_bytes, rows * part_bytes, packed), decision=decision)


def _needed(spec: AttentionSpec, plan: WramPlan, nr_tasklets: int) -> int:
    """Bytes that the programs allocate (dpu_kernels.attention and .pruning), each allocation on 8 bytes."""
    kind, workers = spec.storage.kind, nr_tasklets - 1
    score, output = score_kind(kind, spec.acc), output_kind(kind, spec.acc)
    q_bytes, per_item = padded(spec.dim * kind.itemsize), spec.storage.elements_per_item
    rows = plan.buffer_bytes * per_item + (plan.buffer_bytes if per_item > 1 else 0)
    own_query, shared_queries = (q_bytes, 0) if spec.queries == 1 else (0, spec.queries * q_bytes)
    shared = workers * spec.queries * notes_length(spec.norm) * 8 + shared_queries
    columns, summed = padded(plan.columns), summed_rows(spec.norm, spec.queries)
    if spec.norm == "softmax_online":
        sums = spec.queries * (spec.dim * 8 + CELLS_BYTES) + padded(spec.queries * score.itemsize)
        part = spec.dim * 8
    else:
        running = running_kind(spec.storage, spec.norm, spec.acc)
        column_bytes = output.itemsize + (running.itemsize if running is not output else 0)
        sums = summed * (columns * column_bytes + GROUP * score.itemsize) + CELLS_BYTES
        part = columns * output.itemsize
    if spec.selector is not None:
        shared += spec.queries * (q_bytes + 8 + 8 * PLACE_NOTES * workers)
        sums += spec.queries * (GROUP * score.itemsize + 8 + GROUP)
        if plan.decision == "tables":
            shared += tables_bytes(spec.dim, spec.queries)
        else:
            sums += 2 * nibble_row_bytes(spec.dim)
    return shared + nr_tasklets * (ALIGNMENT - 8 + rows + own_query + sums) + part
