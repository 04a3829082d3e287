"""Checks of the bounds that exact integers decide, and of z-score (B-1, B-2, B-7, B-8).

Here and in `softmax_bounds` each check takes the integer arithmetic that kernels and host share, bit for bit (B-10),
over the adversarial inventory, and answers with the worst ratio of error and bound. The inequalities are written out as
the claims state them, apart from `host.attention.bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product

import numpy as np

from host.attention.integer_math import isqrt
from host.attention.ranges import largest_operand
from host.attention.reference import attention_div_d, scores
from host.attention.requantise import requantise
from host.attention.zscore import (
    ScoreStatistics,
    constants_from_statistics,
    float_zscore_weights,
    score_statistics,
    z_bits,
    zscore_constants,
    zscore_weights,
)
from host.attention.zscore_bounds import zscore_weight_error

from .inventory import operand_inventory, score_inventory, shrinking_scores
from .judging import Answer, Holds
from .worst_shares import WorstShares

__all__ = ["bound_checks"]

M5_PARTS = 3


def bound_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "B-1": div_d_against_real_division,
        "B-2": zscore_against_float64,
        "B-7": requantisation,
        "B-8": integer_roots,
    }


def div_d_against_real_division() -> Answer:
    """B-1 in exact integers: |dim * o - sum s v| against (dim - 1) * sum |v|. The first head attains the bound."""
    worst = WorstShares()
    for dtype, tokens, dim in product(("int8", "int16", "int32"), (1, 2, 7, 17, 200), (2, 24, 128)):
        limit = largest_operand(dtype=dtype, norm="div_d", acc="wide", dim=dim, max_tokens=tokens)
        q, k, v = operand_inventory(dtype, tokens=tokens, dim=dim, lowest=-limit, highest=limit)
        q[0, 0], k[0, 0], v[0, 0] = np.arange(dim) != 0, 1, np.maximum(v[0, 0], 0)  # scores of dim - 1 divide to 0
        exact = (scores(q, k, acc="wide").astype(object)[..., None] * v).sum(axis=-2)
        error = np.abs(dim * attention_div_d(q, k, v, acc="wide").astype(object) - exact)
        bound = (dim - 1) * np.abs(v.astype(object)).sum(axis=-2)
        # An error of one where the bound is zero counts as twice the bound.
        worst.add("output", error / np.where(bound > 0, bound, 0.5))
    return worst.answer("compared as exact integers")


def zscore_against_float64() -> Answer:
    """B-2: weights, outputs and the greatest weight; constants of one DPU (K-5) and from split heads (M-5).

    The claim's bound leaves out what a right shift of the scores rounds away, so it is false where there is one
    (`shrinking_scores`). There, as everywhere, the bound that `zscore_bounds` proves has to hold.
    """
    worst, beyond = WorstShares(), WorstShares()
    for case in (*score_inventory(), shrinking_scores()):
        tokens = case.scores.shape[1]
        fraction_bits = int(z_bits(tokens))
        exact = float_zscore_weights(case.scores)
        magnitudes = np.maximum(1, np.abs(case.v).sum(axis=0))  # outputs of zero V have no error at all
        proven = zscore_weight_error(tokens, fraction_bits=fraction_bits, score_bound=case.largest)
        stated = 2.0 ** -(fraction_bits + 1) + 2.0**-16
        statistics = [score_statistics(part) for part in np.array_split(case.scores, M5_PARTS, axis=1)]
        parts = ScoreStatistics(*map(np.stack, zip(*statistics, strict=True)))
        for constants in (zscore_constants(case.scores), constants_from_statistics(parts)):
            weights = np.ldexp(zscore_weights(case.scores, constants).astype(np.float64), -fraction_bits)
            errors, kept = np.abs(weights - exact), constants.shift >= 0
            output_errors = np.abs((weights - exact) @ case.v) / magnitudes
            worst.add("weight", errors[kept] / stated)
            worst.add("output", output_errors[kept] / stated)
            worst.add("size of a weight", np.abs(weights) / (math.sqrt(tokens - 1) + 2.0**-fraction_bits))
            worst.add("weight, as proven", errors / proven)
            worst.add("output, as proven", output_errors / proven)
            beyond.add("weight", errors[~kept] / stated)
    return worst.answer(
        "judged as stated where scores are not shifted right; where they are, errors reach "
        f"{beyond.answer().ours['weight: error / bound']:.3f} of the stated bound, and the proven one is judged"
    )


def requantisation() -> Answer:
    """B-7 in exact fractions, for accumulators of every size to 2**62 and factors that keep them within int32."""
    generator, worst = np.random.default_rng(7), WorstShares()
    bits = np.repeat(np.arange(1, 63), 40)
    accumulators = generator.integers(-(2**bits), 2**bits, endpoint=True)
    outputs_bits = generator.uniform(-3, 30, len(bits))
    factors = 2.0**outputs_bits / np.maximum(np.abs(accumulators.astype(np.float64)), 1)
    factors[::8] = 2.0 ** np.floor(np.log2(factors[::8]))  # ties: products that end in one half
    outputs = requantise(accumulators, factors, dtype=np.int32)
    for output, accumulator, factor in zip(outputs.tolist(), accumulators.tolist(), factors.tolist(), strict=True):
        exact = accumulator * Fraction(factor)
        worst.add("output", float(abs(output - exact) / (Fraction(1, 2) + abs(exact) / 2**30)))
    return worst.answer(f"{len(bits):,} accumulators, compared as exact fractions")


def integer_roots() -> Answer:
    """B-8: all small numbers, squares and their neighbours up to the last below 2**63, powers of two."""
    roots = np.concatenate([np.random.default_rng(8).integers(1, math.isqrt(2**63 - 1), 20_000), [3_037_000_499]])
    powers = 2 ** np.arange(1, 63)
    x = np.concatenate([np.arange(2**14), roots**2 - 1, roots**2, roots**2 + 1, powers - 1, powers, [2**63 - 1]])
    wrong = [value for value, root in zip(x.tolist(), isqrt(x).tolist(), strict=True) if root != math.isqrt(value)]
    return Holds(passed=not wrong, detail=f"{len(x) - len(wrong):,} of {len(x):,} roots equal")
