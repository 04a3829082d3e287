"""What the tests of saved states share."""

from __future__ import annotations

import pytest
from walker import new_set

from pim_runtime import EngineOptions
from pim_runtime.errors import InvalidDpuSetError


@pytest.fixture
def walkers():
    """`walkers()` allocates DPUs with the walker loaded; they are freed after the test."""
    allocated = []

    def allocate():
        allocated.append(new_set())
        return allocated[-1]

    yield allocate
    for dpus in allocated:
        try:
            dpus.free()
        except InvalidDpuSetError:
            continue


@pytest.fixture(scope="session")
def engine_options():
    """The interpreted engine: saved states do not depend on the engine."""
    return EngineOptions(engine="interpreted")
