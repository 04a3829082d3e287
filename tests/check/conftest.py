"""What the tests of the checker share: one way to run a program under it, interpreted, and the findings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from pim_runtime import Check, CheckWarning, DpuSet, EngineOptions, Machine

INTERPRETED = EngineOptions(engine="interpreted", timing="off")


@pytest.fixture
def checked(hardware):
    """`checked(program, inputs, ...)` runs it and gives the list of findings; inputs: values of symbols, by name."""

    def run(program, inputs=(), *, reads=(), launches=1, nr_dpus=1, nr_tasklets=None, check=None):
        options = check or Check(dpus=1, orders=3)
        with (
            warnings.catch_warnings(),
            DpuSet(nr_dpus, machine=Machine(hardware), options=INTERPRETED, check=options) as dpus,
        ):
            warnings.simplefilter("ignore", CheckWarning)
            binary = dpus.load(program, nr_tasklets=nr_tasklets)
            for name, values in dict(inputs).items():
                row = np.atleast_1d(np.array(values, binary.symbols[name].kind.dtype))
                dpus.copy(name, np.tile(row, (nr_dpus, 1)))
            for _ in range(launches):
                dpus.exec()
            for name in reads:
                dpus.copy(np.zeros((nr_dpus, binary.symbols[name].nbytes), np.uint8), name)
            return list(dpus.findings)

    return run


@pytest.fixture
def kinds(checked):
    """Kinds and symbols of the findings of a run."""
    return lambda *args, **options: [(finding.kind, finding.symbol) for finding in checked(*args, **options)]
