"""Streams of adjacent queries over the same keys: the shipped activations, a user's, or made up with known structure.

Owns what a stream is and what is planted in it. Quantising is the business of `host.attention.quantise`, where real
tensors come from that of `host.attention.samples`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.quantise import Quantised, quantise
from host.attention.samples import RealOperands, shipped_operands

__all__ = ["QueryStream", "Structure", "padded", "quantised_stream", "real_stream", "synthetic_stream"]

Structure = Literal["none", "runs", "clusters", "peaked"]
"""What keys are made of. none: independent ones. runs: groups of adjacent tokens with a direction in common. clusters:
the same groups, their tokens anywhere. peaked: a few tokens point where a query of the stream does."""

INT8_LIMIT = 127  # of a quantised element; symmetric (U-5)
SHIPPED_LAYERS = 2
LOGIT_DEVIATION = 2.0  # of made-up logits: as in the shipped heads, whose median is 2.5
GROUP_TOKENS = 16
GROUP_SHARE = 0.8  # of the variance of a key, in the direction of its group
PEAK_TOKENS = 32  # one planted token in so many
PEAK_LOGIT = 12.0  # of a planted token and the query it was made from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueryStream:
    """Queries of attention heads, one after the other, over keys and values that stay.

    queries: int8 [heads, queries, dim]. keys, values: int8 [heads, tokens, dim]; heads that share K and V repeat them.
    logit_scales: float64 [heads], c: logit per unit of score. value_scales: float64 [heads], real value per unit.
    layers: how many layers the heads belong to, in order and equally many to each.
    valid: tokens that are no padding, the first ones; of queries, positions from there on are padding too.
    """

    queries: NDArray[np.int8]
    keys: NDArray[np.int8]
    values: NDArray[np.int8]
    logit_scales: NDArray[np.float64]
    value_scales: NDArray[np.float64]
    layers: int
    valid: int

    @property
    def heads(self) -> int:
        """Query heads, of all layers."""
        return self.keys.shape[0]

    @property
    def tokens(self) -> int:
        """Keys of a head, padding included."""
        return self.keys.shape[1]

    @property
    def dim(self) -> int:
        """Elements of a row."""
        return self.keys.shape[2]

    @property
    def unpadded(self) -> QueryStream:
        """The same without padding: queries and tokens before `valid`."""
        rows = slice(self.valid)
        return replace(self, queries=self.queries[:, rows], keys=self.keys[:, rows], values=self.values[:, rows])


def real_stream(real: RealOperands | None = None, *, layers: int | None = None) -> QueryStream:
    """Every head and every query position of real tensors as int8; of the shipped sample without any.

    layers: that the heads of `real` belong to, default 1; the shipped heads belong to 2.
    Raises ValueError for layers that the heads cannot be divided among, and for what `quantise` refuses.
    """
    given, known = (shipped_operands(), SHIPPED_LAYERS) if real is None else (real, 1)
    return quantised_stream(given, layers=known if layers is None else layers)


def quantised_stream(real: RealOperands, *, layers: int = 1) -> QueryStream:
    """q, k and v in int8, symmetric, one scale for each of a head (U-5); logits are q.k / sqrt(dim).

    Raises ValueError for layers that the heads cannot be divided among, and for what `quantise` refuses.
    """
    heads, _, dim = real.q.shape
    if layers < 1 or heads % layers:
        raise ValueError(f"{heads} heads in {layers} layers: every layer has equally many heads, and at least one")
    group = heads // real.k.shape[0]
    q, k, v = (quantise(x, dtype=np.int8, limit=INT8_LIMIT) for x in (real.q, real.k, real.v))
    return QueryStream(
        queries=_int8(q),
        keys=_int8(k).repeat(group, axis=0),
        values=_int8(v).repeat(group, axis=0),
        logit_scales=q.scale * k.scale.repeat(group) / math.sqrt(dim),
        value_scales=v.scale.repeat(group),
        layers=layers,
        valid=real.k.shape[1],
    )


def synthetic_stream(
    seed: int,
    *,
    heads: int = 1,
    queries: int,
    tokens: int,
    dim: int,
    drift: float = 0.0,
    structure: Structure = "none",
    layers: int = 1,
    kv_heads: int | None = None,
) -> QueryStream:
    """A made-up stream, the same for the same arguments.

    kv_heads: heads of K and V, each shared by equally many neighbouring heads; None: one each.

    drift: correlation of adjacent queries, q_t = drift * q_(t-1) + sqrt(1 - drift**2) * noise; 0 makes them
    independent, 1 all the same.

    Raises ValueError for sizes below 1, a drift outside 0 to 1, an unknown structure, and as `quantised_stream`.
    """
    shared = heads if kv_heads is None else kv_heads
    sizes = {"heads": heads, "queries": queries, "tokens": tokens, "dim": dim, "kv_heads": shared}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"a stream with {name} = {size}: must be at least 1")
    if heads % shared:
        raise ValueError(f"{heads} heads and kv_heads = {shared}: each head of K and V serves equally many heads")
    if not 0 <= drift <= 1:
        raise ValueError(f"drift = {drift}: the correlation of adjacent queries is in 0 to 1")
    if structure not in get_args(Structure):
        raise ValueError(f"structure = {structure!r}: choose one of {', '.join(get_args(Structure))}")
    generator = np.random.default_rng(seed)
    q = LOGIT_DEVIATION * _drifting(generator, (heads, queries, dim), drift)
    k = _structured(generator, q[:: heads // shared], tokens, structure)
    v = generator.standard_normal((shared, tokens, dim))
    return quantised_stream(RealOperands(q=q, k=k, v=v), layers=layers)


def padded(stream: QueryStream, valid: int) -> QueryStream:
    """The stream with padding from `valid` on: rows of zeros, as a batch of unequal requests has them (S4-6).

    Raises ValueError unless there is a valid token, and no more than there are tokens.
    """
    if not 1 <= valid <= stream.tokens:
        raise ValueError(f"valid = {valid} of {stream.tokens} tokens: at least one is no padding, at most all")
    q, k, v = (rows.copy() for rows in (stream.queries, stream.keys, stream.values))
    for rows in (q, k, v):
        rows[:, valid:] = 0
    return replace(stream, queries=q, keys=k, values=v, valid=valid)


def _drifting(generator: np.random.Generator, shape: tuple[int, int, int], drift: float) -> NDArray[np.float64]:
    """Standard normal rows [heads, queries, dim], each correlated with the one before."""
    rows = generator.standard_normal(shape)
    fresh = math.sqrt(1 - drift**2)
    for at in range(1, shape[1]):
        rows[:, at] = drift * rows[:, at - 1] + fresh * rows[:, at]
    return rows


def _structured(
    generator: np.random.Generator, q: NDArray[np.float64], tokens: int, structure: Structure
) -> NDArray[np.float64]:
    """Keys [heads, tokens, dim] for queries [heads, queries, dim]."""
    heads, queries, dim = q.shape
    keys = generator.standard_normal((heads, tokens, dim))
    if structure in ("runs", "clusters"):
        groups = -(-tokens // GROUP_TOKENS)
        member_of = np.arange(tokens) // GROUP_TOKENS
        if structure == "clusters":
            member_of = generator.permutation(member_of)
        directions = generator.standard_normal((heads, groups, dim))
        keys = math.sqrt(GROUP_SHARE) * directions[:, member_of] + math.sqrt(1 - GROUP_SHARE) * keys
    elif structure == "peaked":
        planted = np.arange(0, tokens, PEAK_TOKENS)
        toward = q[:, np.linspace(0, queries - 1, len(planted)).round().astype(np.int64)]
        lengths = np.square(toward).sum(axis=-1, keepdims=True)
        keys[:, planted] += PEAK_LOGIT * math.sqrt(dim) / lengths * toward
    return keys


def _int8(quantised: Quantised) -> NDArray[np.int8]:
    values: NDArray[Any] = quantised.values
    return values.astype(np.int8, copy=False)
