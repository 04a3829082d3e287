"""A LLaMA-style decoder with int4 weights and int8 activations: which products follow which (S2-9).

Owns the order of the operators. Products and attention are an `Engine`'s, what lies between them a `Controller`'s; with
two feed-forward matrices the network is max(0, x W1 + b1) W2 + b2, as in document 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .controller import Controller, Precision, Units
from .engine import Accumulators, Engine
from .fixed_point import CACHED, GATED, HEAD, LOGIT, NORMALISED, Format
from .float_controller import FloatController
from .integer_controller import IntegerController
from .weights import OUTPUT, DecoderWeights, MatrixKey, MatrixName, check_decodable

__all__ = ["TILE_TOKENS", "Decoder", "checked_tokens"]

TILE_TOKENS = 16  # S2-10: tokens of a prompt that pass the weights together
CONTROLLERS: Mapping[Precision, type[IntegerController] | type[FloatController]] = MappingProxyType(
    {"integer": IntegerController, "float": FloatController}
)


class Decoder:
    """One context that grows. Raises ValueError for a model that cannot be computed, or no tile of at least 1 token.

    tile_tokens: how many tokens of a prompt pass the layers together; results do not depend on it.
    """

    def __init__(
        self,
        weights: DecoderWeights,
        engine: Engine,
        *,
        precision: Precision = "integer",
        tile_tokens: int = TILE_TOKENS,
    ) -> None:
        check_decodable(weights.model)
        if tile_tokens < 1:
            raise ValueError(f"tiles of {tile_tokens} tokens: at least 1")
        if precision not in CONTROLLERS:
            raise ValueError(f"precision = {precision!r}: choose one of {', '.join(CONTROLLERS)}")
        self.model, self._cached = weights.model, CACHED[engine.kv_bits]
        self._weights, self._engine, self._tile_tokens = weights, engine, tile_tokens
        self._controller: Controller = CONTROLLERS[precision](weights.model)
        self.forget()

    def forget(self) -> None:
        """Start anew: an empty context; also after an error, which may have left a part of a token."""
        self._engine.forget()
        self.length = 0

    def read(self, tokens: Sequence[int]) -> NDArray[np.int32]:
        """Let tokens, at least one, join the context; gives the logits of the last one, int32 [vocabulary] as LOGIT.

        Raises ValueError for tokens outside the vocabulary, TypeError for such as are no integers, and ValueError for
        more than the context holds.
        """
        ids = checked_tokens(tokens, self.model.vocabulary or 0)
        if self.length + len(ids) > self.model.max_tokens:
            raise ValueError(
                f"{len(ids)} tokens join {self.length}: the context of model {self.model.name!r} has room for "
                f"{self.model.max_tokens}"
            )
        for start in range(0, len(ids), self._tile_tokens):
            hidden = self._pass(ids[start : start + self._tile_tokens])
        normalised = self._controller.normalised(hidden[-1:], self._weights.output_gains)
        ((logits, unit),) = self._multiply(("output",), OUTPUT.layer, normalised, NORMALISED)
        return LOGIT.requantised(logits, unit)[0].astype(np.int32)

    def _pass(self, ids: NDArray[np.int64]) -> NDArray[Any]:
        """Hidden states [n, hidden] of tokens behind the last layer."""
        embedding, controller = self._weights.embedding, self._controller
        positions = np.arange(self.length, self.length + len(ids))
        hidden = controller.embedded(embedding.values[ids].astype(np.int64), embedding.scale[ids, None])
        for layer in range(self.model.layers):
            normalised = controller.normalised(hidden, self._weights.attention_gains[layer])
            hidden = controller.added(hidden, *self._attention(layer, normalised, positions))
            normalised = controller.normalised(hidden, self._weights.ffn_gains[layer])
            hidden = controller.added(hidden, *self._feed_forward(layer, normalised))
        self.length += len(ids)
        return hidden

    def _attention(
        self, layer: int, vectors: NDArray[np.int8], positions: NDArray[np.int64]
    ) -> tuple[Accumulators, Units]:
        projected = self._multiply(("query", "key", "value"), layer, vectors, NORMALISED)
        (q, q_unit), (k, k_unit), (v, v_unit) = (map(self._by_head, pair) for pair in projected)
        sums = self._engine.attend(
            layer,
            self._controller.rotated(q, q_unit, positions, HEAD),
            self._controller.rotated(k, k_unit, positions, self._cached),
            self._controller.values(v, v_unit, self._cached),
        )
        seen = self._controller.averaged(sums, self._cached).reshape(len(vectors), -1)
        return self._multiply(("projection",), layer, seen, HEAD)[0]

    def _feed_forward(self, layer: int, vectors: NDArray[np.int8]) -> tuple[Accumulators, Units]:
        if self.model.ffn_matrices == 3:
            gate, up = self._multiply(("gate", "up"), layer, vectors, NORMALISED)
            inner = self._controller.gated(*gate, *up)
        else:
            (up,) = self._multiply(("up",), layer, vectors, NORMALISED)
            inner = self._controller.activated(*up)
        return self._multiply(("down",), layer, inner, GATED)[0]

    def _multiply(
        self, names: Sequence[MatrixName], layer: int, vectors: NDArray[np.int8], given: Format
    ) -> list[tuple[Accumulators, Units]]:
        """Products with matrices of a layer, biases added, and their units; `given` is the format of the vectors."""
        keys = [MatrixKey(name, layer) for name in names]
        matrices = [self._weights.matrices[key] for key in keys]
        products = self._engine.multiply(keys, vectors)
        return [
            (product if matrix.bias is None else product + matrix.bias, matrix.scale * given.scale)
            for product, matrix in zip(products, matrices, strict=True)
        ]

    def _by_head(self, rows: NDArray[Any]) -> NDArray[Any]:
        """[..., heads * dim] as [..., heads, dim]."""
        return rows.reshape(*rows.shape[:-1], -1, self.model.dim)


def checked_tokens(tokens: Sequence[int], vocabulary: int) -> NDArray[np.int64]:
    """Ids as an array [n]. Raises ValueError for none or one outside the vocabulary, TypeError for no integer."""
    try:
        ids = [index(token) for token in tokens]
    except TypeError:
        raise TypeError(f"tokens {list(tokens)!r}: ids are integers") from None
    if not ids:
        raise ValueError("no tokens: a prompt has at least one")
    for place, token in enumerate(ids):
        if not 0 <= token < vocabulary:
            raise ValueError(f"token {token} at place {place}: the vocabulary has 0 to {vocabulary - 1}")
    return np.array(ids, np.int64)
