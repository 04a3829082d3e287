"""The operators of a transformer layer: what each multiplies, reads, writes and computes (S1, 4.2; S3-5).

Every system prices this one list: a GPU by tiles, banks by the bytes of their weights, DPUs by their instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from .model import ModelConfig
from .parameters import embedding_parameters

__all__ = ["Matmul", "Operator", "OperatorKind", "Step", "layer_operators", "output_operator"]

OperatorKind = Literal["contraction", "normalisation", "element-wise"]
NORMALISATION_FLOPS = 5  # per element of a softmax or a norm, as the profiling paper of document 3 counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`batch` requests, each with `new_tokens` that pass the layers and attend to `context` tokens, its own included.

    Decoding has one new token; a prompt has as many as it is long. Raises ValueError for sizes below 1.
    """

    batch: int
    context: int
    new_tokens: int = 1

    def __post_init__(self) -> None:
        for name in ("batch", "context", "new_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")

    @property
    def rows(self) -> int:
        """Tokens that pass the layers."""
        return self.batch * self.new_tokens


@dataclass(frozen=True, slots=True)
class Matmul:
    """`count` independent products of [rows, inner] and [inner, columns]."""

    rows: int
    inner: int | Fraction
    columns: int | Fraction
    count: int = 1

    @property
    def flops(self) -> int:
        """A multiplication and an addition per element and inner element."""
        return int(2 * self.rows * self.inner * self.columns * self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of one layer, in elements: what it reads of weights, of caches and of hidden states, and writes."""

    name: str
    kind: OperatorKind
    flops: int
    weight_elements: int = 0
    kv_elements: int = 0
    input_elements: int = 0
    output_elements: int = 0
    matmul: Matmul | None = None


def layer_operators(model: ModelConfig, step: Step) -> tuple[Operator, ...]:
    """The operators of a layer in the order of execution; attention is not masked, every new token sees the context."""
    q_width, kv_width = model.heads * model.dim, model.kv_heads * model.dim
    scores = step.rows * model.heads * step.context
    up = model.ffn * (model.ffn_matrices - 1)
    gated = int(step.rows * model.ffn)
    return (
        _normalisation("norm", step.rows * model.hidden),
        _dense("qkv", step.rows, model.hidden, q_width + 2 * kv_width),
        _attention("score", model, step, Matmul(step.new_tokens, model.dim, step.context, step.batch * model.heads)),
        _normalisation("softmax", scores),
        _attention("context", model, step, Matmul(step.new_tokens, step.context, model.dim, step.batch * model.heads)),
        _dense("projection", step.rows, q_width, model.hidden),
        _element_wise("residual", step.rows * model.hidden, inputs=2),
        _normalisation("norm", step.rows * model.hidden),
        _dense("ffn_up", step.rows, model.hidden, up),
        _element_wise("activation", gated, inputs=model.ffn_matrices - 1),
        _dense("ffn_down", step.rows, model.ffn, model.hidden),
        _element_wise("residual", step.rows * model.hidden, inputs=2),
    )


def output_operator(model: ModelConfig, step: Step) -> Operator:
    """Hidden states to logits. Raises ValueError if the vocabulary is unknown."""
    return _dense("output", step.batch, model.hidden, embedding_parameters(model) // model.hidden)


def _dense(name: str, rows: int, inner: int | Fraction, columns: int | Fraction) -> Operator:
    matmul = Matmul(rows, inner, columns)
    return Operator(
        name=name,
        kind="contraction",
        flops=matmul.flops,
        weight_elements=int(inner * columns),
        input_elements=int(rows * inner),
        output_elements=int(rows * columns),
        matmul=matmul,
    )


def _attention(name: str, model: ModelConfig, step: Step, matmul: Matmul) -> Operator:
    """A product with K or V, whose rows the query heads of a KV head share."""
    return Operator(
        name=name,
        kind="contraction",
        flops=matmul.flops,
        kv_elements=step.batch * model.kv_heads * model.dim * step.context,
        input_elements=int(matmul.count * matmul.rows * matmul.inner),
        output_elements=int(matmul.count * matmul.rows * matmul.columns),
        matmul=matmul,
    )


def _normalisation(name: str, elements: int) -> Operator:
    return Operator(
        name=name,
        kind="normalisation",
        flops=NORMALISATION_FLOPS * elements,
        input_elements=elements,
        output_elements=elements,
    )


def _element_wise(name: str, elements: int, *, inputs: int) -> Operator:
    return Operator(
        name=name, kind="element-wise", flops=elements, input_elements=inputs * elements, output_elements=elements
    )
