"""Models by name or from a Hugging Face `config.json` on a disk (U-3).

Owns what a file means as a model, and which it refuses; `dialects` knows the names of its entries. Shapes only: biases
are not counted, and a sliding window is taken for the whole context.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .catalogue import PublishedModel, published_model, published_models
from .config_file import ConfigFile, read_config
from .dialects import DIALECTS, Dialect, guessed
from .model import Activation, ModelConfig

__all__ = ["described_model", "model_from_entries", "model_of"]

ACTIVATIONS: Mapping[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_python": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "quick_gelu": "gelu",
    "silu": "silu",
    "swish": "silu",
    "swiglu": "silu",
}
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "ffn_config.moe_num_experts")


def model_of(name_or_path: str) -> ModelConfig:
    """The model of a published name, or of a config.json or a folder with one. A name goes before a folder.

    Raises ModelFileError for a file that describes no model known here, ValueError for what is neither.
    """
    return described_model(name_or_path).model


def described_model(name_or_path: str) -> PublishedModel:
    """As `model_of`, with where the shape is stated, and what was taken for entries that a file does not have."""
    models = published_models()
    if name_or_path in models:
        return models[name_or_path]
    path = Path(name_or_path)
    if name_or_path and (os.sep in name_or_path or path.suffix == ".json" or _exists(path)):
        config = read_config(path)
        model = _model(config, name=path.stem if path.suffix == ".json" and path.stem != "config" else _folder(path))
        taken = f"; not stated there and taken: {', '.join(config.assumed)}" if config.assumed else ""
        return PublishedModel(model, config.place + taken)
    return PublishedModel(published_model(name_or_path), "")


def model_from_entries(entries: Mapping[str, Any], *, name: str) -> ModelConfig:
    """The model that the entries of a config.json describe. Raises ModelFileError if they do not."""
    return _model(ConfigFile(name, dict(entries)), name=name)


def _model(config: ConfigFile, *, name: str) -> ModelConfig:
    _refuse_other_kinds(config)
    kind = config.text("model_type")
    dialect = DIALECTS.get(kind) or guessed(config)
    hidden, heads = config.size(*dialect.hidden), config.size(*dialect.heads)
    shape = {
        "layers": config.size(*dialect.layers),
        "kv_heads": dialect.kv_heads(config, heads),
        "ffn": dialect.ffn(config, hidden),
        "vocabulary": config.size("vocab_size"),
        "max_tokens": config.size(*dialect.max_tokens, silent=dialect.max_tokens_silent),
    }
    stated_dim = config.size("head_dim") if dialect.dim == "stated" or config.has("head_dim") else None
    config.refuse_missing(f"a model of type {kind!r}" if kind in DIALECTS else f"a model of unknown type {kind!r}")
    if shape["kv_heads"] > heads or heads % shape["kv_heads"]:
        raise config.error(dialect.heads[0], heads, f"must be a multiple of its KV heads, {shape['kv_heads']}")
    return ModelConfig(
        name=name,
        hidden=hidden,
        heads=heads,
        dim=stated_dim or _derived_dim(config, dialect, hidden, heads),
        ffn_matrices=dialect.ffn_matrices,
        tied=config.flag("tie_word_embeddings", silent=dialect.tied),
        activation=_activation(config, dialect),
        positions=dialect.positions(config),
        norm=dialect.norm,
        **shape,
    )


def _refuse_other_kinds(config: ConfigFile) -> None:
    """Raise ModelFileError for models whose weights or caches are not what `parameters` counts."""
    key, experts = config.entry(*EXPERTS)
    if experts is not None and experts != 1:
        raise config.error(key, experts, "a mixture of experts, of which a token passes some only. Use a dense model")
    if config.has("kv_lora_rank"):
        _, rank = config.entry("kv_lora_rank")
        raise config.error("kv_lora_rank", rank, "caches of latent attention hold no heads. Use another model")
    if config.flag("is_encoder_decoder", silent=False):
        raise config.error("is_encoder_decoder", True, "only models with one stack of layers are known here")
    hidden, embedded = config.entry("hidden_size")[1], config.entry("word_embed_proj_dim")[1]
    if embedded is not None and embedded != hidden:
        raise config.error(
            "word_embed_proj_dim", embedded, f"an embedding of another width than hidden_size = {hidden} is not known"
        )


def _derived_dim(config: ConfigFile, dialect: Dialect, hidden: int, heads: int) -> int:
    if hidden % heads:
        key, _ = config.entry(*dialect.hidden)
        raise config.error(key, hidden, f"must be a multiple of the {heads} heads, or head_dim must be stated")
    return hidden // heads


def _activation(config: ConfigFile, dialect: Dialect) -> Activation:
    key, _ = config.entry(*dialect.activation)
    name = config.text(*dialect.activation, silent=dialect.activation_silent)
    if name not in ACTIVATIONS:
        raise config.error(key, name, f"must be one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for a file, or with a zero byte
        return False


def _folder(path: Path) -> str:
    return (path if path.is_dir() else path.absolute().parent).resolve().name or "model"
