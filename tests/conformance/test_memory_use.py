"""Memory stays where it is over many launches, and 2,560 DPUs cost only the pages that they touch."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kernels_for_tests.memory import reduction
from subprocesses import environment

MIB = 1 << 20


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_launches_leak_nothing(dpus, engine):
    nr_dpus, nr_launches = (16, 200) if engine.engine == "compiled" else (1, 20)
    dpu_set = dpus(nr_dpus, engine)
    dpu_set.load(reduction)
    shard = dpu_set._allocation.backend._shard
    watched = [shard._mram.array, shard._wram.array, shard._counters.array, shard._phases]

    def references():
        gc.collect()
        return [sys.getrefcount(array) for array in watched]

    for _ in range(20):  # fills pools and caches
        dpu_set.exec()
    references_before, resident_before = references(), resident_bytes()
    for _ in range(nr_launches):
        dpu_set.exec()
    assert references() == references_before
    assert resident_bytes() - resident_before < 8 * MIB


@pytest.fixture(scope="module")
def footprint():
    """(before, after a load and one write per DPU, peak) in bytes, of a process with 2,560 DPUs."""
    command = [sys.executable, str(Path(__file__).with_name("footprint.py"))]
    ran = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [1024 * int(number) for number in ran.stdout.split()]


def test_a_touched_dpu_costs_a_page(footprint):
    before, touched, _ = footprint
    assert touched - before < 150 * MIB


def test_2560_dpus_run_in_400_mib(footprint):
    assert footprint[2] < 400 * MIB
