"""Parameters, KV bytes and operations of a model: the one implementation that every system uses (U-4).

Elements are counted exactly; bytes are elements x bits / 8.
"""

from __future__ import annotations

from typing import Literal

from .model import ModelConfig
from .quantisation import QuantConfig

__all__ = [
    "Counted",
    "attention_flops",
    "attention_parameters",
    "embedding_parameters",
    "ffn_parameters",
    "gemv_flops",
    "hidden_state_bytes",
    "kv_bytes_peak",
    "kv_bytes_per_token",
    "kv_elements_per_token",
    "kv_projection_parameters",
    "parameters",
    "printed_kv_elements_per_token",
    "printed_layer_parameters",
    "weight_bytes",
]

Counted = Literal["none", "layers", "gemv", "matrices", "all"]
"""What counts as a parameter: nothing, where weights are elsewhere; matrices of the layers; these and the output one,
which is what a decode step reads; these and the embedding, where it is not tied; all of these and weights of norms."""


def attention_parameters(model: ModelConfig) -> int:
    """Elements of the query, key, value and output matrices of a layer: 2 H N_h d + 2 H N_kv d."""
    return 2 * model.hidden * model.dim * (model.heads + model.kv_heads)


def ffn_parameters(model: ModelConfig) -> int:
    """Elements of the feed-forward matrices of a layer: 2 or 3 times H M."""
    return int(model.ffn_matrices * model.hidden * model.ffn)


def embedding_parameters(model: ModelConfig) -> int:
    """Elements of the embedding, and of the output matrix: V H. Raises ValueError if the vocabulary is unknown."""
    if model.vocabulary is None:
        raise ValueError(
            f"model {model.name!r}: its vocabulary was not published, so its embedding is unknown. "
            "Count its layers only"
        )
    return model.vocabulary * model.hidden


def parameters(model: ModelConfig, counted: Counted) -> int:
    """Parameters of a model. Biases are not counted. Raises ValueError where the vocabulary is needed and unknown."""
    if counted == "none":
        return 0
    total = model.layers * (attention_parameters(model) + ffn_parameters(model))
    if counted == "layers":
        return total
    total += embedding_parameters(model)
    if counted == "gemv":
        return total
    total += 0 if model.tied else embedding_parameters(model)
    return total if counted == "matrices" else total + _norm_weights(model)


def weight_bytes(model: ModelConfig, quant: QuantConfig, counted: Counted) -> int:
    """Bytes of the parameters."""
    return parameters(model, counted) * quant.weight_bits // 8


def kv_elements_per_token(model: ModelConfig) -> int:
    """Elements of K and V that a token leaves in the caches of all layers: 2 n_l N_kv d."""
    return 2 * model.layers * model.kv_heads * model.dim


def printed_layer_parameters(model: ModelConfig) -> int:
    """Elements of a layer by the formula of document 3, 4 H^2 + 2 H M.

    It takes heads, those of K and V included, that span H, and two FFN matrices (E3-7).
    """
    return int(4 * model.hidden**2 + 2 * model.hidden * model.ffn)


def printed_kv_elements_per_token(model: ModelConfig) -> int:
    """Elements of K and V of a token by the formula of document 3, 2 n_l H, whose KV heads span H (E3-7)."""
    return 2 * model.layers * model.hidden


def kv_projection_parameters(model: ModelConfig) -> int:
    """Elements of the key and value matrices of all layers: 2 n_l H N_kv d."""
    return model.hidden * kv_elements_per_token(model)


def hidden_state_bytes(model: ModelConfig, quant: QuantConfig, *, tokens: int) -> int:
    """Bytes of hidden states that enter all layers for so many tokens: n_l H each."""
    return model.layers * model.hidden * tokens * quant.activation_bits // 8


def kv_bytes_per_token(model: ModelConfig, quant: QuantConfig) -> int:
    """Bytes of K and V of a token."""
    return kv_elements_per_token(model) * quant.kv_bits // 8


def kv_bytes_peak(model: ModelConfig, quant: QuantConfig, *, batch: int, prompt: int, new_tokens: int) -> int:
    """Bytes of the caches of `batch` requests that have all their tokens, those of the prompt and the new ones.

    Raises ValueError for negative sizes.
    """
    for name, size in {"batch": batch, "prompt": prompt, "new_tokens": new_tokens}.items():
        if size < 0:
            raise ValueError(f"{name} = {size}: must not be negative")
    return batch * (prompt + new_tokens) * kv_bytes_per_token(model, quant)


def gemv_flops(model: ModelConfig) -> int:
    """Operations of all matrix products of one decoded token, but attention: 2 per parameter."""
    return 2 * parameters(model, "gemv")


def attention_flops(model: ModelConfig, tokens: int) -> int:
    """Operations of scores and weighted sums of one decoded token in a context of `tokens`: 4 n_l N_h d L."""
    return 4 * model.layers * model.heads * model.dim * tokens


def _norm_weights(model: ModelConfig) -> int:
    per_norm = model.hidden * (2 if model.norm == "layer" else 1)
    return (2 * model.layers + 1) * per_norm
