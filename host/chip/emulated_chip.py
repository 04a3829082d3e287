"""The functional chip of document 2: int4 weights in banks, int8 vectors, exact sums, as an engine of a decoder (S2-9).

Banks multiply; the controller, this program, adds partial sums, does softmax where banks do not, and everything that
lies between products. Results are the same bits for every partition and every placement of K and V.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.gemv import ALL_ROWS, MAX_VECTORS, ROW_TYPES
from host.attention.sums import SoftmaxSums
from host.llm.engine import Accumulators, Vectors, attention_spec
from host.llm.fixed_point import KvBits
from host.llm.integer_decoder import TILE_TOKENS
from host.llm.weights import OUTPUT, DecoderWeights, MatrixKey
from host.machines.kv_placement import KvPlacement
from host.machines.weight_partition import Fusion, WeightPartition
from pim_runtime import EngineOptions, Machine
from pim_runtime.timeline import Timeline

from .bank_memory import Block, plan_memory, stored_blocks
from .bank_softmax import BankSoftmax
from .controller_softmax import ControllerSoftmax, KvRoom
from .emulated_banks import EmulatedBanks
from .traffic import Moved, Traffic

__all__ = ["EmulatedChip"]


class EmulatedChip:
    """Banks that hold a model. One context at a time.

    partition: how each matrix is cut; one block for every bank. kv: `document.head_per_bank`, whose banks come on top
    of those of the weights, or `document.banks_per_head`, whose K and V share these; k and v of new tokens have
    transfers of their own. fusion: whether matrices that take the same inputs share an exchange (S2-7).
    tile_tokens: vectors that meet a row while a bank has it, 1 to 16 (S2-10). kv_bits: of elements of K and V.

    Raises MachineCapacityError or CapacityError where memory does not suffice, ValueError for what does not belong
    together, and what DpuSet raises.
    """

    def __init__(
        self,
        weights: DecoderWeights,
        *,
        partition: WeightPartition,
        kv: KvPlacement,
        machine: Machine,
        fusion: Fusion = "separate",
        tile_tokens: int = TILE_TOKENS,
        kv_bits: KvBits = 8,
        options: EngineOptions | None = None,
    ) -> None:
        if not 1 <= tile_tokens <= MAX_VECTORS:
            raise ValueError(f"tiles of {tile_tokens} tokens: a bank multiplies 1 to {MAX_VECTORS} vectors at once")
        if partition.bank_links != "none":
            raise ValueError(f"bank links {partition.bank_links!r}: DPUs have none, partial sums go to the controller")
        if kv.merge == "parts" or kv.append != "own transfer":
            raise ValueError(
                f"{kv}: on emulated banks a head's softmax is done by its bank or by the controller, and k and v of "
                'new tokens have an "own transfer"'
            )
        model = weights.model
        self.partition, self.kv, self.fusion, self.tile_tokens = partition, kv, fusion, tile_tokens
        self.kv_bits, self.traffic, spec = kv_bits, Traffic(), attention_spec(model, kv_bits)
        self._banks = EmulatedBanks(partition.units, traffic=self.traffic, machine=machine, options=options)
        try:
            room = None
            if kv.merge == "scores":
                room = KvRoom(spec, banks_per_head=kv.units_per_head, nr_banks=partition.units, layers=model.layers)
            memory = plan_memory(
                model,
                partition,
                fusion=fusion,
                tile_tokens=tile_tokens,
                attention_results_bytes=room.results_bytes if room else 0,
                kv_bytes=room.nbytes if room else 0,
                kv_matrices=room.matrices if room else 0,
                bank_bytes=self._banks.heap_bytes,
            )
            self._blocks = memory.by_keys
            self._numbers = {block.keys: self._load(weights, block) for block in memory.blocks}
            self._attention = (
                ControllerSoftmax(spec, self._banks, room, layers=model.layers, offset=memory.kv)
                if room
                else BankSoftmax(spec, layers=model.layers, traffic=self.traffic, machine=machine, options=options)
            )
        except BaseException:
            self._banks.free()
            raise
        self.setup_rows = tuple(len(timeline) for timeline in self.timelines)

    def __enter__(self) -> EmulatedChip:
        return self

    def __exit__(self, *exception: object) -> None:
        self.free()

    def free(self) -> None:
        """Give the DPUs back."""
        if isinstance(self._attention, BankSoftmax):
            self._attention.free()
        self._banks.free()

    @property
    def timelines(self) -> tuple[Timeline, ...]:
        """Of the banks with weights, and of those for heads if they are others. They work in turn, never together."""
        own = (self._attention.dpus.timeline,) if isinstance(self._attention, BankSoftmax) else ()
        return (self._banks.dpus.timeline, *own)

    @property
    def simulated_ps(self) -> int:
        """Modelled time of everything behind the set-up."""
        pairs = zip(self.timelines, self.setup_rows, strict=True)
        return sum(row.duration_ps for timeline, first in pairs for row in timeline.rows[first:])

    def weight_bytes(self, counted: Literal["layers", "gemv"]) -> int:
        """Of the matrices in all banks, with padding: what reading each once reads. "gemv": the output matrix too."""
        return sum(
            len(outputs) * len(block.inputs) * block.row_bytes
            for block in self._blocks.values()
            for outputs in block.outputs
            if counted == "gemv" or OUTPUT not in block.keys
        )

    def multiply(self, keys: Sequence[MatrixKey], vectors: Vectors) -> list[Accumulators]:
        """As host.llm.engine.Engine says; more vectors than a tile has take several passes over the weights."""
        if tuple(keys) in self._blocks:
            block = self._blocks[tuple(keys)]
            return np.split(self._products(block, vectors), np.cumsum(block.sizes)[:-1].tolist(), axis=1)
        return [self._products(self._blocks[key,], vectors) for key in keys]

    def attend(self, layer: int, q: Vectors, k: Vectors, v: Vectors) -> SoftmaxSums:
        """As host.llm.engine.Engine says."""
        return self._attention.attend(layer, q, k, v)

    def forget(self) -> None:
        """As host.llm.engine.Engine says."""
        self._attention.forget()

    def _load(self, weights: DecoderWeights, block: Block) -> int:
        """Put a matrix into the banks; gives its number."""
        self._banks.resident(block.offset, stored_blocks(weights, block))
        rows = np.repeat([len(outputs) for outputs in block.outputs], len(block.inputs))
        return self._banks.enter(
            offset=block.offset,
            rows=rows,
            row_bytes=block.row_bytes,
            stride=block.row_bytes,
            per_byte=ROW_TYPES["int4"],
        )

    def _products(self, block: Block, vectors: Vectors) -> Accumulators:
        """[n, outputs] of vectors [n, inputs]."""
        tiles = [vectors[start : start + self.tile_tokens] for start in range(0, len(vectors), self.tile_tokens)]
        return np.concatenate([self._product(block, tile) for tile in tiles])

    def _product(self, block: Block, vectors: Vectors) -> Accumulators:
        """[n, outputs] of the vectors [n, inputs] of a tile."""
        count, outputs, inputs = len(vectors), sum(block.sizes), len(block.inputs)
        partial = self._banks.dots(
            "weights",
            self._numbers[block.keys],
            self._operands(block, vectors),
            rows=ALL_ROWS,
            span=block.span,
            moved=Moved(down=vectors.size, up=count * inputs * outputs, controller_adds=count * (inputs - 1) * outputs),
        )
        by_part = partial.reshape(len(block.outputs), inputs, count, block.span).sum(axis=1, dtype=np.int64)
        rows = [sums[:, : len(part)] for sums, part in zip(by_part, block.outputs, strict=True)]
        return np.concatenate(rows, axis=1)

    def _operands(self, block: Block, vectors: Vectors) -> NDArray[np.int8]:
        """What goes down: one row for all banks, or the part of the inputs that each bank has; padded with zeros."""
        parts = np.zeros((len(block.inputs), len(vectors), block.elements), np.int8)
        for operand, part in zip(parts, block.inputs, strict=True):
            operand[:, : len(part)] = vectors[:, part.start : part.stop]
        return parts if len(parts) == 1 else np.tile(parts, (len(block.outputs), 1, 1))
