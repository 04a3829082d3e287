"""Random kernels without races or undefined values: nothing is found, and runs on the side leave the same bytes."""

from __future__ import annotations

import importlib.util
from random import Random

import numpy as np
import pytest

from benchmarks.fuzz.engines import NR_DPUS, inputs_of
from benchmarks.fuzz.kernels import random_kernel
from pim_runtime import Check, DpuSet, EngineOptions, Machine
from pim_runtime.check.side_run import SideRun

pytestmark = pytest.mark.quick

OPTIONS = EngineOptions(engine="interpreted", timing="off")


def built(kernel, path, hardware):
    path.write_text(kernel.python)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.program.build(hardware)


@pytest.fixture
def left_behind(monkeypatch):
    """What every run on the side had in its memories at its end."""
    memories, close = [], SideRun.close

    def copy_and_close(run):
        memories.append({memory: run.bytes_of(memory)[: 1 << 16].copy() for memory in ("wram", "mram")})
        close(run)

    monkeypatch.setattr(SideRun, "close", copy_and_close)
    return memories


@pytest.mark.parametrize("seed", range(10))
def test_random_kernels_are_clean_and_run_alike(hardware, tmp_path, left_behind, seed):
    binary = built(random_kernel(Random(seed), nr_helpers=seed % 4), tmp_path / f"random_{seed}.py", hardware)
    inputs, check = inputs_of(binary, seed), Check(dpus=1, orders=2)
    with DpuSet(NR_DPUS, machine=Machine(hardware), options=OPTIONS, binary=binary, check=check) as dpus:
        for name, rows in inputs.items():
            dpus.copy(name, rows)
        dpus.exec()
        for name, rows in inputs.items():
            real, symbol = np.zeros_like(rows), binary.symbols[name]
            dpus.copy(real, name)
            for memories in left_behind:
                memory = memories["wram" if symbol.section == "host" else "mram"]
                np.testing.assert_array_equal(memory[symbol.address :][: symbol.nbytes], real[0], err_msg=name)
        assert list(dpus.findings) == []
    assert len(left_behind) == 3
