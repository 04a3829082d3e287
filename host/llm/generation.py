"""Generating tokens with a cache of K and V and without one, and what a cache saves, counted (S3-4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.sums import SoftmaxSums

from .controller import Precision
from .engine import Accumulators, Engine, Vectors
from .fixed_point import KvBits
from .integer_decoder import TILE_TOKENS, Decoder, checked_tokens
from .model import ModelConfig
from .weights import OUTPUT, DecoderWeights, MatrixKey

__all__ = ["Cache", "CountedEngine", "Generated", "Generation", "check_request", "generate", "generated"]

Cache = Literal["cached", "recomputed"]
"""Whether K and V of earlier tokens are kept, or computed again for every new token."""


class Generated(NamedTuple):
    """A token, and the logits [vocabulary] of which it has the largest, the first of equals."""

    token: int
    logits: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """tokens: the new ones. logits: int32 [new tokens, vocabulary].

    projected_tokens: how many tokens passed the K and V projections of a layer; equal in all layers.
    reuses: int64 [layers, tokens], how often later steps of decoding read a cached (k, v) pair.
    """

    tokens: tuple[int, ...]
    logits: NDArray[np.int32]
    projected_tokens: int
    reuses: NDArray[np.int64]


class CountedEngine:
    """An engine, and counts of what it is asked.

    projected: int64 [layers], rows through the K projection. reuses: int64 [layers, max_tokens], reads of each pair in
    later steps than the one that cached it; a step ends with its logits.
    """

    def __init__(self, engine: Engine, *, layers: int, max_tokens: int) -> None:
        self._engine, self._lengths, self._cached = engine, [0] * layers, [0] * layers
        self.kv_bits: KvBits = engine.kv_bits
        self.projected = np.zeros(layers, np.int64)
        self.reuses = np.zeros((layers, max_tokens), np.int64)

    def multiply(self, keys: Sequence[MatrixKey], vectors: Vectors) -> list[Accumulators]:
        """As `Engine` says."""
        for key in keys:
            if key.name == "key":
                self.projected[key.layer] += len(vectors)
        if OUTPUT in keys:
            self._cached = list(self._lengths)
        return self._engine.multiply(keys, vectors)

    def attend(self, layer: int, q: Vectors, k: Vectors, v: Vectors) -> SoftmaxSums:
        """As `Engine` says."""
        self.reuses[layer, : self._cached[layer]] += len(q)
        self._lengths[layer] += len(q)
        return self._engine.attend(layer, q, k, v)

    def forget(self) -> None:
        """As `Engine` says."""
        self._lengths, self._cached = [0] * len(self._lengths), [0] * len(self._lengths)
        self._engine.forget()


def generated(decoder: Decoder, prompt: Sequence[int], *, cache: Cache = "cached") -> Iterator[Generated]:
    """The tokens that follow a prompt, greedily, one at a time, until the context is full.

    Raises ValueError for another cache, and what `Decoder.read` raises.
    """
    if cache not in get_args(Cache):
        raise ValueError(f"cache = {cache!r}: choose one of {', '.join(get_args(Cache))}")
    tokens, new = list(prompt), list(prompt)
    decoder.forget()
    while True:
        logits = decoder.read(new)
        token = int(np.argmax(logits))
        yield Generated(token, logits)
        if len(tokens) == decoder.model.max_tokens:
            return
        tokens.append(token)
        new = [token]
        if cache == "recomputed":
            decoder.forget()
            new = tokens


def check_request(model: ModelConfig, prompt: Sequence[int], new_tokens: int) -> None:
    """Raise ValueError or TypeError for a prompt that is none, or leaves no room in the context for new tokens."""
    if new_tokens < 1:
        raise ValueError(f"{new_tokens} new tokens: at least 1")
    checked_tokens(prompt, model.vocabulary or 0)
    if len(prompt) + new_tokens - 1 > model.max_tokens:
        raise ValueError(
            f"a prompt of {len(prompt)} tokens and {new_tokens} new ones: the context of model {model.name!r} has room "
            f"for {model.max_tokens} tokens, and only the last one does not join it"
        )


def generate(
    weights: DecoderWeights,
    engine: Engine,
    prompt: Sequence[int],
    new_tokens: int,
    *,
    cache: Cache = "cached",
    precision: Precision = "integer",
    tile_tokens: int = TILE_TOKENS,
) -> Generation:
    """`new_tokens` tokens that follow a prompt, and counts of what they took.

    Raises what `check_request` raises, and ValueError for what cannot be decoded.
    """
    model = weights.model
    check_request(model, prompt, new_tokens)
    counted = CountedEngine(engine, layers=model.layers, max_tokens=model.max_tokens)
    decoder = Decoder(weights, counted, precision=precision, tile_tokens=tile_tokens)
    steps = list(islice(generated(decoder, prompt, cache=cache), new_tokens))
    (projected,) = set(counted.projected.tolist())
    return Generation(
        tokens=tuple(step.token for step in steps),
        logits=np.stack([step.logits for step in steps]),
        projected_tokens=projected,
        reuses=counted.reuses[:, : decoder.length],
    )
