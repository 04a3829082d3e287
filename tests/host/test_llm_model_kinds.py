"""Kinds of models: what each calls its sizes in a config.json, and what is meant where the file is silent."""

from __future__ import annotations

import json

import pytest
from config_entries import BLOOM, FALCON, GPT2, LLAMA, MPT, shape
from hypothesis import given
from hypothesis import strategies as st

from host.llm.config_file import ModelFileError
from host.llm.dialects import DIALECTS
from host.llm.huggingface import model_from_entries

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        pytest.param(LLAMA, (32, 4096, 32, 32, 128, 11008, 3, 32000), id="llama"),
        pytest.param(
            LLAMA | {"num_key_value_heads": None}, (32, 4096, 32, 32, 128, 11008, 3, 32000), id="llama without KV heads"
        ),
        pytest.param(
            LLAMA | {"model_type": "qwen3", "head_dim": 64, "num_key_value_heads": 8},
            (32, 4096, 32, 8, 64, 11008, 3, 32000),
            id="qwen3 with its own head_dim",
        ),
        pytest.param(
            LLAMA | {"model_type": "gemma", "head_dim": 256, "num_attention_heads": 16, "num_key_value_heads": 1},
            (32, 4096, 16, 1, 256, 11008, 3, 32000),
            id="gemma",
        ),
        pytest.param(
            LLAMA | {"model_type": "phi", "hidden_act": "gelu_new", "num_key_value_heads": None},
            (32, 4096, 32, 32, 128, 11008, 2, 32000),
            id="phi",
        ),
        pytest.param(
            LLAMA | {"model_type": "gpt_neox", "hidden_act": "gelu"},
            (32, 4096, 32, 32, 128, 11008, 2, 32000),
            id="gpt_neox",
        ),
        pytest.param(
            {**LLAMA, "model_type": "opt", "ffn_dim": 16384, "intermediate_size": None, "hidden_act": None},
            (32, 4096, 32, 32, 128, 16384, 2, 32000),
            id="opt",
        ),
        pytest.param(GPT2, (12, 768, 12, 12, 64, 3072, 2, 50257), id="gpt2"),
        pytest.param(GPT2 | {"n_inner": 2048}, (12, 768, 12, 12, 64, 2048, 2, 50257), id="gpt2 with n_inner"),
        pytest.param(
            GPT2 | {"model_type": "gpt_bigcode", "multi_query": True},
            (12, 768, 12, 1, 64, 3072, 2, 50257),
            id="gpt_bigcode",
        ),
        pytest.param(FALCON, (32, 4544, 71, 1, 64, 18176, 2, 65024), id="falcon-7b"),
        pytest.param(FALCON | {"multi_query": False}, (32, 4544, 71, 71, 64, 18176, 2, 65024), id="falcon-rw"),
        pytest.param(
            FALCON
            | {"hidden_size": 8192, "num_attention_heads": 128, "num_kv_heads": 8, "new_decoder_architecture": True},
            (32, 8192, 128, 8, 64, 32768, 2, 65024),
            id="falcon-40b",
        ),
        pytest.param(
            {
                "model_type": "RefinedWeb",
                "hidden_size": 8192,
                "n_layer": 60,
                "n_head": 128,
                "n_head_kv": 8,
                "vocab_size": 65024,
            },
            (60, 8192, 128, 8, 64, 32768, 2, 65024),
            id="falcon-40b, first files",
        ),
        pytest.param(MPT, (32, 4096, 32, 32, 128, 16384, 2, 50432), id="mpt"),
        pytest.param(
            MPT | {"attn_config": {"attn_type": "grouped_query_attention", "kv_n_heads": 8}},
            (32, 4096, 32, 8, 128, 16384, 2, 50432),
            id="mpt, grouped",
        ),
        pytest.param(
            MPT | {"attn_config": {"attn_type": "multiquery_attention"}, "expansion_ratio": 2},
            (32, 4096, 32, 1, 128, 8192, 2, 50432),
            id="mpt, one KV head",
        ),
        pytest.param(
            MPT | {"ffn_config": {"ffn_hidden_size": 10752}}, (32, 4096, 32, 32, 128, 10752, 2, 50432), id="mpt, its M"
        ),
        pytest.param(BLOOM, (70, 14336, 112, 112, 128, 57344, 2, 250880), id="bloom"),
        pytest.param(
            LLAMA | {"model_type": "bert", "hidden_act": "gelu"}, (32, 4096, 32, 32, 128, 11008, 2, 32000), id="bert"
        ),
        pytest.param(
            {**LLAMA, "model_type": "new", "rms_norm_eps": 1e-6}, (32, 4096, 32, 32, 128, 11008, 3, 32000), id="unknown"
        ),
        pytest.param(
            {
                "d_model": 64,
                "n_layers": 2,
                "n_heads": 4,
                "ffn_hidden_size": 96,
                "vocab_size": 50,
                "max_seq_len": 16,
            },
            (2, 64, 4, 4, 16, 96, 2, 50),
            id="without a type",
        ),
    ],
)
def test_every_kind_has_its_names(entries, expected):
    assert shape(model_from_entries(entries, name="m")) == expected


@pytest.mark.parametrize(
    ("entries", "attribute", "expected"),
    [
        (LLAMA, "positions", "rope"),
        (GPT2, "positions", "learned"),
        (BLOOM, "positions", "alibi"),
        (MPT, "positions", "alibi"),
        (MPT | {"attn_config": {"rope": True}}, "positions", "rope"),
        (MPT | {"attn_config": None}, "positions", "learned"),
        (FALCON, "positions", "rope"),
        (FALCON | {"alibi": True}, "positions", "alibi"),
        (LLAMA, "norm", "rms"),
        (GPT2, "norm", "layer"),
        (LLAMA, "tied", False),
        (LLAMA | {"tie_word_embeddings": True}, "tied", True),
        (GPT2, "tied", True),
        (GPT2, "activation", "gelu"),
        (GPT2 | {"activation_function": "relu"}, "activation", "relu"),
        (FALCON, "max_tokens", 2048),
        (LLAMA | {"model_type": "new", "rms_norm_eps": 1e-6, "rope_theta": 1e4}, "norm", "rms"),
        (LLAMA | {"model_type": "new", "rope_theta": 1e4}, "positions", "rope"),
    ],
)
def test_what_belongs_to_the_sizes(entries, attribute, expected):
    assert getattr(model_from_entries(entries, name="m"), attribute) == expected


# --- round trips -----------------------------------------------------------------------------------------------------

USUAL = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
NAMES = {
    "llama": (
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ),
    "mistral": (
        "num_hidden_layers",
        "hidden_size",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ),
    "opt": ("num_hidden_layers", "hidden_size", "num_attention_heads", "ffn_dim", "max_position_embeddings"),
    "gpt2": ("n_layer", "n_embd", "n_head", "n_inner", "n_positions"),
    "bert": USUAL,
    "unheard": ("n_layers", "d_model", "n_heads", "ffn_hidden_size", "max_seq_len"),
}
GROUPED = ("llama", "mistral", "unheard")
SIZE = st.integers(1, 10**6)


@given(st.data())
def test_what_is_written_is_read(data):
    kind = data.draw(st.sampled_from(sorted(NAMES)), "kind")
    kv_heads, queries, dim = (data.draw(st.integers(1, 300), name) for name in ("KV heads", "queries", "dim"))
    layers, ffn, vocabulary, longest = (data.draw(SIZE, name) for name in ("layers", "M", "V", "longest"))
    heads = kv_heads * queries if kind in GROUPED else queries
    sizes = (layers, heads * dim, heads, ffn, longest)
    entries = {"model_type": kind, "vocab_size": vocabulary, **dict(zip(NAMES[kind], sizes, strict=True))}
    if kind in GROUPED:
        entries["num_key_value_heads"] = kv_heads
    model = model_from_entries(json.loads(json.dumps(entries)), name="m")
    expected = (layers, heads * dim, heads, kv_heads if kind in GROUPED else heads, dim, ffn)
    assert shape(model)[:6] == expected
    assert (model.vocabulary, model.max_tokens) == (vocabulary, longest)


@given(
    st.sampled_from(sorted(DIALECTS)),
    st.dictionaries(
        st.sampled_from([*LLAMA, *GPT2, *FALCON, *MPT, "head_dim", "n_inner", "n_head_kv"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(-3, 300), st.text(max_size=3), st.lists(st.integers(), max_size=2)
        ),
    ),
)
def test_whatever_a_file_says_is_a_model_or_refused(kind, entries):
    try:
        model = model_from_entries(LLAMA | entries | {"model_type": kind}, name="m")
    except ModelFileError:
        return
    assert model.heads % model.kv_heads == 0
    assert min(shape(model)) >= 1
