"""What the hazard tests share: both engines, a machine of their own, and a set that breaks rules on demand."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from dpu_kernels.hazards.broken_rules import Rule, breaking_rules, misbehave, ratio, table
from pim_runtime import DpuSet, EngineOptions, Machine


@pytest.fixture(params=["interpreted", "compiled"], scope="session")
def engine_options(request):
    return EngineOptions(engine=request.param)


@pytest.fixture(scope="session")
def interpreted():
    return EngineOptions(engine="interpreted")


@pytest.fixture(scope="session")
def machine(hardware):
    return Machine(hardware)


@pytest.fixture(scope="session")
def misbehaving(machine, engine_options):
    """66 DPUs in two ranks that run the kernel."""
    with DpuSet(66, machine=machine, options=engine_options, binary=breaking_rules) as dpus:
        yield dpus


@pytest.fixture(scope="session")
def run(misbehaving):
    """`run({dpu: (operation, a, b, c, d)})` launches all DPUs, the others at rest, and gives the answers."""

    def launch(requests, *, culprit=2):
        dpus = misbehaving
        rows = np.zeros((len(dpus), 5), np.int64)
        rows[:, 0] = Rule.NONE
        for dpu, (operation, *values) in requests.items():
            rows[dpu, : 1 + len(values)] = Rule[operation], *values
        dpus.copy("request", rows)
        dpus.culprit = np.array([culprit]).view(np.uint8)
        dpus.answer = np.zeros(8, np.uint8)
        dpus.exec()
        return dpus.answer.int64()

    return launch


@pytest.fixture(scope="session")
def source():
    """Where the kernel's source is: its file, and the line of a piece of text in the kernel or in its helper."""

    def line_of(text):
        for function in (misbehave, ratio.function):
            lines, first = inspect.getsourcelines(function)
            found = [first + index for index, line in enumerate(lines) if text in line]
            if found:
                (line,) = found
                return line
        raise AssertionError(f"{text!r} is not in the kernel")

    return SimpleNamespace(line_of=line_of, filename=inspect.getsourcefile(misbehave), table_address=table.address)
