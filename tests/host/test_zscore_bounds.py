"""Bounds of z-score attention's outputs: they hold, also for what a mask leaves, and hostile values come close."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.attention import zscore
from host.attention.zscore_bounds import linear_bound, zscore_bound, zscore_weight_error

pytestmark = pytest.mark.quick


def exact_weights(scores: NDArray[np.int64]) -> NDArray[np.float64]:
    """(s_j - mean) / deviation from exact integers, each rounded once."""
    wide, tokens = [int(s) for s in scores], len(scores)
    deviations = [tokens * s - sum(wide) for s in wide]
    squares = sum(x * x for x in deviations)
    if not squares:
        return np.zeros(tokens)
    return np.array([float(x) for x in deviations]) / math.sqrt(squares / tokens)


@given(
    k=hnp.arrays(np.int8, st.tuples(st.integers(1, 30), st.just(4)), elements=st.integers(-128, 127)),
    data=st.data(),
    hidden=st.integers(0, 5000),
)
def test_outputs_are_within_their_bound(k: NDArray[np.int8], data: st.DataObject, hidden: int) -> None:
    q, v = (data.draw(hnp.arrays(np.int8, shape, elements=st.integers(-128, 127))) for shape in ((4,), k.shape))
    sums = zscore.attention_zscore(q, k, v)
    scores = k.astype(np.int64) @ q.astype(np.int64)
    error = np.abs(np.ldexp(sums.weighted_values.astype(float), -int(sums.fraction_bits)) - exact_weights(scores) @ v)
    bound = zscore_bound(v, fraction_bits=sums.fraction_bits, score_bound=2**16)
    assert (error <= bound + 1e-12 * np.abs(v.astype(float)).sum(axis=0)).all()
    size = {"fraction_bits": sums.fraction_bits, "score_bound": 2**16}
    assert zscore_weight_error(len(k), **size) <= zscore_weight_error(len(k) + hidden, **size)


def test_values_with_the_signs_of_the_errors_come_close_to_the_bound() -> None:
    scores = np.random.default_rng(3).integers(-(2**20), 2**20, 64)
    bits = int(zscore.z_bits(64))
    weights = np.ldexp(zscore.zscore_weights(scores, zscore.zscore_constants(scores)).astype(float), -bits)
    errors = weights - exact_weights(scores)
    v = np.where(errors > 0, 127, -127)[:, None]
    bound = zscore_bound(v, fraction_bits=bits, score_bound=2**20)
    # errors of rounding are spread evenly from 0 to the bound
    assert 0.4 * bound <= (errors @ v) <= bound


def test_what_was_specified_holds_for_small_scores() -> None:
    """k <= 2**-16 while no deviation has to be shifted right: 24 bits at 4096 tokens, more at fewer."""
    for tokens in range(1, 4097):
        assert zscore_weight_error(tokens, fraction_bits=14, score_bound=2**22) - 2.0**-15 <= 2.0**-16


@pytest.mark.parametrize(("tokens", "score_bound"), [(0, 1), (2**19 + 1, 1), (1, -1)])
def test_sizes_without_a_proof_are_refused(tokens: int, score_bound: int) -> None:
    with pytest.raises(ValueError, match="proof covers"):
        zscore_weight_error(tokens, fraction_bits=9, score_bound=score_bound)


def test_linear_bound_is_a_few_units_in_the_last_place() -> None:
    assert linear_bound(np.array([-3.0, 0.0])).tolist() == [3 * 2.0**-50, 0.0]
