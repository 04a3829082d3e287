"""Entries of config.json files of several kinds of models, and the sizes of what is read from them."""

from __future__ import annotations

from host.llm.model import ModelConfig

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
GPT2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
FALCON = {
    "model_type": "falcon",
    "hidden_size": 4544,
    "num_hidden_layers": 32,
    "num_attention_heads": 71,
    "num_kv_heads": 71,
    "multi_query": True,
    "new_decoder_architecture": False,
    "alibi": False,
    "vocab_size": 65024,
}
MPT = {
    "model_type": "mpt",
    "d_model": 4096,
    "n_heads": 32,
    "n_layers": 32,
    "expansion_ratio": 4,
    "max_seq_len": 2048,
    "vocab_size": 50432,
    "attn_config": {"attn_type": "multihead_attention", "alibi": True},
}
BLOOM = {"model_type": "bloom", "n_layer": 70, "hidden_size": 14336, "n_head": 112, "vocab_size": 250880}


def shape(model: ModelConfig) -> tuple[int, ...]:
    """Layers, H, heads, KV heads, d, M, matrices, V."""
    return (
        model.layers,
        model.hidden,
        model.heads,
        model.kv_heads,
        model.dim,
        model.ffn,
        model.ffn_matrices,
        model.vocabulary,
    )
