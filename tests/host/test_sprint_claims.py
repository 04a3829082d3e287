"""Checks of the claims about SPRINT fail when what they compute is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from host.claims import sprint, sprint_movement
from host.claims.checking import check_claims
from host.claims.registry import load_registry
from host.claims.sprint_dpu import DpuIdentities
from host.sprint import thresholding
from host.sprint.locality import Movement
from host.sprint.padding import Padding
from host.sprint.thresholding import Thresholder


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in load_registry().claims}


def verdict(claims, claim_id):
    checks = {**sprint.sprint_checks(), **sprint_movement.sprint_movement_checks()}
    (finding,) = check_claims([claims[claim_id]], checks)
    return finding.verdict


def changed(monkeypatch, module, name, change):
    """Replace a function by one whose result is changed."""
    original = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **kwargs: change(original(*args, **kwargs)))


def test_scores_one_too_large(claims, monkeypatch):
    changed(monkeypatch, sprint, "recomputed_scores", lambda scores: scores + 1)
    assert verdict(claims, "C4-01") == "FAIL"


def test_a_part_that_lost_a_bit(claims, monkeypatch):
    changed(monkeypatch, sprint, "split_msb_lsb", lambda parts: replace(parts, lsb=parts.lsb & np.int8(-2)))
    assert verdict(claims, "C4-01") == "FAIL"


def test_a_certificate_one_too_small(claims, monkeypatch):
    changed(monkeypatch, thresholding, "uncertainty", lambda bound: bound - 1)
    assert verdict(claims, "C4-02") == "FAIL"


@pytest.mark.parametrize("field", ["maximum", "weight_sum", "weighted_values"])
def test_a_bit_of_a_sum(claims, monkeypatch, field):
    def wrong(found):
        sums = found.sums._replace(**{field: getattr(found.sums, field) + getattr(found.sums, field).dtype.type(1)})
        return replace(found, sums=sums)

    monkeypatch.setattr(sprint, "dpu_identities", lambda: DpuIdentities(0, 0, 0, 1))
    assert verdict(claims, "C4-03") == "PASS"
    changed(monkeypatch, sprint, "attend", wrong)
    assert verdict(claims, "C4-03") == "FAIL"


@pytest.mark.parametrize("field", ["dense", "sparse", "decisions"])
def test_a_bit_on_dpus(claims, monkeypatch, field):
    monkeypatch.setattr(sprint, "dpu_identities", lambda: DpuIdentities(0, 0, 0, 1)._replace(**{field: 1}))
    assert verdict(claims, "C4-03") == "FAIL"


@pytest.mark.parametrize("field", ["pruned_mass", "bound"])
def test_a_bound_that_is_too_small(claims, monkeypatch, field):
    changed(monkeypatch, sprint, "attend", lambda found: replace(found, **{field: getattr(found, field) * 0.9}))
    assert verdict(claims, "C4-04") == "FAIL"


def test_loads_that_are_reuses(claims, monkeypatch):
    """As a published note has them (E4-5)."""
    changed(monkeypatch, sprint_movement, "adjacent_step", lambda step: step._replace(load=step.reuse))
    assert verdict(claims, "C4-05") == "FAIL"


def test_loads_of_all_that_is_kept(claims, monkeypatch):
    def wrong(moved):
        return Movement(moved.load | moved.reuse, moved.reuse, moved.evict, moved.refetch)

    changed(monkeypatch, sprint_movement, "movement", wrong)
    assert verdict(claims, "C4-05") == verdict(claims, "C4-13") == "FAIL"


def test_a_token_more(claims, monkeypatch):
    monkeypatch.setattr(sprint_movement, "Padding", lambda *, valid, padded: Padding(valid + 1, padded))
    assert verdict(claims, "C4-09") == "FAIL"


def test_pruning_that_saves_nothing(claims, monkeypatch):
    monkeypatch.setattr(sprint_movement, "sprint_bytes", lambda keep, *, dim, capacity_tokens: _masked(keep, dim))
    assert verdict(claims, "C4-10") == "FAIL"


def _masked(keep, dim):
    padding = Padding(valid=len(keep), padded=len(keep))
    return sprint_movement.dense_bytes(padding, "mask_only", dim=dim, capacity_tokens=0)


def test_recomputation_that_is_none(claims, monkeypatch):
    original = sprint.attend
    monkeypatch.setattr(sprint, "attend", lambda *args, **kwargs: original(*args, **{**kwargs, "recompute": "exact"}))
    assert verdict(claims, "C4-11") == "FAIL"


def test_approximate_scores_that_are_exact(claims, monkeypatch):
    monkeypatch.setattr(sprint, "approximate_scores", lambda queries, keys, analog: sprint.exact_scores(queries, keys))
    assert verdict(claims, "C4-12") == "FAIL"


def test_a_comparator_in_every_column(claims, monkeypatch):
    original = Thresholder.prune
    monkeypatch.setattr(
        Thresholder, "prune", lambda self, *args: original(replace(self, combine="per_column_or"), *args)
    )
    assert verdict(claims, "C4-16") == "FAIL"
