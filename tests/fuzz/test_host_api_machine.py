"""The host API in any order, with good and bad arguments, does what its model does.

More of it: benchmarks/host_api_fuzz.py.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.fuzz.host_machine import HostApi
from benchmarks.host_api_fuzz import CountedHostApi
from pim_runtime.engine.shard import Shard

STEPS_PER_SEQUENCE = 100


def run(machine, steps, phases=tuple(Phase)):
    chosen = settings(
        max_examples=-(-steps // STEPS_PER_SEQUENCE),
        stateful_step_count=STEPS_PER_SEQUENCE,
        phases=phases,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.quick
def test_a_thousand_steps():
    run(HostApi, 1_000)


def test_ten_thousand_steps_on_both_engines():
    CountedHostApi.steps = 0
    run(CountedHostApi, 13_000)  # hypothesis ends some sequences early
    assert CountedHostApi.steps >= 10_000


@pytest.mark.quick
def test_the_machine_notices_a_byte_that_is_lost(monkeypatch):
    write = Shard.write

    def without_the_last_byte(self, command, dpus):
        cells = self.memory(command.memory)[dpus.start : dpus.stop, command.address + command.nbytes - 1]
        before = cells.copy()
        write(self, command, dpus)
        cells[-1:] = before[-1:]

    monkeypatch.setattr(Shard, "write", without_the_last_byte)
    with pytest.raises(AssertionError):
        run(HostApi, 3_000, phases=[Phase.generate])
