"""Where everything is in a bank: results, the blocks of all matrices, K and V. The same offsets in every bank (S2-5).

A matrix is cut into blocks by a `WeightPartition`: bank i * input_parts + j has outputs i and inputs j. Sizes that do
not divide are cut as evenly as whole numbers allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.gemv import HEADER_BYTES, MAX_MATRICES, MESSAGE_BYTES, ROW_GROUP, row_bytes, row_elements
from host.attention.operands import pack_rows
from host.llm.model import ModelConfig
from host.llm.weights import DecoderWeights, MatrixKey, matrix_keys, matrix_shape
from host.machines.capacity import MachineCapacityError
from host.machines.weight_partition import Fusion, WeightPartition

__all__ = ["BankMemory", "Block", "blocks_of", "padded_rows", "plan_memory", "stored_blocks"]

FUSED = (("query", "key", "value"), ("gate", "up"))  # take the same inputs (S2-7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A matrix, or several on top of one another, in pieces: one per bank.

    keys: the matrices. sizes: how many outputs each has. outputs, inputs: of the parts. offset: from the heap.
    """

    keys: tuple[MatrixKey, ...]
    sizes: tuple[int, ...]
    outputs: tuple[range, ...]
    inputs: tuple[range, ...]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Of a stored row: those of the widest part."""
        return row_bytes(max(map(len, self.inputs)), "int4")

    @property
    def elements(self) -> int:
        """Of a stored row, and of a vector that it meets."""
        return row_elements(max(map(len, self.inputs)), "int4")

    @property
    def span(self) -> int:
        """Rows of the bank that has the most, padded."""
        return padded_rows(max(map(len, self.outputs)))

    @property
    def nbytes(self) -> int:
        """In a bank."""
        return max(map(len, self.outputs)) * self.row_bytes

    @property
    def end(self) -> int:
        """Behind it."""
        return self.offset + self.nbytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BankMemory:
    """results_bytes: of the results of an exchange, at offset 0. blocks: in order. kv: offset of K and V."""

    results_bytes: int
    blocks: tuple[Block, ...]
    kv: int

    @property
    def by_keys(self) -> Mapping[tuple[MatrixKey, ...], Block]:
        """The blocks by their matrices."""
        return {block.keys: block for block in self.blocks}


def padded_rows(rows: int) -> int:
    """Rows of whole DMAs of results."""
    return -(-rows // ROW_GROUP) * ROW_GROUP


def plan_memory(
    model: ModelConfig,
    partition: WeightPartition,
    *,
    fusion: Fusion,
    tile_tokens: int,
    attention_results_bytes: int,
    kv_bytes: int,
    kv_matrices: int,
    bank_bytes: int,
) -> BankMemory:
    """The layout for one matrix after the other, then K and V.

    Raises MachineCapacityError where a bank has too little memory, or a message too little for the vectors of a tile.
    """
    blocks = blocks_of(model, partition, fusion)
    for block in blocks:
        needed = HEADER_BYTES + tile_tokens * block.elements
        if needed > MESSAGE_BYTES:
            raise MachineCapacityError(
                f"{tile_tokens} vectors for {_names(block.keys)}: {needed:,} bytes with padding, and a bank has room "
                f"for {MESSAGE_BYTES:,}. Take smaller tiles, or cut the inputs into more parts"
            )
    if len(blocks) + kv_matrices > MAX_MATRICES:
        raise MachineCapacityError(
            f"{len(blocks)} matrices and {kv_matrices} of K and V: the directory of a bank has {MAX_MATRICES} entries. "
            "Take fewer layers"
        )
    results = max([attention_results_bytes, *(4 * tile_tokens * block.span for block in blocks)])
    placed, offset = [], results
    for block in blocks:
        placed.append(_moved(block, offset))
        offset = placed[-1].end
    weights_bytes = offset - results
    if offset + kv_bytes > bank_bytes:
        raise MachineCapacityError(
            f"model {model.name!r} in {partition.units} banks: {results:,} bytes of results, {weights_bytes:,} of "
            f"weights and {kv_bytes:,} of K and V are needed in a bank, which has {bank_bytes:,}. Take more banks, "
            "banks with more memory, or a shorter context"
        )
    return BankMemory(results_bytes=results, blocks=tuple(placed), kv=offset)


def blocks_of(model: ModelConfig, partition: WeightPartition, fusion: Fusion) -> list[Block]:
    """The matrices of a model in the order of use, at offset 0."""
    result = []
    for keys in _groups(model, fusion):
        sizes = tuple(matrix_shape(model, key.name)[0] for key in keys)
        inputs = matrix_shape(model, keys[0].name)[1]
        result.append(
            Block(
                keys=keys,
                sizes=sizes,
                outputs=_cut(sum(sizes), partition.output_parts),
                inputs=_cut(inputs, partition.input_parts),
                offset=0,
            )
        )
    return result


def stored_blocks(weights: DecoderWeights, block: Block) -> NDArray[np.uint8]:
    """The bytes of each bank, [banks, block.nbytes]: packed rows, padded with zeros."""
    values = np.concatenate([weights.matrices[key].values for key in block.keys])
    rows = block.nbytes // block.row_bytes
    stored = np.zeros((len(block.outputs), len(block.inputs), rows, block.row_bytes), np.uint8)
    for i, outputs in enumerate(block.outputs):
        for j, inputs in enumerate(block.inputs):
            packed = pack_rows(values[outputs.start : outputs.stop, inputs.start : inputs.stop])
            stored[i, j, : len(outputs), : packed.shape[1]] = packed
    return stored.reshape(len(block.outputs) * len(block.inputs), -1)


def _groups(model: ModelConfig, fusion: Fusion) -> Iterator[tuple[MatrixKey, ...]]:
    """Matrices that are multiplied in one exchange."""
    together = {name: names for names in FUSED for name in names} if fusion == "fused" else {}
    keys = list(matrix_keys(model))
    for key in keys:
        names: Sequence[str] = together.get(key.name, (key.name,))
        group = tuple(other for other in keys if other.layer == key.layer and other.name in names)
        if key == group[0]:
            yield group


def _cut(length: int, parts: int) -> tuple[range, ...]:
    return tuple(range(length * i // parts, length * (i + 1) // parts) for i in range(parts))


def _moved(block: Block, offset: int) -> Block:
    return Block(keys=block.keys, sizes=block.sizes, outputs=block.outputs, inputs=block.inputs, offset=offset)


def _names(keys: Sequence[MatrixKey]) -> str:
    return " and ".join(f"{key.name} of layer {key.layer}" for key in keys)
