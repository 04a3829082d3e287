"""Attention with several banks per head: scores up, softmax at the controller, probabilities down, sums up (M-6).

Tokens are dealt out to the banks of a head in turn. Probabilities are weights in Q24 (K-6) of the largest score of all
banks, so that the sums do not depend on how many banks there are. k and v of a token stand side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.gemv import HEADER_BYTES, LARGEST_SUMS, MESSAGE_BYTES, ROW_TYPES, RowType, row_bytes, row_elements
from host.attention.operands import pack_rows
from host.attention.partition import Partition
from host.attention.reference import softmax_weights
from host.attention.spec import AttentionSpec
from host.attention.sums import SoftmaxSums
from host.llm.engine import Vectors, joined
from host.machines.capacity import MachineCapacityError

from .bank_memory import padded_rows
from .emulated_banks import EmulatedBanks
from .traffic import Moved

__all__ = ["ControllerSoftmax", "KvRoom"]

NARROWEST_COLUMNS = 16  # that a bank sums up in a pass over its rows


class KvRoom:
    """Sizes of K and V in a bank, `banks_per_head` banks to each KV head.

    Raises ValueError for more banks than there are, MachineCapacityError where a message has no room.
    """

    def __init__(self, spec: AttentionSpec, *, banks_per_head: int, nr_banks: int, layers: int) -> None:
        needed = banks_per_head * spec.kv_heads
        if not 1 <= banks_per_head <= nr_banks or needed > nr_banks:
            raise ValueError(
                f"{banks_per_head} banks for each of {spec.kv_heads} KV heads: {nr_banks} banks allow 1 to "
                f"{nr_banks // spec.kv_heads}"
            )
        self.places = Partition(banks_per_head, "interleave").over(spec.max_tokens)
        row_type: RowType = "int4" if spec.dtype == "int4" else "int8"
        self.row_bytes, self.elements = row_bytes(spec.dim, row_type), row_elements(spec.dim, row_type)
        self.per_byte = ROW_TYPES[row_type]
        self.pair_bytes, self.matrices = 2 * self.row_bytes, 2 * layers
        self.layer_bytes = self.places.capacity * self.pair_bytes
        self.nbytes = layers * self.layer_bytes
        span = padded_rows(self.places.capacity)
        self.results_bytes = spec.queries * max(4 * span, 8 * self.elements)
        weights_bytes = HEADER_BYTES + 4 * spec.queries * span
        if weights_bytes > MESSAGE_BYTES:
            raise MachineCapacityError(
                f"probabilities of {spec.queries} queries to {self.places.capacity} tokens in a bank: "
                f"{weights_bytes:,} bytes, and a bank has room for {MESSAGE_BYTES:,}. Take more banks per head, or a "
                "shorter context"
            )
        if spec.queries * NARROWEST_COLUMNS > LARGEST_SUMS:
            raise MachineCapacityError(
                f"{spec.queries} query heads on a KV head: a bank sums up for at most "
                f"{LARGEST_SUMS // NARROWEST_COLUMNS} at once. Take a model with more KV heads"
            )


class ControllerSoftmax:
    """The caches of all layers in banks from the first one on, at an offset of their heaps."""

    def __init__(self, spec: AttentionSpec, banks: EmulatedBanks, room: KvRoom, *, layers: int, offset: int) -> None:
        self._spec, self._banks, self._room = spec, banks, room
        self._offsets = [offset + layer * room.layer_bytes for layer in range(layers)]
        self._keys, self._values = (
            [self._entered(offset + shift) for offset in self._offsets] for shift in (0, room.row_bytes)
        )
        self._tokens = [0] * layers

    def attend(self, layer: int, q: Vectors, k: Vectors, v: Vectors) -> SoftmaxSums:
        """As host.llm.engine.Engine says."""
        answers = []
        for row, key, value in zip(q, k, v, strict=True):
            self._append(layer, key, value)
            answers.append(self._answer(layer, row.reshape(self._spec.kv_heads, self._spec.queries, -1)))
        return joined(answers)

    def forget(self) -> None:
        """As host.llm.engine.Engine says."""
        self._tokens = [0] * len(self._tokens)

    @property
    def _parts(self) -> int:
        return self._room.places.parts

    def _entered(self, offset: int) -> int:
        rows = np.zeros(len(self._banks), np.int64)  # every message says how many take part
        return self._banks.enter(
            offset=offset,
            rows=rows,
            row_bytes=self._room.row_bytes,
            stride=self._room.pair_bytes,
            per_byte=self._room.per_byte,
        )

    def _append(self, layer: int, key: Vectors, value: Vectors) -> None:
        """k, v [kv_heads, dim] of the next token, to the bank of each head whose turn it is."""
        spec, room = self._spec, self._room
        pairs = np.zeros((spec.kv_heads, 2, room.row_bytes), np.uint8)
        rows_of_pairs = np.stack([key, value], axis=1)
        stored = pack_rows(rows_of_pairs) if room.per_byte > 1 else rows_of_pairs.view(np.uint8)
        pairs[..., : stored.shape[-1]] = stored
        token = self._tokens[layer]
        owner, local = int(room.places.owner(token)), int(room.places.local(token))
        rows: list[NDArray[np.uint8] | None] = [None] * len(self._banks)
        for head, pair in enumerate(pairs):
            rows[head * self._parts + owner] = pair.reshape(-1)
        offset = self._offsets[layer] + local * room.pair_bytes
        self._banks.append(offset, rows, elements=key.size + value.size)
        self._tokens[layer] += 1

    def _answer(self, layer: int, q: NDArray[np.int8]) -> SoftmaxSums:
        """Sums [heads, ...] of q [kv_heads, queries, dim]."""
        spec, parts, tokens = self._spec, self._parts, self._tokens[layer]
        local = self._room.places.tokens_before(tokens, np.arange(parts))
        rows, span = self._per_bank(np.tile(local, spec.kv_heads)), padded_rows(int(local.max()))
        vectors = np.zeros((*q.shape[:2], self._room.elements), np.int8)
        vectors[..., : spec.dim] = q
        products = self._banks.dots(
            "kv",
            self._keys[layer],
            self._per_bank(vectors.repeat(parts, axis=0)),
            rows=rows,
            span=span,
            moved=Moved(down=parts * q.size, up=spec.heads * tokens),
        )
        scores = np.zeros((spec.kv_heads, spec.queries, tokens), np.int64)
        by_part = self._by_head(products)
        for part, count in enumerate(local.tolist()):
            scores[..., part::parts] = by_part[:, part, :, :count]
        probabilities = softmax_weights(scores, spec.plans[0])
        weights = np.zeros((spec.kv_heads, parts, spec.queries, span), np.int32)
        for part, count in enumerate(local.tolist()):
            weights[:, part, :, :count] = probabilities[..., part::parts]
        sums = self._banks.sums(
            "kv",
            self._values[layer],
            self._per_bank(weights.reshape(-1, spec.queries, span)),
            rows=rows,
            elements=self._room.elements,
            moved=Moved(down=spec.heads * tokens, up=parts * q.size, controller_adds=(parts - 1) * q.size),
        )
        return SoftmaxSums(
            maximum=scores.max(axis=-1).reshape(-1),
            weight_sum=probabilities.sum(axis=-1).astype(np.uint64).reshape(-1),
            weighted_values=self._by_head(sums)[..., : spec.dim].sum(axis=1).reshape(spec.heads, spec.dim),
        )

    def _per_bank(self, used: NDArray[Any]) -> NDArray[Any]:
        """Rows of the banks that have a part of a head, and zeros for the others."""
        rows = np.zeros((len(self._banks), *used.shape[1:]), used.dtype)
        rows[: len(used)] = used
        return rows

    def _by_head(self, results: NDArray[Any]) -> NDArray[Any]:
        """[banks, ...] as [kv_heads, parts, ...]."""
        heads = self._spec.kv_heads
        return results[: heads * self._parts].reshape(heads, self._parts, *results.shape[1:])
