"""The operators of a transformer layer: what each multiplies, reads, writes and computes (S1, 4.2; S3-5).

Every system prices this one list: a GPU by tiles, banks by the bytes of their weights, DPUs by their instructions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from .model import ModelConfig
from .parameters import embedding_parameters
from .quantisation import QuantConfig

__all__ = [
    "Extra",
    "Matmul",
    "Operator",
    "OperatorKind",
    "Step",
    "attention_operators",
    "layer_operators",
    "minimal_bytes",
    "output_operator",
]

OperatorKind = Literal["contraction", "normalisation", "element-wise"]
Extra = Literal["biases", "dropout", "score scaling"]
"""What some layers do beyond the products: biases, which newer models have not; dropout, in training only; the scaling
of scores, where it is a pass of its own and not part of the product."""
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
    extra: Extra | None = None


def layer_operators(model: ModelConfig, step: Step, *, extras: Collection[Extra] = ()) -> tuple[Operator, ...]:
    """The operators of a layer in the order of execution; attention is not masked, every new token sees the context.

    Without `extras` they are what decoding takes, whatever the model: norms, products, softmax, residuals and
    activation. With all of them they are those of the profiling paper of document 3, of a layer in training.
    """
    q_width, kv_width = model.heads * model.dim, model.kv_heads * model.dim
    scores, hidden = step.rows * model.heads * step.context, step.rows * model.hidden
    up = model.ffn * (model.ffn_matrices - 1)
    gated = int(step.rows * model.ffn)
    score, softmax, context = attention_operators(model, step)
    operators = (
        _normalisation("norm", hidden),
        _dense("qkv", step.rows, model.hidden, q_width + 2 * kv_width),
        _bias("qkv_bias", step.rows, q_width + 2 * kv_width),
        score,
        _element_wise("scaling", scores, inputs=1, extra="score scaling"),
        softmax,
        _element_wise("softmax_dropout", scores, inputs=1, extra="dropout"),
        context,
        _dense("projection", step.rows, q_width, model.hidden),
        _bias("projection_bias", step.rows, model.hidden),
        _element_wise("projection_dropout", hidden, inputs=1, extra="dropout"),
        _element_wise("residual", hidden, inputs=2),
        _normalisation("norm", hidden),
        _dense("ffn_up", step.rows, model.hidden, up),
        _bias("ffn_up_bias", step.rows, up),
        _element_wise("activation", gated, inputs=model.ffn_matrices - 1),
        _dense("ffn_down", step.rows, model.ffn, model.hidden),
        _bias("ffn_down_bias", step.rows, model.hidden),
        _element_wise("ffn_dropout", hidden, inputs=1, extra="dropout"),
        _element_wise("residual", hidden, inputs=2),
    )
    return tuple(operator for operator in operators if operator.extra is None or operator.extra in extras)


def attention_operators(model: ModelConfig, step: Step) -> tuple[Operator, Operator, Operator]:
    """Scores, softmax and weighted sums of a layer: the operators that depend on the context."""
    heads = step.batch * model.heads
    return (
        _attention("score", model, step, Matmul(step.new_tokens, model.dim, step.context, heads)),
        _normalisation("softmax", step.rows * model.heads * step.context),
        _attention("context", model, step, Matmul(step.new_tokens, step.context, model.dim, heads)),
    )


def minimal_bytes(operator: Operator, quant: QuantConfig) -> Fraction:
    """Q of an operator: bytes of everything that it reads or writes, each once, as if it had a memory of its own."""
    bits = (
        operator.weight_elements * quant.weight_bits
        + operator.kv_elements * quant.kv_bits
        + (operator.input_elements + operator.output_elements) * quant.activation_bits
    )
    return Fraction(bits, 8)


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


def _element_wise(name: str, elements: int, *, inputs: int, extra: Extra | None = None) -> Operator:
    return Operator(
        name=name,
        kind="element-wise",
        flops=elements,
        input_elements=inputs * elements,
        output_elements=elements,
        extra=extra,
    )


def _bias(name: str, rows: int, columns: int | Fraction) -> Operator:
    """An addition of the same row to every row."""
    operator = _element_wise(name, int(rows * columns), inputs=1, extra="biases")
    return replace(operator, weight_elements=int(columns))
