"""Fixtures that all tests share: both engines, DPUs of a machine that belongs to one test, and a full disk.

Compiled kernels go to the cache folder of the run (PIM_CACHE_DIR or the user's own), so that a second run is warm.
"""

from __future__ import annotations

import contextlib
import resource
import signal

import pytest
from hypothesis import HealthCheck, settings

from pim_runtime import DpuSet, EngineOptions, Machine, load_profile

# Whether a test passes must not depend on how busy the computer is. Half of the usual examples keep the suite short;
# other ones are drawn in every run.
settings.register_profile("unhurried", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c():
    """Ctrl-C interrupts, here and in child processes, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def hardware():
    """The hardware that the default machine has."""
    return load_profile("upmem-v1a")


@pytest.fixture(scope="session", params=["interpreted", "compiled"])
def engine(request):
    """Options of each engine in turn."""
    return EngineOptions(engine=request.param)


@pytest.fixture
def dpus(hardware):
    """`dpus(n, options)` allocates n DPUs from the test's own machine; they are freed after the test."""
    machine, allocated = Machine(hardware), []

    def allocate(nr_dpus, options=None):
        allocated.append(DpuSet(nr_dpus, machine=machine, options=options))
        return allocated[-1]

    yield allocate
    for dpu_set in allocated:
        dpu_set.free()


@pytest.fixture
def largest_file():
    """`with largest_file(n)`: writing more than n bytes to a file fails, as on a full disk or over a quota."""

    @contextlib.contextmanager
    def limited(nr_bytes):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (nr_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
