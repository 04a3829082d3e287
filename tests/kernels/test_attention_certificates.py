"""Answers of DPUs are within their certificates, and those of hostile operands come close (B-1 to B-4, K-8)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernels_for_tests.attention import (
    ONLINE,
    SOFTMAX,
    VARIANTS,
    WHOLE,
    WIDE,
    ZSCORE,
    Case,
    Variant,
    decode,
    make_case,
    make_spec,
)
from kernels_for_tests.attention_operands import PATTERNS

from host.attention.float_answers import arithmetic_of, bound_of, float_answers, real_outputs
from host.attention.partition import Partition
from host.attention.value_statistics import ValueStatistics
from host.attention.zscore import z_bits

LOGIT_SCALES = (None, 1e280, 1e-300)
SPLIT = Partition(3, "interleave")
OTHER_EXPONENTIALS = [
    Variant(dtype="int8", norm="softmax", exponential=e) for e in ("lut256_mid", "poly2", "poly3", "iexp")
]
# Rounding of the float64 references, relative to outputs or sum |v|; linear z-scores are more exact than those.
FLOAT64_SLACK, LINEAR_SLACK = 1e-12, 1e-10


def worst_share(hardware, case, *, partition=WHOLE, nr_tasklets=9):
    """Largest error / bound of a case's outputs."""
    spec = case.spec
    answers = decode(case, hardware, partition=partition, nr_tasklets=nr_tasklets)
    bound = bound_of(spec, answers, ValueStatistics.of(case.v), arithmetic_of(spec, partition, nr_tasklets))
    exact = np.stack([float_answers(spec, q[None], k, v)[0] for q, k, v in zip(case.q, case.k, case.v, strict=True)])
    slack = LINEAR_SLACK if spec.norm == "zscore_linear" else FLOAT64_SLACK
    sizes = np.maximum(np.abs(case.v.astype(np.float64)).sum(axis=2).max(), np.abs(exact).max())
    error = np.abs(real_outputs(answers) - exact)
    return float((error / (bound + slack * (1 + sizes))).max())


@pytest.mark.parametrize("variant", [v for v in (*VARIANTS, *OTHER_EXPONENTIALS) if v.acc == "wide"], ids=str)
def test_errors_are_within_the_certificate(hardware, variant):
    shares = {}
    for tokens in (1, 2, 20, 129):
        for logit_scale in LOGIT_SCALES if variant.is_softmax else (None,):
            for alibi in (0.0, 0.3) if logit_scale is None else (0.0,):
                case = make_case(
                    variant, tokens=tokens, dim=6, queries=2, patterns=PATTERNS, logit_scale=logit_scale, alibi=alibi
                )
                for partition in (WHOLE, SPLIT):
                    where = (tokens, logit_scale, alibi, str(partition))
                    shares[where] = worst_share(hardware, case, partition=partition)
    worst = max(shares, key=shares.__getitem__)
    assert shares[worst] <= 1, f"{shares[worst]} of the bound, with {worst}"


def hostile(variant, scores, values, **spec):
    """A case of one head whose int8 scores and values are these, [tokens]."""
    spec = make_spec(variant, dim=1, max_tokens=len(scores), **spec)
    q, k, v = (
        np.array(x, np.int8).reshape(1, 1, *shape) for x, shape in ((1, (1,)), (scores, (-1, 1)), (values, (-1, 1)))
    )
    return Case(spec=spec, q=q, k=k, v=v)


def test_div_d_attains_its_bound(hardware):
    """All scores are dim - 1, which is divided to 0."""
    dim = 16
    spec = make_spec(WIDE[1], dim=dim, max_tokens=50)
    k = np.ones((1, 1, 50, dim), np.int8)
    k[..., 0] = 0
    case = Case(spec=spec, q=np.ones((1, 1, dim), np.int8), k=k, v=np.full_like(k, 127))
    assert worst_share(hardware, case) > 0.999


@pytest.mark.parametrize("partition", [WHOLE, SPLIT], ids=str)
@pytest.mark.parametrize("variant", [SOFTMAX[1], ONLINE[0]], ids=str)
def test_many_tiny_weights_that_round_alike(hardware, variant, partition):
    """One large score in every part, and others whose weights are just below half a unit (B-3): all are lost."""
    bits, parts = 15, partition.parts
    scores, values = np.full(4096, -100), np.full(4096, 127)
    scores[:parts], values[:parts] = 0, -128
    case = hostile(variant, scores, values, logit_scale=math.log(2) * (bits + 1.01) / 100, probability_bits=bits)
    share = worst_share(hardware, case, partition=partition, nr_tasklets=2)
    assert 0.9 < share <= 1, f"{share} of the bound"


@pytest.mark.parametrize("variant", [SOFTMAX[1], *OTHER_EXPONENTIALS], ids=str)
def test_errors_of_the_exponential_reach_the_output(hardware, variant):
    """Two tokens, many differences of scores: up to half of the relative error of a weight is that of the output."""
    cases = [hostile(variant, [0, -difference], [-128, 127], logit_scale=0.007) for difference in range(1, 127, 3)]
    together = Case(spec=cases[0].spec, **{name: np.concatenate([getattr(c, name) for c in cases]) for name in "qkv"})
    share = worst_share(hardware, together)
    assert 0.2 < share <= 1, f"{share} of the bound"


@pytest.mark.parametrize("partition", [WHOLE, SPLIT], ids=str)
def test_z_scores_that_round_alike(hardware, partition):
    """Two levels of scores whose z-scores lie half between integers, and values of the signs of the errors (B-2)."""

    def distance_to_half(n, m):
        """Of the z-scores of m high and n - m low scores."""
        z_scores = math.sqrt((n - m) / m), math.sqrt(m / (n - m))
        return max(abs(math.ldexp(z, int(z_bits(np.array(n)))) % 1 - 0.5) for z in z_scores)

    n, m = min(((n, m) for n in range(3, 64) for m in range(1, n)), key=lambda pair: distance_to_half(*pair))
    scores = np.where(np.arange(n) < m, 50, -50)
    shares = [
        worst_share(hardware, hostile(ZSCORE[1], scores, np.where(scores > 0, *signs)), partition=partition)
        for signs in ((127, 127), (127, -127))
    ]
    assert 0.8 < max(shares) <= 1, f"{max(shares)} of the bound"
