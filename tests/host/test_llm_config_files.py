"""Files that describe a model: where they are found, and which are refused, each with one clear line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from config_entries import GPT2, LLAMA, MPT, shape

from host.llm.catalogue import published_model, published_models
from host.llm.config_file import LARGEST_FILE_BYTES, ModelFileError
from host.llm.huggingface import described_model, model_from_entries, model_of

pytestmark = pytest.mark.quick


def test_files_and_folders_give_the_same_as_the_catalogue(tmp_path):
    folder = tmp_path / "my-llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    expected = replace(published_model("llama2-7b"), name="my-llama")
    assert model_of(str(folder)) == model_of(str(folder / "config.json")) == expected
    other = tmp_path / "other.json"
    other.write_text("\ufeff" + json.dumps(LLAMA), encoding="utf-8")
    assert model_of(str(other)) == replace(expected, name="other")
    assert described_model(str(folder)).source == str(folder / "config.json")


def test_a_name_goes_before_a_folder(tmp_path, monkeypatch):
    (tmp_path / "mpt-7b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert described_model("mpt-7b") == published_models()["mpt-7b"]
    with pytest.raises(ModelFileError, match=r"no config\.json"):
        model_of("./mpt-7b")


def test_what_was_taken_is_told(tmp_path):
    file = tmp_path / "gpt.json"
    file.write_text(json.dumps(GPT2))
    assert described_model(str(file)).source == f"{file}; not stated there and taken: n_inner = 3072"


def test_models_of_several_parts_give_their_text_model(tmp_path):
    file = tmp_path / "both.json"
    file.write_text(json.dumps({"model_type": "llava", "vision_config": {}, "text_config": LLAMA}))
    assert shape(model_of(str(file))) == shape(published_model("llama2-7b"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"num_hidden_layers": None, "vocab_size": None},
            "needs num_hidden_layers, vocab_size, which the file",
        ),
        (
            {"model_type": "unheard", "hidden_size": None},
            "unknown type 'unheard' needs hidden_size or n_embd",
        ),
        ({"model_type": "mistral", "num_key_value_heads": None}, "type 'mistral' needs num_key_value_heads"),
        ({"model_type": "gemma"}, "needs head_dim"),
        ({"model_type": 3}, "model_type = 3: must be a text"),
        ({"hidden_size": "4096"}, 'hidden_size = "4096": must be an integer'),
        ({"hidden_size": 4096.0}, "hidden_size = 4096.0: must be an integer"),
        ({"num_hidden_layers": True}, "num_hidden_layers = true: must be an integer"),
        ({"num_attention_heads": [4, 8]}, r"num_attention_heads = \[4, 8\]: must be an integer"),
        ({"num_hidden_layers": -32}, "num_hidden_layers = -32: must be from 1 to 2147483647"),
        ({"vocab_size": 0}, "vocab_size = 0: must be from 1"),
        ({"intermediate_size": 10**30}, "must be from 1 to 2147483647"),
        (
            {"num_attention_heads": 31, "num_key_value_heads": 31},
            "hidden_size = 4096: must be a multiple of the 31",
        ),
        ({"num_key_value_heads": 5}, "num_attention_heads = 32: must be a multiple of its KV heads, 5"),
        ({"num_key_value_heads": 64}, "must be a multiple of its KV heads, 64"),
        ({"hidden_act": "sine"}, 'hidden_act = "sine": must be one of relu, gelu'),
        ({"hidden_act": 1}, "hidden_act = 1: must be a text"),
        ({"tie_word_embeddings": "yes"}, 'tie_word_embeddings = "yes": must be true or false'),
        ({"num_local_experts": 8}, "num_local_experts = 8: a mixture of experts"),
        ({"n_routed_experts": 64, "kv_lora_rank": 512}, "n_routed_experts = 64: a mixture of experts"),
        ({"kv_lora_rank": 512}, "latent attention"),
        ({"is_encoder_decoder": True}, "only models with one stack"),
        ({"word_embed_proj_dim": 512}, "an embedding of another width than hidden_size = 4096"),
    ],
)
def test_what_describes_no_known_model_is_refused(changes, message):
    with pytest.raises(ModelFileError, match=message) as refusal:
        model_from_entries(LLAMA | changes, name="the file")
    assert str(refusal.value).startswith("the file: ")
    assert "\n" not in str(refusal.value)


def test_an_unknown_kind_of_attention_is_refused():
    with pytest.raises(ModelFileError, match='attn_type = "linear": must be one of multihead_attention'):
        model_from_entries(MPT | {"attn_config": {"attn_type": "linear"}}, name="m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read as JSON"),
        (b"", "cannot be read as JSON"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "cannot be read as JSON|must be from 1"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[1]", "holds a list, and a config.json is an object"),
        (b"null", "holds a NoneType"),
        (b" " * (LARGEST_FILE_BYTES + 1), "bytes are too many for a config.json"),
    ],
)
def test_files_that_are_no_config_are_refused(tmp_path, content, message):
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        model_of(str(file))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mpt7b", "no model 'mpt7b': did you mean mpt-7b"),
        ("", "no model ''"),
        ("x" * 5000, "no model"),
        ("a\0b", "no model"),
        ("missing/config.json", "there is no such file"),
        ("missing.json", "there is no such file"),
        ("a\0b/c", "there is no such file"),
        ("/dev/zero", "there is no such file"),
    ],
)
def test_names_that_are_nothing_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        model_of(name)
