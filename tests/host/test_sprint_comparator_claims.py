"""C4-15 passes, and would not if LeOPArd kept other tokens."""

from __future__ import annotations

import pytest

from host.claims import sprint_comparators
from host.claims.judging import Holds
from host.sprint.scores import exact_scores

pytestmark = pytest.mark.quick


def answer() -> Holds:
    found = sprint_comparators.sprint_comparator_checks()["C4-15"]()
    assert isinstance(found, Holds)
    return found


def test_the_check_passes() -> None:
    assert answer().passed
    assert answer().detail.startswith("0 of 2,")


def test_scores_that_are_off_by_one_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sprint_comparators, "exact_scores", lambda *operands: exact_scores(*operands) + 1)
    monkeypatch.setattr(
        sprint_comparators, "quantile_threshold", lambda scores, _: (scores.max(axis=(1, 2)) - 1.0)[:, None]
    )
    assert not answer().passed
