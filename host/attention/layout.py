"""Where attention keeps its data in the MRAM of a DPU, and how long a context fits (S0-2, S0-13, S0-14).

From the MRAM heap on, as in the published program: Q, O, K rows, V rows. A DPU may hold several contexts: each in a
slot of its own with room for the longest (contiguous), or in blocks of 16 tokens taken from a common pool, which a
table per context lists (paged). Behind them scores and the workers' partial outputs, which the published program
declares as variables, and ALiBi biases. Rows are padded to the DMA granularity of 8 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dpu_kernels.attention import (
    BLOCK_TOKENS,
    GROUP,
    output_kind,
    padded,
    score_kind,
    summed_rows,
)
from dpu_kernels.pruning import kept_bytes, nibble_row_bytes

from .biases import BiasTable
from .partition import Partition
from .spec import AttentionSpec
from .wram_plan import CapacityError

__all__ = ["MAX_WORKERS", "MramLayout", "Paging", "default_slots", "longest_context", "plan_layout"]

Paging = Literal["contiguous", "paged"]

MAX_WORKERS = 23
PAGED_SLOTS = 64  # their tables take little, and no DPU should serve more contexts one after the other


@dataclass(frozen=True, slots=True, kw_only=True)
class MramLayout:
    """Offsets from the MRAM heap and sizes, in bytes.

    capacity: tokens of one context on one DPU. slots: contexts of a DPU.
    query_bytes: what a launch gets at `q`: queries, and for pruning from `levels` and `thresholds` on how they decide.
    kv: where slots or blocks start. slot_bytes: contiguous K and V of a context; 0 when paged.
    tables, table_bytes: block tables of the slots; nr_blocks, block_bytes: the pool; 0 when contiguous.
    v: from the start of a slot or block to its first V row.
    biases, bias_bytes: of the slots; bias_stride: from one query's biases to the next one's; 0 without ALiBi.
    nibbles: from the start of a slot or block to its first packed row; kept, kept_bytes: bits of the tokens that were
    kept (dpu_kernels.pruning.kept_bytes); 0 without pruning.
    """

    capacity: int
    slots: int
    q: int
    q_bytes: int
    query_bytes: int
    levels: int
    thresholds: int
    row_bytes: int
    output: int
    output_bytes: int
    kv: int
    slot_bytes: int
    tables: int
    table_bytes: int
    nr_blocks: int
    block_bytes: int
    v: int
    scores: int
    partials: int
    biases: int
    bias_bytes: int
    bias_stride: int
    nibbles: int
    nibble_row_bytes: int
    kept: int
    kept_bytes: int
    end: int


def plan_layout(
    spec: AttentionSpec, partition: Partition, *, paging: Paging, slots: int, at_once: int, heap_bytes: int
) -> MramLayout:
    """The layout for `slots` contexts per DPU, `at_once` of which are sure to fit with full length, all if contiguous.

    When paged, all of the heap that is left becomes blocks.
    Raises CapacityError with the longest context that fits `heap_bytes`, ValueError for less than one slot or another
    paging.
    """
    if paging not in get_args(Paging):
        raise ValueError(f"paging = {paging!r}: choose one of {', '.join(get_args(Paging))}")
    if slots < 1:
        raise ValueError(f"{slots} contexts per DPU: at least 1")
    capacity = partition.part_capacity(spec.max_tokens)
    layout = _layout(spec, capacity, partition, paging, slots, at_once, heap_bytes)
    if layout.end > heap_bytes:
        fits = longest_context(spec, partition, paging=paging, slots=slots, at_once=at_once, heap_bytes=heap_bytes)
        several = f", {slots} such contexts per DPU" if slots > 1 else ""
        raise CapacityError(
            f"{spec.max_tokens} tokens of {spec.dim} {spec.dtype} elements on {partition.parts} DPUs{several} need "
            f"{layout.end:,} bytes of MRAM, the heap has {heap_bytes:,}: "
            f"the longest context that fits is {fits} tokens",
            fits,
        )
    return layout


def longest_context(
    spec: AttentionSpec, partition: Partition, *, paging: Paging, slots: int, at_once: int, heap_bytes: int
) -> int:
    """Tokens of the longest context for which `plan_layout` finds room in `heap_bytes` of MRAM (S0-13); 0 if none."""
    known, too_large = 0, heap_bytes // spec.storage.row_bytes(spec.dim) + 1
    while too_large - known > 1:
        middle = (known + too_large) // 2
        if _layout(spec, middle, partition, paging, slots, at_once, heap_bytes).end <= heap_bytes:
            known = middle
        else:
            too_large = middle
    return known * partition.parts


def default_slots(spec: AttentionSpec, partition: Partition, *, paging: Paging, heap_bytes: int) -> int:
    """Contexts per DPU when nothing is said: all of full length that fit, or PAGED_SLOTS; at least 1."""
    if paging == "paged":
        return PAGED_SLOTS
    capacity = partition.part_capacity(spec.max_tokens)
    one, two = (_layout(spec, capacity, partition, paging, slots, slots, heap_bytes).end for slots in (1, 2))
    return max(1, 1 + (heap_bytes - one) // (two - one))


def _layout(
    spec: AttentionSpec, capacity: int, partition: Partition, paging: Paging, slots: int, at_once: int, heap_bytes: int
) -> MramLayout:
    kind = spec.storage.kind
    row_bytes, q_bytes = spec.storage.row_bytes(spec.dim), padded(spec.dim * kind.itemsize)
    output_bytes = padded(spec.dim * output_kind(kind, spec.acc).itemsize) + 8 * spec.statistics_length
    summed, groups = summed_rows(spec.norm, spec.queries), -(-capacity // GROUP)
    scores_bytes = groups * summed * GROUP * score_kind(kind, spec.acc).itemsize
    partials_bytes = MAX_WORKERS * summed * output_bytes
    bias_stride = BiasTable(partition, capacity * partition.parts).nbytes if spec.alibi_slopes else 0
    bias_bytes = spec.queries * bias_stride
    levels = spec.queries * q_bytes
    prunes = spec.selector is not None
    thresholds = levels + prunes * spec.queries * q_bytes
    output = thresholds + prunes * spec.queries * 8
    nibble_bytes = prunes * nibble_row_bytes(spec.dim)
    kept = prunes * kept_bytes(groups, spec.queries, MAX_WORKERS)
    tables = output + summed * output_bytes
    behind = scores_bytes + partials_bytes + slots * bias_bytes + kept
    blocks_per_slot, token_bytes = -(-capacity // BLOCK_TOKENS), 2 * row_bytes + nibble_bytes
    if paging == "paged":
        table_bytes, block_bytes, slot_bytes = 8 * blocks_per_slot, BLOCK_TOKENS * token_bytes, 0
        kv = tables + slots * table_bytes
        nr_blocks = max(at_once * blocks_per_slot, (heap_bytes - kv - behind) // block_bytes)
        v = BLOCK_TOKENS * row_bytes
    else:
        table_bytes, block_bytes, slot_bytes = 0, 0, capacity * token_bytes
        kv, nr_blocks, v = tables, 0, capacity * row_bytes
    scores = kv + slots * slot_bytes + nr_blocks * block_bytes
    partials = scores + scores_bytes
    biases = partials + partials_bytes
    return MramLayout(
        capacity=capacity,
        slots=slots,
        q=0,
        q_bytes=q_bytes,
        query_bytes=output,
        levels=levels,
        thresholds=thresholds,
        row_bytes=row_bytes,
        output=output,
        output_bytes=output_bytes,
        kv=kv,
        slot_bytes=slot_bytes,
        tables=tables,
        table_bytes=table_bytes,
        nr_blocks=nr_blocks,
        block_bytes=block_bytes,
        v=v,
        scores=scores,
        partials=partials,
        biases=biases,
        bias_bytes=bias_bytes,
        bias_stride=bias_stride,
        nibbles=2 * v,
        nibble_row_bytes=nibble_bytes,
        kept=biases + slots * bias_bytes,
        kept_bytes=kept,
        end=biases + slots * bias_bytes + kept,
    )
