"""One head of decode attention on the CPU, in the integers of the DPU kernels; `cpu_attention` compiles these.

Owns the three passes over a head: scores of all tokens, norm, weighted sum of V. Written for numba, as plain Python:
sums are kept in the type of the array they go to, and wrap in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["div_d_head", "softmax_head", "zscore_head"]


def div_d_head(q: Any, k: Any, v: Any, scores: Any, outputs: Any) -> None:
    """outputs[i] = sum_j trunc(s_j / dim) * v[j, i] with s = k q (S0-4, S0-5).

    q [dim], k and v [tokens, dim]; scores [tokens] is scratch. The types of scores and outputs are those of the sums.
    """
    score_rows(q, k, scores)
    dim = q.size
    for token in range(scores.size):
        score = np.int64(scores[token])
        scores[token] = score // dim if score >= 0 else -(-score // dim)  # truncated, as C divides
    sum_rows(scores, v, outputs)


def softmax_head(
    q: Any,
    k: Any,
    v: Any,
    scores: Any,
    weights: Any,
    powers: Any,
    multiplier: int,
    shift: int,
    pre_shift: int,
    max_difference: int,
    probability_bits: int,
    outputs: Any,
) -> Any:
    """outputs[i] = sum_j w_j v[j, i] with the weights of a SoftmaxPlan (K-6); returns (largest score, sum of weights).

    As `div_d_head`; weights int64 [tokens] is scratch, powers int64 [65536] is y of every u (K-7), the integers are the
    plan's.
    """
    score_rows(q, k, scores)
    maximum = np.int64(scores.max())
    weight_sum = np.int64(0)
    for token in range(scores.size):
        weights[token] = 0
        difference = maximum - np.int64(scores[token])
        if difference <= max_difference:
            exponent = shift_rounded(shift_rounded(difference, pre_shift) * multiplier, shift)
            halvings = exponent >> 16
            if halvings <= probability_bits + 1:
                weights[token] = shift_rounded(powers[exponent & 65535], 30 - probability_bits + halvings)
                weight_sum += weights[token]
    sum_rows(weights, v, outputs)
    return maximum, weight_sum


def zscore_head(q: Any, k: Any, v: Any, scores: Any, weights: Any, fraction_bits: int, outputs: Any) -> None:
    """outputs[i] = sum_j z_j v[j, i] with z-scores in Q(fraction_bits), all 0 where the scores are equal (K-5).

    As `div_d_head`; weights int64 [tokens] is scratch: first the centred scores, then the z-scores.
    """
    score_rows(q, k, scores)
    tokens = np.int64(scores.size)
    total = np.int64(0)
    for token in range(tokens):
        total += scores[token]
    centre = divided(total, tokens)
    farthest = max(np.int64(scores.max()) - centre, centre - np.int64(scores.min()))
    shift = ((60 - bit_length(tokens - 1)) >> 1) - bit_length(farthest)
    total, squares = np.int64(0), np.int64(0)
    for token in range(tokens):
        centred = np.int64(scores[token]) - centre
        weights[token] = centred << shift if shift >= 0 else shift_rounded(centred, -shift)
        total += weights[token]
        squares += weights[token] * weights[token]
    mean = divided(total, tokens)
    squares -= mean * (2 * total - tokens * mean)
    if squares <= 0:
        outputs[:] = 0
        return
    half_shift = (62 - bit_length(squares)) >> 1
    deviation = square_root((squares << (2 * half_shift)) // tokens)
    normalising = 31 - bit_length(deviation)
    inverse = (np.int64(1) << 61) // (deviation << normalising)
    for token in range(tokens):
        product = (weights[token] - mean) * inverse
        weights[token] = shift_rounded(product, 61 - normalising - half_shift - fraction_bits)
    sum_rows(weights, v, outputs)


def score_rows(q: Any, k: Any, scores: Any) -> None:
    """scores[j] = sum_i q[i] * k[j, i]."""
    number = scores.dtype.type
    for token in range(k.shape[0]):
        total = number(0)
        for i in range(k.shape[1]):
            total = number(total + number(q[i]) * number(k[token, i]))
        scores[token] = total


def sum_rows(weights: Any, v: Any, outputs: Any) -> None:
    """outputs[i] = sum_j weights[j] * v[j, i]."""
    number = outputs.dtype.type
    outputs[:] = 0
    for token in range(v.shape[0]):
        weight = number(weights[token])
        for i in range(v.shape[1]):
            outputs[i] = number(outputs[i] + weight * number(v[token, i]))


def shift_rounded(a: Any, shift: Any) -> Any:
    """a * 2**-shift rounded half up, for shift >= 0: rsh of K-3."""
    return (a + ((np.int64(1) << shift) >> 1)) >> shift


def divided(a: Any, b: Any) -> Any:
    """a / b rounded half away from zero, for b > 0: rdiv of K-3."""
    size = abs(a)
    quotient = size // b
    if size - quotient * b >= b - (size - quotient * b):
        quotient += 1
    return quotient if a >= 0 else -quotient


def bit_length(a: Any) -> Any:
    """Bits of a number >= 0."""
    bits = np.int64(0)
    while a > 0:
        a >>= 1
        bits += 1
    return bits


def square_root(a: Any) -> Any:
    """The largest integer whose square is at most `a`, 0 <= a < 2**62, bit by bit."""
    root = np.int64(0)
    for place in range(31):
        larger = root + (np.int64(1) << (30 - place))
        if larger * larger <= a:
            root = larger
    return root
