"""A3: the greedy search against one that holds every list by itself, and what follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from host.sprint.comparators.a3 import A3
from host.sprint.scores import exact_scores

pytestmark = pytest.mark.quick

Rows = NDArray[np.int8]


@st.composite
def operands(draw: st.DrawFn) -> tuple[Rows, Rows]:
    queries, tokens, dim = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 5))
    q, k = (draw(hnp.arrays(np.int8, (rows, dim))) for rows in (queries, tokens))
    return q, k


def greedy_by_hand(q: list[int], k: list[list[int]], steps: int) -> tuple[list[int], int]:
    """Sums by token, and entries taken: all lists as Python lists of (product, token), one per dimension."""
    ascending = [np.argsort(column, kind="stable").tolist() for column in zip(*k, strict=True)]
    # A list is read from the end where its products are largest, or smallest.
    rising, falling = (
        [
            [(qi * k[j][i], j) for j in (order[::-1] if qi * sign > 0 else order)]
            for i, (qi, order) in enumerate(zip(q, ascending, strict=True))
        ]
        for sign in (1, -1)
    )
    sums, taken = [0] * len(k), 0
    for _ in range(steps):
        first = max((entries[0][0] for entries in rising if entries), default=0)
        if first > 0:
            entries = next(entries for entries in rising if entries and entries[0][0] == first)
            product, token = entries.pop(0)
            sums[token], taken = sums[token] + product, taken + 1
        last = min((entries[0][0] for entries in falling if entries), default=0)
        if last < 0 and sum(sums) >= 0:
            entries = next(entries for entries in falling if entries and entries[0][0] == last)
            product, token = entries.pop(0)
            sums[token], taken = sums[token] + product, taken + 1
    return sums, taken


@given(rows=operands(), steps=st.integers(1, 45))
def test_the_search_is_the_one_that_is_described(rows: tuple[Rows, Rows], steps: int) -> None:
    q, k = rows
    found = A3(steps=steps, margin=0).candidates(q, k)
    wanted = [greedy_by_hand(row.tolist(), k.tolist(), steps) for row in q]
    assert found.greedy_scores.tolist() == [sums for sums, _ in wanted]
    assert found.taken.tolist() == [taken for _, taken in wanted]


@given(rows=operands())
def test_of_positive_products_enough_steps_make_the_exact_scores(rows: tuple[Rows, Rows]) -> None:
    q, k = (np.maximum(operand, 0) for operand in rows)
    found = A3(steps=k.size, margin=np.inf)
    assert (found.candidates(q, k).greedy_scores == exact_scores(q, k)).all()
    assert (found.select(q, k).keep == (exact_scores(q, k) > 0)).all()


@given(rows=operands(), steps=st.integers(1, 20), margin=st.integers(0, 40_000))
def test_candidates_within_the_margin_of_the_best_are_kept(rows: tuple[Rows, Rows], steps: int, margin: int) -> None:
    q, k = rows
    method = A3(steps=steps, margin=margin)
    candidates = method.candidates(q, k).greedy_scores > 0
    for keep, is_candidate, scores in zip(method.select(q, k).keep, candidates, exact_scores(q, k), strict=True):
        best = max(scores[is_candidate], default=0)
        assert keep.tolist() == (is_candidate & (scores >= best - margin)).tolist()


def test_heads_are_searched_apart() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.integers(-128, 128, (2, 3, 4, 8), np.int8), rng.integers(-128, 128, (2, 1, 30, 8), np.int8)
    method = A3(steps=10, margin=np.full((2, 3, 1), 5000.0))
    together = method.select(q, k)
    assert together.keep.shape == (2, 3, 4, 30)
    alone = A3(steps=10, margin=5000.0).select(q[1, 2], k[1, 0])
    assert (together.keep[1, 2] == alone.keep).all()
    assert (together.bytes[1, 2] == alone.bytes).all()


def test_what_a_search_reads() -> None:
    q, k = np.full((1, 4), 3, np.int8), np.arange(1, 301, dtype=np.int16).astype(np.int8)[:, None].repeat(4, axis=1)
    found = A3(steps=2, margin=np.inf).select(q, k)
    # Both ends of 4 lists, then 4 entries: 2 that are largest, of the token of key 127, and 2 that are smallest.
    entries, entry_bytes = 2 * 4 + 4, 1 + 2
    candidates = int(found.kept[0])
    assert candidates == 1
    assert found.decision.read_bytes.tolist() == [entries * entry_bytes + candidates * 4]
    assert found.attention.read_bytes.tolist() == [candidates * 4]


def test_a_query_that_points_nowhere_keeps_nothing() -> None:
    found = A3(steps=5, margin=np.inf).select(np.zeros((1, 4), np.int8), np.ones((3, 4), np.int8))
    assert not found.keep.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0, "margin": 1}, "steps = 0: the search takes at least 1"),
        ({"steps": 1, "margin": -1}, "NaN or below 0"),
        ({"steps": 1, "margin": float("nan")}, "NaN or below 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        A3(**options)


def test_a_margin_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="margin has shape"):
        A3(steps=1, margin=[1, 2, 3]).select(np.ones((2, 4), np.int8), np.ones((3, 4), np.int8))
