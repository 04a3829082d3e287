"""How config.json of each kind of model names its sizes, and what it means where it does not state one.

Owns the kinds, by `model_type`. Defaults are those of the configuration classes of Hugging Face transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .config_file import ConfigFile
from .model import Norm, Positions

__all__ = ["DIALECTS", "Dialect", "guessed"]

Keys = tuple[str, ...]


def as_heads(config: ConfigFile, heads: int) -> int:
    """K and V have the heads of the queries."""
    return heads


def stated_or_as_heads(config: ConfigFile, heads: int) -> int:
    """KV heads are stated, or are those of the queries."""
    return config.size("num_key_value_heads", "num_kv_heads", "n_head_kv", silent=heads)


def stated(config: ConfigFile, heads: int) -> int:
    """KV heads must be stated."""
    return config.size("num_key_value_heads")


def bigcode_kv_heads(config: ConfigFile, heads: int) -> int:
    """One, unless the file says otherwise."""
    return 1 if config.flag("multi_query", silent=True) else heads


def falcon_kv_heads(config: ConfigFile, heads: int) -> int:
    """Their number counts in the new architecture only, of which the first files of 40B models say nothing."""
    new = config.text("model_type") == "RefinedWeb" or config.flag("new_decoder_architecture", silent=False)
    if new:
        return config.size("num_kv_heads", "n_head_kv", silent=heads)
    return bigcode_kv_heads(config, heads)


def mpt_kv_heads(config: ConfigFile, heads: int) -> int:
    """By the type of attention."""
    kind = config.text("attn_config.attn_type", silent="multihead_attention")
    rules: dict[str, Callable[[], int]] = {
        "multihead_attention": lambda: heads,
        "multiquery_attention": lambda: 1,
        "grouped_query_attention": lambda: config.size("attn_config.kv_n_heads"),
    }
    if kind not in rules:
        raise config.error("attn_config.attn_type", kind, f"must be one of {', '.join(rules)}")
    return rules[kind]()


def stated_ffn(config: ConfigFile, hidden: int) -> int:
    """M must be stated."""
    return config.size("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner")


def gpt_ffn(config: ConfigFile, hidden: int) -> int:
    """M is stated, or is 4 H."""
    return config.size("n_inner", silent=4 * hidden)


def falcon_ffn(config: ConfigFile, hidden: int) -> int:
    """M is stated, or is 4 H."""
    return config.size("ffn_hidden_size", silent=4 * hidden)


def bloom_ffn(config: ConfigFile, hidden: int) -> int:
    """M is 4 H."""
    return 4 * hidden


def mpt_ffn(config: ConfigFile, hidden: int) -> int:
    """M is stated, or the multiple of H that is."""
    if config.has("ffn_config.ffn_hidden_size"):
        return config.size("ffn_config.ffn_hidden_size")
    return config.size("expansion_ratio", silent=4) * hidden


def rope(config: ConfigFile) -> Positions:
    return "rope"


def alibi(config: ConfigFile) -> Positions:
    return "alibi"


def learned(config: ConfigFile) -> Positions:
    return "learned"


def alibi_or_rope(config: ConfigFile) -> Positions:
    return "alibi" if config.flag("alibi", silent=False) else "rope"


def mpt_positions(config: ConfigFile) -> Positions:
    if config.flag("attn_config.alibi", silent=False):
        return "alibi"
    return "rope" if config.flag("attn_config.rope", silent=False) else "learned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A kind of model. Of several keys the first that is there counts.

    kv_heads: from the file and the number of heads. ffn: from the file and H. dim: whether head_dim must be stated, or
    is H / heads where it is not. max_tokens_silent, activation_silent: where the file is silent; None if it must not
    be. tied: whether one matrix is embedding and output, unless the file says it.
    """

    layers: Keys = ("num_hidden_layers",)
    hidden: Keys = ("hidden_size",)
    heads: Keys = ("num_attention_heads",)
    kv_heads: Callable[[ConfigFile, int], int] = stated_or_as_heads
    dim: Literal["stated", "stated or derived"] = "stated or derived"
    ffn: Callable[[ConfigFile, int], int] = stated_ffn
    ffn_matrices: Literal[2, 3]
    max_tokens: Keys = ("max_position_embeddings",)
    max_tokens_silent: int | None = None
    activation: Keys = ("hidden_act",)
    activation_silent: str
    positions: Callable[[ConfigFile], Positions]
    norm: Norm
    tied: bool


LLAMA = Dialect(ffn_matrices=3, activation_silent="silu", positions=rope, norm="rms", tied=False)
MISTRAL = Dialect(kv_heads=stated, ffn_matrices=3, activation_silent="silu", positions=rope, norm="rms", tied=False)
GEMMA = Dialect(
    kv_heads=stated,
    dim="stated",
    ffn_matrices=3,
    activation=("hidden_activation", "hidden_act"),
    activation_silent="gelu_pytorch_tanh",
    positions=rope,
    norm="rms",
    tied=True,
)
STABLELM = Dialect(ffn_matrices=3, activation_silent="silu", positions=rope, norm="layer", tied=False)
PHI = Dialect(ffn_matrices=2, activation_silent="gelu_new", positions=rope, norm="layer", tied=False)
STARCODER2 = Dialect(
    kv_heads=stated, ffn_matrices=2, activation_silent="gelu_pytorch_tanh", positions=rope, norm="layer", tied=True
)
GPT_NEOX = Dialect(
    kv_heads=as_heads, ffn_matrices=2, activation_silent="gelu", positions=rope, norm="layer", tied=False
)
GPT2 = Dialect(
    layers=("n_layer",),
    hidden=("n_embd",),
    heads=("n_head",),
    kv_heads=as_heads,
    ffn=gpt_ffn,
    ffn_matrices=2,
    max_tokens=("n_positions", "n_ctx"),
    activation=("activation_function",),
    activation_silent="gelu_new",
    positions=learned,
    norm="layer",
    tied=True,
)
GPTJ = Dialect(
    layers=("n_layer",),
    hidden=("n_embd",),
    heads=("n_head",),
    kv_heads=as_heads,
    ffn=gpt_ffn,
    ffn_matrices=2,
    max_tokens=("n_positions",),
    activation=("activation_function",),
    activation_silent="gelu_new",
    positions=rope,
    norm="layer",
    tied=False,
)
GPT_BIGCODE = Dialect(
    layers=("n_layer",),
    hidden=("n_embd",),
    heads=("n_head",),
    kv_heads=bigcode_kv_heads,
    ffn=gpt_ffn,
    ffn_matrices=2,
    max_tokens=("n_positions",),
    activation=("activation_function",),
    activation_silent="gelu_pytorch_tanh",
    positions=learned,
    norm="layer",
    tied=True,
)
OPT = Dialect(
    kv_heads=as_heads,
    ffn_matrices=2,
    activation=("activation_function",),
    activation_silent="relu",
    positions=learned,
    norm="layer",
    tied=True,
)
MPT = Dialect(
    layers=("n_layers",),
    hidden=("d_model",),
    heads=("n_heads",),
    kv_heads=mpt_kv_heads,
    ffn=mpt_ffn,
    ffn_matrices=2,
    max_tokens=("max_seq_len",),
    activation_silent="gelu",
    positions=mpt_positions,
    norm="layer",
    tied=True,
)
FALCON = Dialect(
    layers=("num_hidden_layers", "n_layer"),
    heads=("num_attention_heads", "n_head"),
    kv_heads=falcon_kv_heads,
    ffn=falcon_ffn,
    ffn_matrices=2,
    max_tokens_silent=2048,
    activation=("activation",),
    activation_silent="gelu",
    positions=alibi_or_rope,
    norm="layer",
    tied=True,
)
BLOOM = Dialect(
    layers=("n_layer", "num_hidden_layers"),
    hidden=("hidden_size", "n_embed"),
    heads=("n_head", "num_attention_heads"),
    kv_heads=as_heads,
    ffn=bloom_ffn,
    ffn_matrices=2,
    max_tokens=("seq_length",),
    max_tokens_silent=2048,
    activation_silent="gelu",
    positions=alibi,
    norm="layer",
    tied=True,
)
BERT = Dialect(kv_heads=as_heads, ffn_matrices=2, activation_silent="gelu", positions=learned, norm="layer", tied=True)

DIALECTS = {
    "bert": BERT,
    "bloom": BLOOM,
    "falcon": FALCON,
    "gemma": GEMMA,
    "gemma2": GEMMA,
    "gemma3_text": GEMMA,
    "gpt2": GPT2,
    "gpt_bigcode": GPT_BIGCODE,
    "gpt_neox": GPT_NEOX,
    "gptj": GPTJ,
    "llama": LLAMA,
    "mistral": MISTRAL,
    "mpt": MPT,
    "opt": OPT,
    "phi": PHI,
    "phi3": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "RefinedWeb": FALCON,  # the first Falcon 40B
    "RefinedWebModel": FALCON,  # the first Falcon 7B
    "roberta": BERT,
    "stablelm": STABLELM,
    "starcoder2": STARCODER2,
}
"""By model_type."""


def guessed(config: ConfigFile) -> Dialect:
    """A kind that is not known, by the usual names; a gate, the norm and positions by what usually goes together."""
    gated = config.text("hidden_act", "hidden_activation", "activation_function").startswith(("silu", "swi"))
    return Dialect(
        layers=("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        hidden=("hidden_size", "n_embd", "d_model", "dim"),
        heads=("num_attention_heads", "n_head", "n_heads", "num_heads"),
        ffn_matrices=3 if gated else 2,
        max_tokens=("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length"),
        activation=("hidden_act", "hidden_activation", "activation_function"),
        activation_silent="gelu",
        positions=rope if config.has("rope_theta", "rope_scaling", "rotary_pct") else learned,
        norm="rms" if config.has("rms_norm_eps", "norm_eps") else "layer",
        tied=False,
    )
