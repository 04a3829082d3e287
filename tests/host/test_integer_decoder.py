"""The integer decoder: neither a cache nor tiles change a bit; its arithmetic is near the real one; bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.attention.sums import SoftmaxSums
from host.llm.catalogue import published_model
from host.llm.engine import NumpyEngine
from host.llm.fixed_point import GATED, HEAD, HIDDEN, INNER, LOGIT, NORMALISED
from host.llm.float_controller import FloatController
from host.llm.generation import generate
from host.llm.integer_controller import IntegerController
from host.llm.integer_decoder import Decoder
from host.llm.model import toy
from host.llm.parameters import parameters
from host.llm.weights import GAIN_FRACTION_BITS, OUTPUT, Matrix, MatrixKey, matrix_keys, matrix_shape, random_weights

pytestmark = pytest.mark.quick

TINY = toy(layers=2, hidden=16, heads=4, kv_heads=2, dim=4, ffn=24, vocabulary=23, max_tokens=24)
TWO_MATRICES = replace(TINY, ffn_matrices=2, activation="relu")
ONE = 1 << GAIN_FRACTION_BITS


def decoded(model, prompt, new_tokens, seed=0, kv_bits=8, **options):
    weights = random_weights(model, seed=seed)
    return generate(weights, NumpyEngine(weights, kv_bits=kv_bits), prompt, new_tokens, **options)


@settings(max_examples=8)
@given(
    model=st.sampled_from([TINY, TWO_MATRICES, replace(TINY, tied=True), replace(TINY, kv_heads=4)]),
    precision=st.sampled_from(["integer", "float"]),
    prompt=st.lists(st.integers(0, 22), min_size=1, max_size=12),
    new_tokens=st.integers(1, 8),
    tile_tokens=st.integers(1, 16),
    kv_bits=st.sampled_from([4, 8]),
)
def test_neither_cache_nor_tiles_change_a_bit(model, precision, prompt, new_tokens, tile_tokens, kv_bits):
    cached = decoded(model, prompt, new_tokens, precision=precision, kv_bits=kv_bits)
    recomputed = decoded(
        model, prompt, new_tokens, precision=precision, cache="recomputed", tile_tokens=tile_tokens, kv_bits=kv_bits
    )
    assert cached.tokens == recomputed.tokens
    assert np.array_equal(cached.logits, recomputed.logits)
    s, n = len(prompt), new_tokens
    assert cached.projected_tokens == s + n - 1
    assert recomputed.projected_tokens == sum(s + t for t in range(n))
    later = [n - 1] * s + [n - 2 - t for t in range(n - 1)]
    assert np.array_equal(cached.reuses, [later] * model.layers)
    assert not recomputed.reuses.any()


def test_the_example_of_the_document():
    assert decoded(TINY, [1, 2, 3, 4], 3).projected_tokens == 6
    assert decoded(TINY, [1, 2, 3, 4], 3, cache="recomputed").projected_tokens == 15


def test_integers_decode_what_floats_decode():
    """Both precisions see the same int8 vectors up to rounding, so that logits differ by little."""
    for model in (TINY, TWO_MATRICES):
        integer, floating = (decoded(model, [5, 3, 8], 1, precision=p) for p in ("integer", "float"))
        spread = floating.logits.std()
        assert np.abs(integer.logits.astype(float) - floating.logits).max() < 0.25 * spread


def real_logits(weights, tokens):
    """LLaMA in float64, written from its equations: one token after the other, nothing rounded but the weights."""
    m, real = weights.model, {key: x.values * x.scale[:, None] for key, x in weights.matrices.items()}
    angles = 10_000.0 ** (-np.arange(m.dim // 2) * 2 / m.dim)

    def norm(x, gains):
        return x / np.sqrt(np.square(x).mean()) * gains / ONE

    def turned(x, position):
        pairs = (x[:, : m.dim // 2] + 1j * x[:, m.dim // 2 :]) * np.exp(1j * position * angles)
        return np.concatenate([pairs.real, pairs.imag], axis=1)

    caches = [([], []) for _ in range(m.layers)]
    for position, token in enumerate(tokens):
        x = weights.embedding.values[token] * weights.embedding.scale[token]
        for layer, (keys, values) in enumerate(caches):
            y = norm(x, weights.attention_gains[layer])
            q, k, v = ((real[MatrixKey(name, layer)] @ y).reshape(-1, m.dim) for name in ("query", "key", "value"))
            keys.append(turned(k, position))
            values.append(v)
            seen = []
            for head, row in enumerate(turned(q, position)):
                logits = np.stack(keys)[:, head // m.queries] @ row / np.sqrt(m.dim)
                shares = np.exp(logits - logits.max())
                seen.append(shares / shares.sum() @ np.stack(values)[:, head // m.queries])
            x = x + real[MatrixKey("projection", layer)] @ np.concatenate(seen)
            y = norm(x, weights.ffn_gains[layer])
            gate, up = (real[MatrixKey(name, layer)] @ y for name in ("gate", "up"))
            x = x + real[MatrixKey("down", layer)] @ (gate / (1 + np.exp(-gate)) * up)
    return real[OUTPUT] @ norm(x, weights.output_gains)


@pytest.mark.parametrize("precision", ["integer", "float"])
def test_the_decoder_is_a_llama(precision):
    """Logits of the decoder, whose vectors have eight bits, beside those of the equations; last token of many."""
    model = toy(hidden=48, heads=6, kv_heads=2, dim=8, ffn=96, vocabulary=200)
    weights, prompt = random_weights(model, seed=4), list(range(0, 60, 3))
    found = generate(weights, NumpyEngine(weights), prompt, 1, precision=precision).logits[0] * LOGIT.scale
    real = real_logits(weights, prompt)
    assert np.corrcoef(found, real)[0, 1] > 0.995
    assert np.abs(found - real).max() < 0.35 * real.std()


def test_four_bits_of_k_and_v_change_logits_by_little():
    eight, four = (decoded(TINY, [5, 3, 8, 1], 1, kv_bits=bits).logits.astype(float) for bits in (8, 4))
    assert 0 < np.abs(eight - four).max() < 0.75 * eight.std()


def test_tokens_depend_on_all_that_came_before():
    first, second = (decoded(TINY, prompt, 6).logits for prompt in ([1, 2, 3], [3, 2, 1]))
    assert not np.array_equal(first, second)


def test_a_query_head_sees_its_own_kv_head_only():
    """GQA: with equal K and V of both KV heads, it is the model with one of them."""
    weights = random_weights(TINY, seed=3)
    matrices = dict(weights.matrices)
    shared = dict(matrices)
    for key in matrix_keys(TINY):
        if key.name in ("key", "value"):
            half = Matrix(matrices[key].values[: TINY.dim], matrices[key].scale[: TINY.dim])
            shared[key] = half
            matrices[key] = Matrix(np.tile(half.values, (2, 1)), np.tile(half.scale, 2))
    one = replace(weights, model=replace(TINY, kv_heads=1), matrices=shared)
    two = replace(weights, matrices=matrices)
    results = [generate(each, NumpyEngine(each), [1, 2], 5) for each in (one, two)]
    assert np.array_equal(results[0].logits, results[1].logits)


# --- what the controller computes ------------------------------------------------------------------------------------


@given(
    hidden=st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=1, max_size=64),
    gain=st.integers(-(1 << 15), (1 << 15) - 1),
)
def test_the_norm_is_exact_up_to_rounding(hidden, gain):
    x = np.array([hidden], np.int16)
    found = IntegerController(TINY).normalised(x, np.full(len(hidden), gain, np.int16))[0]
    root = np.sqrt(np.square(x.astype(np.float64)).mean())
    real = np.zeros(len(hidden)) if root == 0 else x[0] / root * gain / ONE / NORMALISED.scale
    assert (np.abs(found - np.clip(real, -128, 127)) <= 0.5 + 1e-6 * np.abs(real)).all()


@given(
    pair=st.tuples(st.integers(-(1 << 15), (1 << 15) - 1), st.integers(-(1 << 15), (1 << 15) - 1)),
    position=st.integers(0, TINY.max_tokens - 1),
)
def test_a_rotation_turns_pairs_by_the_angle_of_the_position(pair, position):
    heads = np.array([[[pair[0], 0, pair[1], 0]]], np.int64)
    unit = np.full((1, 4), INNER.scale)
    found = IntegerController(TINY).rotated(heads, unit, np.array([position]), HEAD)[0, 0]
    turned = complex(*pair) * np.exp(1j * position) * INNER.scale / HEAD.scale  # base**0 is 1
    real = np.clip([turned.real, turned.imag], -128, 127)
    assert (np.abs(found[[0, 2]] - real) <= 0.5 + 2 * 2.0**-8).all()


@given(st.integers(-(1 << 15), (1 << 15) - 1), st.integers(-(1 << 15), (1 << 15) - 1))
def test_a_gate_is_exact_up_to_rounding(gate, up):
    unit = np.array([INNER.scale])
    found = IntegerController(TINY).gated(np.array([[gate]]), unit, np.array([[up]]), unit)[0, 0]
    x, y = gate * INNER.scale, up * INNER.scale
    real = np.clip(x / (1 + np.exp(-x)) * y / GATED.scale, -128, 127)
    assert abs(found - real) <= 0.5 + 1.01 * INNER.scale * abs(y) / GATED.scale


@pytest.mark.parametrize("controller", [IntegerController, FloatController])
def test_averages_and_sums_saturate_and_round(controller):
    made = controller(TWO_MATRICES)
    sums = SoftmaxSums(np.zeros(1, np.int64), np.array([2], np.uint64), np.array([[5, -6, 300, -300]]))
    assert made.averaged(sums, HEAD).tolist()[0][1:] == [-3, 127, -128]
    assert made.activated(np.array([[-4096, 4096]]), np.full(2, INNER.scale)).tolist() == [[0, 32]]
    assert made.normalised(np.zeros((1, 4)), np.full(4, ONE, np.int16)).tolist() == [[0] * 4]


def test_hidden_states_saturate():
    made, unit = IntegerController(TINY), np.array([HIDDEN.scale])
    assert made.added(np.array([[32767]], np.int16), np.array([[5]]), unit).tolist() == [[32767]]
    assert made.added(np.array([[-32768]], np.int16), np.array([[-5]]), unit).tolist() == [[-32768]]


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [TINY, TWO_MATRICES])
def test_matrices_have_the_parameters_of_the_formula(model):
    shapes = [matrix_shape(model, key.name) for key in matrix_keys(model)]
    assert sum(outputs * inputs for outputs, inputs in shapes) == parameters(model, "gemv")


def test_weights_are_the_same_for_equal_seeds_and_use_all_of_four_bits():
    first, again, other = (random_weights(TINY, seed=seed) for seed in (1, 1, 2))
    for key, matrix in first.matrices.items():
        assert np.array_equal(matrix.values, again.matrices[key].values)
        assert not np.array_equal(matrix.values, other.matrices[key].values)
        assert np.abs(matrix.values).max() == 7


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "new_tokens", "options", "error", "message"),
    [
        ([], 1, {}, ValueError, "a prompt has at least one"),
        ([1, 23], 1, {}, ValueError, "token 23 at place 1: the vocabulary has 0 to 22"),
        ([-1], 1, {}, ValueError, "token -1 at place 0"),
        ([1.5], 1, {}, TypeError, "ids are integers"),
        ([1], 0, {}, ValueError, "0 new tokens: at least 1"),
        (
            [1] * 25,
            1,
            {},
            ValueError,
            "25 tokens and 1 new ones: the context of model 'toy' has room for 24",
        ),
        ([1] * 20, 6, {}, ValueError, "room for 24 tokens, and only the last one does not join"),
        ([1], 2, {"cache": "none"}, ValueError, "choose one of cached, recomputed"),
        ([1], 2, {"precision": "half"}, ValueError, "choose one of integer, float"),
        ([1], 2, {"kv_bits": 16}, ValueError, "kv_bits = 16: choose one of 8, 4"),
        ([1], 2, {"tile_tokens": 0}, ValueError, "tiles of 0 tokens: at least 1"),
    ],
)
def test_what_cannot_be_generated(prompt, new_tokens, options, error, message):
    with pytest.raises(error, match=message):
        decoded(TINY, prompt, new_tokens, **options)


def test_a_full_context_takes_no_more():
    weights = random_weights(TINY, seed=0)
    decoder = Decoder(weights, NumpyEngine(weights))
    decoder.read([1] * 24)
    with pytest.raises(ValueError, match="1 tokens join 24: the context of model 'toy' has room for 24"):
        decoder.read([1])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (published_model("mpt-7b"), "norm = 'layer': the integer decoder computes rms only"),
        (replace(TINY, activation="gelu"), "computes silu and relu only"),
        (replace(TINY, dim=5), "dim = 5: rotary positions turn pairs"),
        (replace(TINY, vocabulary=None), "vocabulary and inner elements must be whole numbers"),
        (published_model("llama-7b"), "has 6,738,149,376 parameters: weights are made up for at most"),
    ],
)
def test_models_that_are_not_computed(model, message):
    with pytest.raises(ValueError, match=message):
        random_weights(model, seed=0)


@pytest.mark.parametrize(
    ("values", "scale", "bias", "message"),
    [
        (np.zeros((2, 2)), np.ones(2), None, r"int8 \[outputs, inputs\] is needed"),
        (np.full((2, 2), 8, np.int8), np.ones(2), None, "weights from 8 to 8: four bits hold -8 to 7"),
        (np.zeros((2, 2), np.int8), np.ones(3), None, "one positive number for each"),
        (np.zeros((2, 2), np.int8), np.zeros(2), None, "one positive number for each"),
        (np.zeros((2, 2), np.int8), np.ones(2), np.zeros(1, np.int64), "biases"),
    ],
)
def test_matrices_that_do_not_belong_together(values, scale, bias, message):
    with pytest.raises(ValueError, match=message):
        Matrix(values, scale, bias)
