"""Checks of the claims about document 4's chip hold, and fail when what they compute is wrong."""

from __future__ import annotations

import pytest

from host.claims import sprint_accelerator
from host.claims.checking import check_claims
from host.claims.registry import load_registry
from host.claims.sprint_accelerator import sprint_accelerator_checks
from host.sprint import corelets

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in load_registry().claims}


def finding(claims, claim_id):
    (found,) = check_claims([claims[claim_id]], sprint_accelerator_checks())
    return found


def test_arithmetic_that_takes_an_eightieth_more_fails(claims, monkeypatch):
    assert finding(claims, "C4-06").verdict == "PASS"
    right = sprint_accelerator.gain
    monkeypatch.setattr(
        sprint_accelerator, "gain", lambda *runs: right(*runs)._replace(compute=right(*runs).compute / 1.0125 - 0.01)
    )
    assert finding(claims, "C4-06").verdict == "FAIL"


def test_mappings_that_are_mixed_up_fail(claims, monkeypatch):
    monkeypatch.setattr(sprint_accelerator, "SEEDS", range(1))
    right, other = sprint_accelerator.corelet_tokens, {"interleave": "block", "block": "interleave"}
    monkeypatch.setattr(
        sprint_accelerator,
        "corelet_tokens",
        lambda keep, of: right(keep, corelets.Partition(of.parts, other[of.layout])),
    )
    assert finding(claims, "C4-08").verdict == "FAIL"


def test_chips_in_the_other_order_fail(claims, monkeypatch):
    stream = sprint_accelerator.synthetic_stream(1, heads=1, queries=48, tokens=48, dim=32)
    monkeypatch.setattr(sprint_accelerator, "real_heads", lambda: stream)
    assert finding(claims, "C4-07").verdict == "PASS"
    monkeypatch.setattr(sprint_accelerator, "CHIPS", dict(reversed(sprint_accelerator.CHIPS.items())))
    found = finding(claims, "C4-07")
    assert found.verdict == "FAIL"
    assert found.ours["compute.S"] > found.ours["compute.L"]
