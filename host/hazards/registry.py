"""All hazards of the suite, from the modules that plant them."""

from __future__ import annotations

from . import host_programs, language, linking, rules, saved_states, sharing, waiting
from .hazard import Hazard

__all__ = ["all_hazards"]

MODULES = (rules, waiting, language, linking, host_programs, sharing, saved_states)


def all_hazards() -> tuple[Hazard, ...]:
    """Every planted mistake, group by group."""
    return tuple(hazard for module in MODULES for hazard in module.HAZARDS)
