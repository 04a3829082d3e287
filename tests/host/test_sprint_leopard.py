"""LeOPArd: survivors are exactly the scores at the threshold or above, planes are what a scalar scan reads (C4-15)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.sprint.comparators.leopard import Leopard
from host.sprint.scores import exact_scores

pytestmark = pytest.mark.quick

INT8 = st.one_of(st.integers(-128, 127), st.sampled_from([-128, -1, 0, 127]))


class Operands(NamedTuple):
    queries: NDArray[np.int8]
    keys: NDArray[np.int8]


@st.composite
def operands(draw: st.DrawFn) -> Operands:
    queries, tokens, dim = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 9))
    q, k = (draw(hnp.arrays(np.int8, (rows, dim), elements=INT8)) for rows in (queries, tokens))
    return Operands(q, k)


@st.composite
def thresholded(draw: st.DrawFn) -> tuple[Operands, float]:
    """Operands and a threshold, often one that a score meets or misses by one."""
    given = draw(operands())
    near = st.sampled_from(exact_scores(*given).ravel().tolist()).flatmap(lambda s: st.integers(s - 1, s + 1))
    theta = draw(st.one_of(near, st.integers(-200_000, 200_000), st.sampled_from([-np.inf, np.inf])))
    return given, float(theta)


@given(given=thresholded(), bits=st.sampled_from([1, 2, 4, 8]))
def test_survivors_are_the_scores_at_the_threshold_or_above(given: tuple[Operands, float], bits: int) -> None:
    (q, k), theta = given
    assert (Leopard(theta=theta, bits_per_step=bits).select(q, k).keep == (exact_scores(q, k) >= theta)).all()


def scalar_planes(q: list[int], k: list[int], theta: float) -> int:
    """Bits of k until no completion of them reaches theta; in each dimension the lowest or the highest is best."""
    for known in range(1, 9):
        step = 1 << (8 - known)
        best = sum(
            max(qi * ((ki // step) * step + rest) for rest in (0, step - 1)) for qi, ki in zip(q, k, strict=True)
        )
        if best < theta:
            return known
    return 8


@given(given=thresholded())
def test_planes_are_those_of_a_scan_of_one_key_at_a_time(given: tuple[Operands, float]) -> None:
    (q, k), theta = given
    wanted = [[scalar_planes(row.tolist(), key.tolist(), theta) for key in k] for row in q]
    assert Leopard(theta=theta).planes(q, k).tolist() == wanted


@settings(max_examples=40)
@given(given=thresholded())
def test_longer_steps_read_more_and_compare_less(given: tuple[Operands, float]) -> None:
    (q, k), theta = given
    found = [Leopard(theta=theta, bits_per_step=bits).select(q, k).decision for bits in (1, 2, 4, 8)]
    for finer, coarser in pairwise(found):
        assert (finer.read_bytes <= coarser.read_bytes).all()
        assert (finer.bit_products <= coarser.bit_products).all()
        assert (finer.comparisons >= coarser.comparisons).all()


@settings(max_examples=40)
@given(given=thresholded())
def test_a_best_token_is_kept_where_there_is_no_survivor_and_only_there(given: tuple[Operands, float]) -> None:
    (q, k), theta = given
    strict, lenient = (
        Leopard(theta=theta, when_all_pruned=way).select(q, k).keep for way in ("keep_none", "keep_best")
    )
    some = strict.any(axis=-1)
    assert (lenient[some] == strict[some]).all()
    assert (lenient[~some].sum(axis=-1) == 1).all()


def test_without_a_threshold_it_costs_what_dense_attention_costs() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.integers(-128, 128, (5, 16), np.int8), rng.integers(-128, 128, (40, 16), np.int8)
    found = Leopard(theta=-np.inf).select(q, k)
    assert found.bytes.tolist() == [2 * 40 * 16] * 5
    assert found.operations.tolist() == [2 * 40 * 16] * 5
    assert found.decision.comparisons.tolist() == [8 * 40] * 5


def test_a_threshold_of_each_head() -> None:
    rng = np.random.default_rng(1)
    q, k = rng.integers(-128, 128, (3, 5, 8), np.int8), rng.integers(-128, 128, (3, 20, 8), np.int8)
    theta = np.array([-np.inf, 0, np.inf])[:, None]
    assert (Leopard(theta=theta).select(q, k).keep == (exact_scores(q, k) >= theta[..., None])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits_per_step": 3}, "bits_per_step = 3: choose 1, 2, 4 or 8"),
        ({"bits_per_step": 0}, "bits_per_step = 0"),
        ({"when_all_pruned": "keep_two"}, "choose one of keep_best, keep_none"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Leopard(theta=0, **options)


def test_operands_and_thresholds_that_do_not_belong_together_are_refused() -> None:
    q, k = np.ones((2, 4), np.int8), np.ones((3, 4), np.int8)
    with pytest.raises(TypeError, match="queries are int16"):
        Leopard(theta=0).select(q.astype(np.int16), k)
    with pytest.raises(ValueError, match="dim, the last axis, must be the same"):
        Leopard(theta=0).select(q, k[:, :3])
    with pytest.raises(ValueError, match="none of tokens"):
        Leopard(theta=0).select(q, k[:0])
    with pytest.raises(ValueError, match="theta has shape"):
        Leopard(theta=[0, 0, 0]).select(q, k)
    with pytest.raises(ValueError, match="theta is NaN"):
        Leopard(theta=np.nan).select(q, k)
