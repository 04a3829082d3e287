"""The quality of selections against sums by hand, and methods that keep the fraction they are asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host.sprint.comparators.a3 import A3
from host.sprint.comparators.leopard import Leopard
from host.sprint.comparators.spatten import SpAtten
from host.sprint.contenders import CONTENDERS, Contender, compare, select_fraction
from host.sprint.inputs import QueryStream, padded, synthetic_stream
from host.sprint.quality import Quality, dense_reference, measure
from host.sprint.scores import exact_scores
from host.sprint.selection import Selection, SelectionMethod, Work, attention_work
from host.sprint.thresholding import Thresholder

pytestmark = pytest.mark.quick

HEADS, QUERIES, TOKENS, DIM = 4, 12, 30, 16


def stream(seed: int = 0) -> QueryStream:
    return synthetic_stream(seed, heads=HEADS, queries=QUERIES, tokens=TOKENS, dim=DIM, drift=0.9, layers=2)


def selected(keep: NDArray[np.bool_]) -> Selection:
    """A selection that costs nothing to make."""
    nothing = np.zeros(keep.shape[:-1], np.int64)
    kept = np.count_nonzero(keep, axis=-1).astype(np.int64)
    return Selection(keep=keep, decision=Work(nothing, nothing, nothing), attention=attention_work(kept, dim=DIM))


def quality_of(of: QueryStream, keep: NDArray[np.bool_]) -> Quality:
    return measure(selected(keep), dense_reference(of))


@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_a_selection_is_measured_as_by_hand(seed: int, share: float) -> None:
    of = stream(seed % 7)
    keep = np.random.default_rng(seed).random((HEADS, QUERIES, TOKENS)) < share
    found = quality_of(of, keep)
    weights = np.exp(exact_scores(of.queries, of.keys) * of.logit_scales[:, None, None])
    values = of.values * of.value_scales[:, None, None]
    dense = weights @ values / weights.sum(axis=-1, keepdims=True)
    kept = weights * keep
    sparse = kept @ values / np.maximum(kept.sum(axis=-1, keepdims=True), 1e-300)
    assert found.error == pytest.approx(np.sqrt(np.mean((sparse - dense) ** 2) / np.mean(dense**2)), rel=1e-3, abs=1e-4)
    assert found.pruned_mass == pytest.approx(1 - (kept.sum(axis=-1) / weights.sum(axis=-1)).mean(), abs=1e-9)
    assert found.error <= found.bound
    assert found.largest_share <= 1
    assert found.lost_queries == np.count_nonzero(~keep.any(axis=-1))
    assert found.read_fraction == pytest.approx(keep.mean())
    assert found.kept_fraction == keep.mean()


def test_everything_kept_is_dense_attention_but_for_the_integer_kernel() -> None:
    found = quality_of(stream(), np.ones((HEADS, QUERIES, TOKENS), np.bool_))
    assert found.error <= found.bound < 1e-4
    assert (found.pruned_mass, found.read_fraction, found.overlap, found.lost_queries) == (0, 1, 1, 0)
    assert found.loaded_fraction == pytest.approx(1 / QUERIES)


def test_loads_are_what_is_kept_and_was_not_before() -> None:
    keep = np.zeros((HEADS, 4, TOKENS), np.bool_)
    keep[0, 0, :10], keep[0, 1, 5:15], keep[0, 2, 5:20] = True, True, True
    keep[1, 3, :6] = True
    of = synthetic_stream(0, heads=HEADS, queries=4, tokens=TOKENS, dim=DIM)
    found = quality_of(of, keep)
    # Kept after the first query: 10, 15 and 6; with the query before: 5, 10 and none.
    assert found.overlap == pytest.approx(15 / 31)
    assert found.loaded_fraction == pytest.approx((10 + 5 + 5 + 6) / keep.size)


def test_without_a_query_before_there_is_no_overlap() -> None:
    of = synthetic_stream(0, heads=1, queries=1, tokens=5, dim=4)
    assert math.isnan(measure(selected(np.ones((1, 1, 5), np.bool_)), dense_reference(of)).overlap)


def test_padding_is_not_measured() -> None:
    with pytest.raises(ValueError, match="10 tokens of padding"):
        dense_reference(padded(stream(), TOKENS - 10))


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), percent=st.integers(1, 100))
def test_methods_keep_the_fraction_they_are_asked_for(seed: int, percent: int) -> None:
    of = stream(seed)
    wanted = math.ceil(percent * QUERIES * TOKENS / 100)  # of a head
    found = {name: select_fraction(name, of, percent / 100).selection for name in CONTENDERS}
    for name in ("sprint", "leopard", "spatten"):
        assert found[name].keep.any(axis=-1).all()
    kept = found["leopard"].keep.sum(axis=(1, 2))
    assert (kept >= wanted).all()
    assert (found["sprint"].keep.sum(axis=(1, 2)) >= wanted).all()
    assert (found["spatten"].kept == math.ceil(percent * TOKENS / 100)).all()
    strict = Leopard(theta=[[quantile] for quantile in _quantiles(of, wanted)]).select(of.queries, of.keys)
    assert (found["leopard"].keep | strict.keep).sum() == found["leopard"].keep.sum()


def _quantiles(of: QueryStream, wanted: int) -> list[float]:
    """The wanted-th largest score of each head."""
    scores = np.sort(exact_scores(of.queries, of.keys).reshape(HEADS, -1), axis=1)[:, ::-1]
    return [float(score) for score in scores[:, wanted - 1]]


def test_a_conservative_sprint_keeps_what_leopard_keeps_and_more() -> None:
    of = stream(5)
    careful = select_fraction("sprint", of, 0.1, thresholder=Thresholder(offset="conservative")).selection.keep
    exact = Leopard(theta=np.array(_quantiles(of, math.ceil(0.1 * QUERIES * TOKENS)))[:, None])
    survivors = exact.select(of.queries, of.keys).keep
    assert careful[survivors].all()
    assert careful.sum() > survivors.sum()


def test_a3_with_a_margin_for_all_keeps_no_more_than_asked() -> None:
    of = stream(6)
    keep = select_fraction("a3", of, 0.2).selection.keep
    assert 0 < keep.sum(axis=(1, 2)).max() <= 0.2 * QUERIES * TOKENS + 3  # a few equal gaps


def test_a_comparison_has_every_method_at_every_fraction() -> None:
    steps: list[int] = []
    points = compare(stream(), ["a3", "sprint"], [0.1, 0.5], advance=steps.append)
    assert [(point.method, point.asked_fraction) for point in points] == [
        ("A3", 0.1),
        ("A3", 0.5),
        ("SPRINT", 0.1),
        ("SPRINT", 0.5),
    ]
    assert steps == [1] * 4
    assert [point.looked_at for point in points[2:]] == ["4 x 4 bits, in memory"] * 2
    assert points[0].looked_at.startswith(f"{TOKENS // 2} steps, ")


def test_how_far_methods_looked() -> None:
    of = stream(2)
    planes = Leopard(theta=np.array(_quantiles(of, 36))[:, None]).planes(of.queries, of.keys).mean()
    assert select_fraction("leopard", of, 0.1).looked_at == f"{planes:.2f} of 8 planes"
    assert select_fraction("spatten", of, 0.25).looked_at == f"{TOKENS // 2} tokens at last"


def test_more_tokens_are_nearer_to_dense_attention() -> None:
    points = compare(stream(), CONTENDERS, [0.1, 0.6], advance=lambda _: None)
    for few, many in zip(points[::2], points[1::2], strict=True):
        assert few.quality.error > many.quality.error
        assert few.quality.read_fraction < many.quality.read_fraction


@pytest.mark.parametrize("name", CONTENDERS)
@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, math.nan])
def test_fractions_that_mean_nothing_are_refused(name: Contender, fraction: float) -> None:
    with pytest.raises(ValueError, match="keep"):
        select_fraction(name, stream(), fraction)


@pytest.mark.parametrize(
    "method",
    [
        Leopard(theta=0),
        Leopard(theta=0, when_all_pruned="keep_best"),
        A3(steps=3, margin=1),
        SpAtten(logit_scales=np.ones(HEADS), layers=2),
    ],
)
def test_no_query_selects_nothing(method: SelectionMethod) -> None:
    of = stream()
    assert method.select(of.queries[:, :0], of.keys).keep.shape == (HEADS, 0, TOKENS)


def test_a_method_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of sprint, leopard, spatten, a3"):
        select_fraction("elsa", stream(), 0.1)  # type: ignore[arg-type]
