"""Weights of a decoder in four bits, one scale for each row, and made-up ones for models that are small (S2-9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.quantise import quantise_vectors

from .model import ModelConfig
from .parameters import parameters

__all__ = [
    "GAIN_FRACTION_BITS",
    "OUTPUT",
    "DecoderWeights",
    "Matrix",
    "MatrixKey",
    "MatrixName",
    "check_decodable",
    "matrix_keys",
    "matrix_shape",
    "random_weights",
]

MatrixName = Literal["query", "key", "value", "projection", "gate", "up", "down", "output"]
GAIN_FRACTION_BITS = 12  # of the weights of norms, int16
LARGEST_RANDOM = 1 << 26  # parameters; drawing more takes gigabytes


class MatrixKey(NamedTuple):
    """Which matrix of which layer."""

    name: MatrixName
    layer: int


OUTPUT = MatrixKey("output", 0)
"""The matrix that makes logits; it belongs to no layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """values: int8 [outputs, inputs], -8 to 7. scale: float64 [outputs], what one unit of a row stands for.

    bias: int64 [outputs] in units of the accumulators, or None. Raises ValueError for what does not belong together.
    """

    values: NDArray[np.int8]
    scale: NDArray[np.float64]
    bias: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.values.dtype != np.int8 or self.values.ndim != 2:
            raise ValueError(f"weights {self.values.dtype} {self.values.shape}: int8 [outputs, inputs] is needed")
        if self.values.size and not -8 <= self.values.min() <= self.values.max() <= 7:
            raise ValueError(f"weights from {self.values.min()} to {self.values.max()}: four bits hold -8 to 7")
        rows = (len(self.values),)
        if self.scale.shape != rows or not (self.scale > 0).all():
            raise ValueError(f"scales {self.scale.shape} for {rows[0]} rows: one positive number for each is needed")
        if self.bias is not None and self.bias.shape != rows:
            raise ValueError(f"biases {self.bias.shape} for {rows[0]} rows: one for each is needed")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecoderWeights:
    """Everything that a decoder has learnt.

    embedding: [vocabulary, hidden], one row per token. matrices: those of `matrix_keys`.
    attention_gains, ffn_gains: int16 [layers, hidden] with GAIN_FRACTION_BITS behind the point; output_gains: [hidden].
    """

    model: ModelConfig
    embedding: Matrix
    matrices: Mapping[MatrixKey, Matrix]
    attention_gains: NDArray[np.int16]
    ffn_gains: NDArray[np.int16]
    output_gains: NDArray[np.int16]


def check_decodable(model: ModelConfig) -> None:
    """Raise ValueError unless the integer decoder computes models of this kind."""
    computed = {"norm": ("rms",), "positions": ("rope",), "activation": ("silu", "relu")}
    for name, choices in computed.items():
        if getattr(model, name) not in choices:
            raise ValueError(
                f"model {model.name!r}: {name} = {getattr(model, name)!r}: the integer decoder computes "
                f"{' and '.join(choices)} only"
            )
    if model.vocabulary is None or model.ffn != int(model.ffn):
        raise ValueError(f"model {model.name!r}: vocabulary and inner elements must be whole numbers to be computed")
    if model.dim % 2:
        raise ValueError(f"model {model.name!r}: dim = {model.dim}: rotary positions turn pairs, so it must be even")


def matrix_keys(model: ModelConfig) -> Iterator[MatrixKey]:
    """The matrices that banks multiply with, in the order in which a token meets them."""
    for layer in range(model.layers):
        for name in get_args(MatrixName):
            if name != "output" and not (name == "gate" and model.ffn_matrices == 2):
                yield MatrixKey(name, layer)
    yield OUTPUT


def matrix_shape(model: ModelConfig, name: MatrixName) -> tuple[int, int]:
    """(outputs, inputs) of a matrix. Raises ValueError for a model that cannot be decoded."""
    check_decodable(model)
    hidden, ffn = model.hidden, int(model.ffn)
    queries, kv = model.heads * model.dim, model.kv_heads * model.dim
    shapes: dict[MatrixName, tuple[int, int]] = {
        "query": (queries, hidden),
        "key": (kv, hidden),
        "value": (kv, hidden),
        "projection": (hidden, queries),
        "gate": (ffn, hidden),
        "up": (ffn, hidden),
        "down": (hidden, ffn),
        "output": (model.vocabulary or 0, hidden),
    }
    return shapes[name]


def random_weights(model: ModelConfig, *, seed: int) -> DecoderWeights:
    """Made-up weights of a usual size: normal, quantised to -7 to 7 with a scale per row; the same for equal seeds.

    Two feed-forward matrices get biases, as in max(0, x W1 + b1) W2 + b2 (document 3, with the maximum that E3-5
    restores). Raises ValueError for a model that cannot be decoded, is too large to be drawn, or a negative seed.
    """
    check_decodable(model)
    count = parameters(model, "matrices")
    if count > LARGEST_RANDOM:
        raise ValueError(
            f"model {model.name!r} has {count:,} parameters: weights are made up for at most {LARGEST_RANDOM:,}. "
            "Take a toy, or fewer layers"
        )
    if seed < 0:
        raise ValueError(f"seed {seed}: at least 0")
    generator = np.random.default_rng(seed)
    biased = ("up", "down") if model.ffn_matrices == 2 else ()
    matrices = {
        key: _random_matrix(generator, matrix_shape(model, key.name), biased=key.name in biased)
        for key in matrix_keys(model)
    }
    output = matrices[OUTPUT]
    embedding = output if model.tied else _random_matrix(generator, output.values.shape, biased=False)
    rows = np.sqrt(model.hidden)  # so that a token's elements are about 1
    return DecoderWeights(
        model=model,
        embedding=Matrix(embedding.values, embedding.scale * rows),
        matrices=matrices,
        attention_gains=_random_gains(generator, (model.layers, model.hidden)),
        ffn_gains=_random_gains(generator, (model.layers, model.hidden)),
        output_gains=_random_gains(generator, (model.hidden,)),
    )


def _random_matrix(generator: np.random.Generator, shape: tuple[int, ...], *, biased: bool) -> Matrix:
    quantised = quantise_vectors(generator.normal(0, shape[1] ** -0.5, shape), dtype=np.int8, limit=7)
    bias = generator.integers(-128, 127, shape[0], np.int64, endpoint=True) if biased else None
    return Matrix(quantised.values.astype(np.int8), quantised.scale, bias)


def _random_gains(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int16]:
    return np.rint(np.ldexp(generator.uniform(0.5, 1.5, shape), GAIN_FRACTION_BITS)).astype(np.int16)
