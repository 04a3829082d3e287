"""The hazard suite: every planted mistake is reported at its place, and its corrected twin is clean."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import get_args

import pytest

from host.hazards.hazard import ENGINES, Group
from host.hazards.registry import all_hazards
from host.hazards.trial import try_out

HAZARDS = all_hazards()
TRIALS = [
    pytest.param(hazard, engine, id=f"{hazard.name} ({engine})", marks=[pytest.mark.quick] * (engine == "interpreted"))
    for engine in ENGINES
    for hazard in HAZARDS
    if engine in hazard.engines
]


@pytest.mark.parametrize(("hazard", "engine"), TRIALS)
def test_a_planted_mistake_is_reported_at_its_place_and_its_twin_is_clean(hazard, engine, hardware):
    outcome = try_out(hazard, engine, hardware)
    assert outcome.fitting, f"not reported; there was only {outcome.planted}"
    assert outcome.has_place, f"{hazard.at} is not among {[report.places for report in outcome.fitting]}"
    assert not outcome.mended


@pytest.mark.quick
def test_the_suite_covers_every_group_with_names_of_their_own():
    assert set(get_args(Group)) == {hazard.group for hazard in HAZARDS}
    assert max(Counter(hazard.name for hazard in HAZARDS).values()) == 1
    assert len(HAZARDS) >= 60


@pytest.mark.quick
def test_what_is_not_reported_shows(hardware):
    """The judge can say no: a twin for a mistake, and a mistake for a twin."""
    (hazard,) = (hazard for hazard in HAZARDS if hazard.name == "unknown symbol")
    turned = {"planted": "mended", "mended": "planted"}
    swapped = replace(hazard, run=lambda stage, variant: hazard.run(stage, turned[variant]))
    outcome = try_out(swapped, "interpreted", hardware)
    assert (outcome.is_reported, outcome.has_place, outcome.has_clean_twin) == (False, False, False)
    elsewhere = replace(hazard, at=hazard.at._replace(line=hazard.at.line + 1))
    outcome = try_out(elsewhere, "interpreted", hardware)
    assert (outcome.is_reported, outcome.has_place, outcome.has_clean_twin) == (True, False, True)
