"""Attention on this CPU is the integer reference, bit for bit, for every type, norm and number of threads."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention import cpu_attention
from host.attention.cpu_attention import cpu_div_d, cpu_softmax, cpu_zscore
from host.attention.exponential import Exponential
from host.attention.ranges import AccumulatorOverflow, largest_operand
from host.attention.reference import attention_div_d, attention_softmax
from host.attention.softmax_plan import softmax_plan
from host.attention.zscore import attention_zscore

DTYPES = ("int8", "int16", "int32")
SHAPES = st.tuples(
    st.integers(1, 3),  # batch
    st.integers(1, 3),  # KV heads
    st.integers(1, 3),  # query heads per KV head
    st.sampled_from([1, 2, 7, 8, 9, 33]),  # tokens
    st.sampled_from([1, 2, 7, 16, 128]),  # dim
)


def operands(shape, dtype, limit, seed):
    """q, k and v, uniform in -limit - 1 to limit."""
    batch, kv_heads, group, tokens, dim = shape
    rng = np.random.default_rng(seed)
    lowest = -limit - 1
    q = rng.integers(lowest, limit, (batch, kv_heads * group, dim), dtype, endpoint=True)
    k, v = (rng.integers(lowest, limit, (batch, kv_heads, tokens, dim), dtype, endpoint=True) for _ in "kv")
    return q, k, v


def per_query(rows, q):
    """K or V as the reference takes it: the KV head of every query head."""
    return np.repeat(rows, q.shape[1] // rows.shape[1], axis=1)


def assert_same(ours, theirs):
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


def check_div_d(q, k, v, acc, nr_threads):
    assert_same(
        cpu_div_d(q, k, v, acc=acc, nr_threads=nr_threads),
        attention_div_d(q, per_query(k, q), per_query(v, q), acc=acc),
    )


def check_softmax(q, k, v, plans, nr_threads):
    ours = cpu_softmax(q, k, v, plans, nr_threads=nr_threads)
    for head in range(q.shape[1]):
        kv_head = head // (q.shape[1] // k.shape[1])
        theirs = attention_softmax(q[:, head], k[:, kv_head], v[:, kv_head], plans[head % len(plans)])
        for part, expected in zip(ours, theirs, strict=True):
            assert_same(part[:, head], expected)


def check_zscore(q, k, v, nr_threads):
    ours = cpu_zscore(q, k, v, nr_threads=nr_threads)
    for part, expected in zip(ours, attention_zscore(q, per_query(k, q), per_query(v, q)), strict=True):
        assert_same(part, expected)


# --- equal to the reference ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=SHAPES, seed=st.integers(0, 2**32), nr_threads=st.integers(1, 40))
def test_wrapping_div_d_over_the_whole_type(dtype, shape, seed, nr_threads):
    check_div_d(*operands(shape, dtype, int(np.iinfo(dtype).max), seed), "wrap", nr_threads)


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=SHAPES, seed=st.integers(0, 2**32), nr_threads=st.integers(1, 40))
def test_exact_div_d_up_to_the_largest_operand(dtype, shape, seed, nr_threads):
    limit = largest_operand(dtype=dtype, norm="div_d", acc="wide", dim=shape[4], max_tokens=shape[3])
    check_div_d(*operands(shape, dtype, limit - 1, seed), "wide", nr_threads)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    shape=SHAPES,
    seed=st.integers(0, 2**32),
    nr_threads=st.integers(1, 40),
    deviation=st.sampled_from([1e-9, 0.1, 3.0, 50.0, 1e9]),
    bits=st.sampled_from([1, 12, 24]),
    exponential=st.sampled_from(get_args(Exponential)),
)
def test_softmax_with_tiny_to_huge_logit_scales(dtype, shape, seed, nr_threads, deviation, bits, exponential):
    dim, tokens = shape[4], shape[3]
    limit = largest_operand(dtype=dtype, norm="softmax", acc="wide", dim=dim, max_tokens=tokens, probability_bits=bits)
    bound = dim * limit * limit
    plan = softmax_plan(
        logit_scale=deviation / bound, score_bound=bound, probability_bits=bits, exponential=exponential
    )
    check_softmax(*operands(shape, dtype, limit - 1, seed), [plan], nr_threads)


INVENTORY = {
    "all equal": lambda low, high, n: np.full(n, high),
    "one hot": lambda low, high, n: np.where(np.arange(n) == n // 2, high, 0),
    "alternating": lambda low, high, n: np.where(np.arange(n) % 2, low, high),
    "all lowest": lambda low, high, n: np.full(n, low),
    "zero": lambda low, high, n: np.zeros(n),
}


def adversarial(low, high, dtype, tokens):
    """q, k and v of one head of 6 elements, every pattern with every other, between low and high."""
    for names in itertools.product(INVENTORY, repeat=3):
        shapes = ((1, 1, 6), (1, 1, tokens, 6), (1, 1, tokens, 6))
        yield [
            INVENTORY[name](low, high, math.prod(shape)).astype(dtype).reshape(shape)
            for name, shape in zip(names, shapes, strict=True)
        ]


def extremes(dtype, norm, tokens):
    """The least and greatest operand that exact sums allow: the type's own where they do."""
    info = np.iinfo(dtype)
    limit = largest_operand(dtype=dtype, norm=norm, acc="wide", dim=6, max_tokens=tokens)
    return (info.min, info.max) if limit == info.max else (-limit, limit)


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=SHAPES, seed=st.integers(0, 2**32), nr_threads=st.integers(1, 40), share=st.sampled_from([1, 8, 1000]))
def test_zscore_of_small_and_large_scores(dtype, shape, seed, nr_threads, share):
    limit = largest_operand(dtype=dtype, norm="zscore", acc="wide", dim=shape[4], max_tokens=shape[3])
    check_zscore(*operands(shape, dtype, max(0, limit // share - 1), seed), nr_threads)


@pytest.mark.parametrize("tokens", [1, 2, 13])
@pytest.mark.parametrize("dtype", DTYPES)
def test_adversarial_operands(dtype, tokens):
    info = np.iinfo(dtype)
    for q, k, v in adversarial(info.min, info.max, dtype, tokens):
        check_div_d(q, k, v, "wrap", 2)
    for q, k, v in adversarial(*extremes(dtype, "div_d", tokens), dtype, tokens):
        check_div_d(q, k, v, "wide", 2)
    low, high = extremes(dtype, "softmax", tokens)
    plan = softmax_plan(logit_scale=3 / (6 * low**2), score_bound=6 * low**2)
    for q, k, v in adversarial(low, high, dtype, tokens):
        check_softmax(q, k, v, [plan], 2)
    for q, k, v in adversarial(*extremes(dtype, "zscore", tokens), dtype, tokens):
        check_zscore(q, k, v, 2)


@pytest.mark.parametrize(("dtype", "expected"), [("int8", 0), ("int16", 4096), ("int32", 4096)])
def test_all_ones_reproduce_the_published_kernel(dtype, expected):
    """C0-01, and E0-3 for int8."""
    q, rows = np.ones((1, 2, 128), dtype), np.ones((1, 1, 4096, 128), dtype)
    assert (cpu_div_d(q, rows, rows, acc="wrap", nr_threads=2) == expected).all()
    assert (cpu_div_d(q, rows, rows, acc="wide", nr_threads=2) == 4096).all()


def test_every_query_head_has_its_own_plan():
    q, k, v = operands((2, 2, 2, 9, 8), "int8", 100, 1)
    plans = [softmax_plan(logit_scale=scale, score_bound=8 * 10**4) for scale in (1e-5, 1e-4, 1e-3, 1.0)]
    check_softmax(q, k, v, plans, 3)
    one, each = (cpu_softmax(q, k, v, used, nr_threads=1).weight_sum for used in (plans[:1], plans))
    assert (one[:, 0] == each[:, 0]).all()
    assert (one[:, 1:] != each[:, 1:]).all()


def test_operands_may_be_views():
    q, k, v = operands((2, 2, 1, 9, 16), "int16", 30000, 2)
    expected = cpu_div_d(q, k, v, acc="wrap", nr_threads=1)
    wide = np.zeros((9, 2, 2, 40), np.int16)
    wide[..., 3:35:2] = k.transpose(2, 0, 1, 3)
    strided = wide[..., 3:35:2].transpose(1, 2, 0, 3)
    v.setflags(write=False)
    assert_same(cpu_div_d(q[:, ::-1], strided[:, ::-1], v[:, ::-1], acc="wrap", nr_threads=2), expected[:, ::-1])
    shared = np.broadcast_to(k[:1, :1], k.shape)
    check_div_d(q, shared, shared, "wrap", 2)


def test_operands_are_left_alone():
    given_operands = operands((1, 1, 2, 5, 4), "int8", 100, 3)
    before = [x.copy() for x in given_operands]
    cpu_div_d(*given_operands, acc="wrap", nr_threads=2)
    for ours, theirs in zip(given_operands, before, strict=True):
        assert_same(ours, theirs)


def test_machine_code_is_kept_on_disk(monkeypatch):
    """What a later process does: load the kernel anew, and find it compiled; mutable operands ask for no other form."""
    q, k, v = operands((1, 1, 1, 3, 4), "int8", 100, 4)
    expected = cpu_div_d(q, k, v, acc="wrap", nr_threads=1)
    cpu_attention._compiled.cache_clear()
    cpu_attention._kernels.cache_clear()
    loaded, load = [], cpu_attention._compiled
    monkeypatch.setattr(cpu_attention, "_compiled", lambda *key: loaded.append(load(*key)) or loaded[-1])
    assert_same(cpu_div_d(q, k, v, acc="wrap", nr_threads=1), expected)
    (kernel,) = loaded
    assert (sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())) == (1, 0)
    assert len(kernel.signatures) == 1


# --- mistakes --------------------------------------------------------------------------------------------------------

Q, KV = np.ones((2, 4, 8), np.int8), np.ones((2, 2, 5, 8), np.int8)
PLAN = softmax_plan(logit_scale=1.0, score_bound=8)


@pytest.mark.quick
@pytest.mark.parametrize("nr_threads", [0, -1])
def test_no_threads_are_refused(nr_threads):
    with pytest.raises(ValueError, match=f"{nr_threads} threads: at least 1"):
        cpu_div_d(Q, KV, KV, acc="wrap", nr_threads=nr_threads)
    with pytest.raises(ValueError, match=f"{nr_threads} threads: at least 1"):
        cpu_softmax(Q, KV, KV, [PLAN], nr_threads=nr_threads)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("q", "k", "v", "error", "message"),
    [
        (Q.astype(np.int64), KV, KV, TypeError, "int64"),
        (Q, KV.astype(np.int16), KV, TypeError, "one type for all"),
        (Q, KV, KV.astype(np.int16), TypeError, "one type for all"),
        (Q[0], KV, KV, ValueError, r"queries \(4, 8\)"),
        (Q, KV[:, 0], KV, ValueError, "shapes"),
        (Q, KV, KV[:, :, :4], ValueError, "shapes"),
        (Q[:1], KV, KV, ValueError, "shapes"),
        (Q[..., :7], KV, KV, ValueError, "shapes"),
        (Q[:, :3], KV, KV, ValueError, "multiple of KV heads"),
        (Q, KV[:, :, :0], KV[:, :, :0], ValueError, "no axis is empty"),
        (Q[:, :0], KV, KV, ValueError, "no axis is empty"),
    ],
)
def test_operands_that_do_not_belong_together(q, k, v, error, message):
    with pytest.raises(error, match=message):
        cpu_div_d(q, k, v, acc="wrap", nr_threads=1)
    with pytest.raises(error, match=message):
        cpu_softmax(q, k, v, [PLAN], nr_threads=1)


@pytest.mark.quick
@pytest.mark.parametrize("nr_plans", [0, 2, 3, 5])
def test_another_number_of_plans(nr_plans):
    with pytest.raises(ValueError, match=f"{nr_plans} softmax plans for queries"):
        cpu_softmax(Q, KV, KV, [PLAN] * nr_plans, nr_threads=1)


@pytest.mark.quick
def test_sums_that_do_not_fit_are_refused_where_they_are_exact():
    large = np.full((1, 1, 8), 2**31 - 1, np.int32)
    with pytest.raises(AccumulatorOverflow):
        cpu_div_d(large, large[:, None], large[:, None], acc="wide", nr_threads=1)
    with pytest.raises(AccumulatorOverflow):
        cpu_softmax(large, large[:, None], large[:, None], [PLAN], nr_threads=1)
    with pytest.raises(ValueError, match="acc = 'exact'"):
        cpu_div_d(Q, KV, KV, acc="exact", nr_threads=1)
