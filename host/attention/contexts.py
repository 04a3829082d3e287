"""Contexts that live in DPUs: where the rows of each one are, and the transfers that put them there (S0-1, S0-14).

A context is K and V of one KV head of one request, or of one part of it. It occupies a slot of a DPU. Owns the loaded
DPUs and their memory: row addresses, block tables, biases. Which context goes where is its user's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import BLOCK_TOKENS, attention_program, online_program
from dpu_kernels.pruning import Decision, SelectionArgument, decision_rows_at_once, pruned_attention_program
from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine, default_machine
from pim_runtime.device.mram import MAX_DMA_BYTES
from pim_runtime.symbols import HEAP_NAME

from .biases import BiasTable
from .layout import Paging, default_slots, plan_layout
from .operands import pack_rows
from .partition import Partition
from .pools import Pool
from .spec import AttentionSpec
from .wram_plan import plan_wram

__all__ = ["Contexts", "Unit"]

USUAL_DIMS = (64, 128)  # compiled for their size; a program for every odd size would take longer to compile than to run

Integers = NDArray[np.signedinteger[Any]]
Bytes = NDArray[np.uint8]


class Unit(NamedTuple):
    """Where a context is."""

    dpu: int
    slot: int


class _Rows(NamedTuple):
    """Stored rows [tokens, bytes] of one kind; `start`: of those of token 0, in a slot or block."""

    start: int
    rows: Bytes

    def start_of(self, token: int) -> int:
        return self.start + token * self.rows.shape[1]


class Contexts:
    """`nr_dpus` DPUs with a loaded attention program and room for `slots` contexts each, None for the usual number.

    at_once: how many contexts per DPU are sure to fit with full length when paged.

    nr_tasklets: 2 to 24: one master and the workers.
    Raises CapacityError when the contexts cannot fit, and what DpuSet raises.
    """

    def __init__(
        self,
        spec: AttentionSpec,
        partition: Partition,
        *,
        nr_dpus: int,
        slots: int | None,
        at_once: int,
        paging: Paging,
        nr_tasklets: int,
        machine: Machine | None,
        options: EngineOptions | None,
    ) -> None:
        if not 2 <= nr_tasklets <= 24:
            raise ValueError(f"{nr_tasklets} tasklets: attention needs a master and at least one worker, 2 to 24")
        if spec.selector is not None and spec.norm == "zscore" and partition.parts > 1:
            raise ValueError(
                f"z-scores of survivors on {partition.parts} DPUs per head: their statistics need a second launch; "
                "take norm 'softmax', or whole heads"
            )
        self.spec, self.partition, self.paging, self.nr_tasklets = spec, partition, paging, nr_tasklets
        machine = machine or default_machine()
        binary = _program(spec, 0).build(machine.hardware, nr_tasklets=nr_tasklets)
        self.wram = plan_wram(spec, nr_tasklets=nr_tasklets, heap_bytes=binary.wram_heap_bytes)
        heap_bytes = binary.mram_heap_bytes
        if slots is None:
            slots = default_slots(spec, partition, paging=paging, heap_bytes=heap_bytes)
        self.layout = plan_layout(spec, partition, paging=paging, slots=slots, at_once=at_once, heap_bytes=heap_bytes)
        usual = spec.queries == 1 and self.wram.columns == spec.dim and spec.dim in USUAL_DIMS
        self.heap_address = binary.symbols[HEAP_NAME].address
        self.dpus = DpuSet(nr_dpus, machine=machine, options=options)
        try:
            program = _program(spec, spec.dim if usual else 0, self.wram.decision)
            self.dpus.load(program, nr_tasklets=nr_tasklets)
            if spec.plans:
                self.dpus.copy("exp2_table", spec.plans[0].table.view(np.uint8))
            if spec.selector is not None:
                self.dpus.copy("selection", self._selection().view(np.uint8))
        except BaseException:
            self.dpus.free()
            raise
        self.pools = [Pool(self.layout.nr_blocks) for _ in range(nr_dpus)]
        self._blocks: dict[Unit, list[int]] = {}

    def blocks_of(self, unit: Unit) -> Sequence[int]:
        """The blocks of a context, in token order; none when contiguous."""
        return self._blocks.get(unit, ())

    def blocks_for(self, tokens: int) -> int:
        """Blocks that a context of so many tokens takes; 0 when contiguous."""
        return -(-tokens // BLOCK_TOKENS) if self.paging == "paged" else 0

    def missing_blocks(self, unit: Unit, tokens: int) -> int:
        """Blocks that a context lacks to hold `tokens`; 0 when contiguous."""
        return max(0, self.blocks_for(tokens) - len(self.blocks_of(unit)))

    def reserve(self, tokens: dict[Unit, int]) -> None:
        """Give contexts the blocks that they need for so many tokens, and tell the DPUs.

        Raises ValueError when a pool has too few: see `missing_blocks`. No context has changed when it fails.
        """
        taken: dict[Unit, list[int]] = {}
        try:
            for unit, count in tokens.items():
                missing = self.missing_blocks(unit, count)
                if missing:
                    taken[unit] = self.pools[unit.dpu].take(missing)
            self._push((unit.dpu, self._table_end(unit), self._entries(blocks)) for unit, blocks in taken.items())
        except BaseException:
            for unit, blocks in taken.items():
                self.pools[unit.dpu].give(blocks)
            raise
        for unit, blocks in taken.items():
            self._blocks.setdefault(unit, []).extend(blocks)

    def release(self, unit: Unit) -> None:
        """A context's blocks are free again; its rows stay in memory, as on hardware."""
        self.pools[unit.dpu].give(self._blocks.pop(unit, []))

    def write_rows(
        self, units: Sequence[Unit], first: Sequence[int], k: Sequence[Integers], v: Sequence[Integers]
    ) -> None:
        """Write rows k[i], v[i] [tokens, dim] of context units[i] from its own token first[i] on."""
        pieces: list[tuple[int, int, Bytes]] = []
        for unit, start, keys, values in zip(units, first, k, v, strict=True):
            if len(keys):
                pieces += self._pieces(unit, start, self._stored(keys, values))
        self._push(pieces)

    def write_biases(self, units: Sequence[Unit], kv_heads: Sequence[int]) -> None:
        """Write the ALiBi tables of a KV head's queries to the contexts' slots."""
        if not self.spec.alibi_slopes:
            return
        table = BiasTable(self.partition, self.layout.capacity * self.partition.parts)
        distances = np.minimum(table.distances(), self.spec.max_tokens - 1)
        per_head = {head: self._biases(head, distances) for head in set(kv_heads)}
        offset = self.layout.biases
        self._push(
            (unit.dpu, offset + unit.slot * self.layout.bias_bytes, per_head[head])
            for unit, head in zip(units, kv_heads, strict=True)
        )

    def addresses(self, unit: Unit) -> tuple[int, int, int]:
        """What the kernel takes as K, V and TABLE for a context."""
        if self.paging == "paged":
            return 0, self.layout.v, self.heap_address + self._table(unit)
        k = self.heap_address + self.layout.kv + unit.slot * self.layout.slot_bytes
        return k, k + self.layout.v, 0

    def queries_as_rows(self, q: Integers, theta: NDArray[np.float64] | None = None) -> Bytes:
        """What a launch is sent for q [n, queries, dim], uint8 [n, query_bytes].

        theta [n, queries]: for a spec with a selector, else it means nothing. Raises ValueError when it is missing.
        """
        rows = [_padded(q, self.layout.q_bytes)]
        if self.spec.selector is not None:
            if theta is None:
                raise ValueError("queries without thresholds for a spec with a selector: AttentionSet takes theta")
            levels, thresholds = self.spec.selector.decisions(q, theta)
            rows += [_padded(levels, self.layout.q_bytes), thresholds.view(np.uint8)]
        return np.concatenate([part.reshape(len(q), -1) for part in rows], axis=1)

    def _table(self, unit: Unit) -> int:
        return self.layout.tables + unit.slot * self.layout.table_bytes

    def _table_end(self, unit: Unit) -> int:
        """Where the next entry of a block table goes."""
        return self._table(unit) + 8 * len(self.blocks_of(unit))

    def _entries(self, blocks: list[int]) -> Bytes:
        """Block table entries: where the blocks start."""
        start = self.heap_address + self.layout.kv
        return np.array([start + block * self.layout.block_bytes for block in blocks], np.int64).view(np.uint8)

    def _biases(self, kv_head: int, distances: NDArray[np.int64]) -> Bytes:
        g = self.spec.queries
        tables = [self.spec.biases(head, distances) for head in range(kv_head * g, (kv_head + 1) * g)]
        return np.concatenate(tables).view(np.uint8)

    def _stored(self, keys: Integers, values: Integers) -> list[_Rows]:
        """Rows of a context [tokens, dim] as they stand in MRAM: K, V, and for pruning packed halves of K."""
        layout, packs = self.layout, self.spec.dtype == "int4"
        stored = [
            _Rows(start, _padded(pack_rows(rows) if packs else rows, layout.row_bytes))
            for start, rows in ((0, keys), (layout.v, values))
        ]
        if self.spec.selector is not None:
            nibbles = pack_rows(self.spec.selector.nibbles(keys))
            stored.append(_Rows(layout.nibbles, _padded(nibbles, layout.nibble_row_bytes)))
        return stored

    def _selection(self) -> NDArray[np.int32]:
        """The host variable of that name."""
        layout, heap = self.layout, self.heap_address
        values = {
            SelectionArgument.NIBBLES: layout.nibbles,
            SelectionArgument.ROW_BYTES: layout.nibble_row_bytes,
            SelectionArgument.ROWS_AT_ONCE: decision_rows_at_once(self.spec.dim, MAX_DMA_BYTES),
            SelectionArgument.LEVELS: heap + layout.levels,
            SelectionArgument.THRESHOLDS: heap + layout.thresholds,
            SelectionArgument.KEPT: heap + layout.kept,
        }
        return np.array([values[argument] for argument in SelectionArgument], np.int32)

    def _pieces(self, unit: Unit, first: int, stored: list[_Rows]) -> list[tuple[int, int, Bytes]]:
        """(DPU, offset from the heap, bytes) of rows; neighbouring whole blocks are one piece."""
        layout, tokens = self.layout, len(stored[0].rows)
        if self.paging == "contiguous":
            offset = layout.kv + unit.slot * layout.slot_bytes
            return [(unit.dpu, offset + part.start_of(first), part.rows.reshape(-1)) for part in stored]
        pieces, blocks, done = [], self._blocks[unit], 0
        while done < tokens:
            index, inside = divmod(first + done, BLOCK_TOKENS)
            offset = layout.kv + blocks[index] * layout.block_bytes
            whole = 0
            while (
                inside == 0
                and tokens - done >= (whole + 1) * BLOCK_TOKENS
                and blocks[index + whole] == blocks[index] + whole
            ):
                whole += 1
            if whole:
                rows = slice(done, done + whole * BLOCK_TOKENS)
                together = np.concatenate([part.rows[rows].reshape(whole, -1) for part in stored], axis=1)
                pieces.append((unit.dpu, offset, together.reshape(-1)))
                done += whole * BLOCK_TOKENS
                continue
            rows = slice(done, min(tokens, done + BLOCK_TOKENS - inside))
            pieces += [(unit.dpu, offset + part.start_of(inside), part.rows[rows].reshape(-1)) for part in stored]
            done = rows.stop
        return pieces

    def _push(self, pieces: Any) -> None:
        """One transfer for all pieces of the same place and size: a transfer has one offset for all its DPUs."""
        together: dict[tuple[int, int], dict[int, Bytes]] = defaultdict(dict)
        for dpu, offset, data in pieces:
            together[offset, len(data)][dpu] = data
        for (offset, _), rows in together.items():
            self.dpus.copy(HEAP_NAME, [rows.get(dpu) for dpu in range(len(self.dpus))], offset=offset)


def _padded(rows: NDArray[Any], row_bytes: int) -> Bytes:
    """Rows [..., dim] as bytes [..., row_bytes]; copied only when they need padding or are not contiguous."""
    data = np.ascontiguousarray(rows).view(np.uint8)
    missing = row_bytes - data.shape[-1]
    return np.pad(data, [(0, 0)] * (data.ndim - 1) + [(0, missing)]) if missing else data


def _program(spec: AttentionSpec, dim: int, decision: Decision = "multiply") -> DpuProgram:
    """decision matters to pruning only, and not to where symbols are."""
    name = spec.operands.name
    if spec.pruned_norm is not None:
        return pruned_attention_program(spec.pruned_norm, spec.exponential, dim, spec.products, decision)
    if spec.norm == "softmax_online":
        return online_program(name, spec.exponential, dim, spec.products)
    return attention_program(name, spec.norm, spec.acc, spec.exponential, dim, spec.products)
