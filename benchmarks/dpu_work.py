"""What a multiplication costs a DPU in each kernel: the profiles of host/machines/profiles/dpu_work.

    python -m benchmarks.dpu_work [--kernel gemv softmax ...] [--write]

Runs the kernels of attention and of products with matrices on one DPU, with random operands, and divides the cycles
that the clock counts by the multiplications. Prints them; --write puts them into the profiles, of which
tests/host/test_dpu_work.py measures some again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np

from dpu_kernels.attention import DTypeName, Norm
from dpu_kernels.gemv import ROW_TYPES, row_bytes
from host.attention.attention_set import AttentionSet
from host.attention.workload import Method, synthetic_workload
from host.chip.emulated_banks import EmulatedBanks
from host.chip.traffic import Moved, Traffic
from pim_runtime import EngineOptions, Machine, load_profile
from pim_runtime.timing import LaunchWork, dpu_kernel_cycles

__all__ = ["cycles_per_mac", "cycles_per_product", "main", "profile_text"]

TOKENS, DIM, NR_TASKLETS = 4096, 128, 17  # of the published tables
ROWS, COLUMNS = 512, 4096  # of a matrix of LLaMA-7B on 8 DPUs
GEMV = "gemv"
MACHINE = "upmem-v1a"
FOLDER = Path(__file__).parent.parent / "host" / "machines" / "profiles" / "dpu_work"
BASES = {GEMV: "div-d"}  # of what a kernel does not say; of all others the published program


def main() -> int:
    """Measure the norms that were asked for, with every type."""
    parser = argparse.ArgumentParser(description="Cycles per multiplication of the kernels.")
    kernels = (GEMV, *get_args(Norm))
    parser.add_argument("--kernel", nargs="+", choices=kernels, default=kernels)
    parser.add_argument("--write", action="store_true", help="write the profiles")
    arguments = parser.parse_args()
    for kernel in arguments.kernel:
        if kernel == GEMV:
            cycles = {row_type: cycles_per_product(row_type) for row_type in ROW_TYPES}
            run = f"{ROWS} x {COLUMNS} matrix, int8 vector"
        else:
            cycles = {dtype: cycles_per_mac(kernel, dtype) for dtype in get_args(DTypeName)}
            run = f"{TOKENS} tokens x {DIM}, {NR_TASKLETS} tasklets"
        print(kernel, " ".join(f"{dtype} {value:.4f}" for dtype, value in cycles.items()), flush=True)
        if arguments.write:
            (FOLDER / f"{kernel.replace('_', '-')}.toml").write_text(profile_text(kernel, cycles, run))
    return 0


def cycles_per_mac(
    norm: Norm, dtype: DTypeName, *, tokens: int = TOKENS, options: EngineOptions | None = None
) -> float:
    """Cycles of the kernel over its 2 L d multiplications, one head on one DPU, random operands, all of it counted."""
    method = Method(dtype=dtype, norm=norm)
    one = synthetic_workload(method, batch=1, heads=1, tokens=tokens, dim=DIM, data="random", seed=0)
    machine = Machine(load_profile(MACHINE))
    with AttentionSet(one.spec, batch=1, nr_tasklets=NR_TASKLETS, machine=machine, options=options) as attention:
        attention.load_kv(one.k, one.v)
        attention.push_q(one.queries[0])
        launches = attention.launch()
    cycles = sum(dpu_kernel_cycles(launch.counters, machine.hardware)[0] for launch in launches)
    return float(cycles) / (2 * tokens * DIM)


def cycles_per_product(row_type: str, *, rows: int = ROWS, options: EngineOptions | None = None) -> float:
    """Cycles of the kernel over the multiplications of a matrix [rows, COLUMNS] with one vector, on one DPU."""
    generator, machine, nbytes = np.random.default_rng(0), Machine(load_profile(MACHINE)), row_bytes(COLUMNS, row_type)
    banks = EmulatedBanks(1, traffic=Traffic(), machine=machine, options=options)
    banks.resident(0, generator.integers(0, 256, (1, rows * nbytes), np.uint8))
    matrix = banks.enter(offset=0, rows=np.array([rows]), row_bytes=nbytes, stride=nbytes, per_byte=ROW_TYPES[row_type])
    vector = generator.integers(-128, 128, (1, 1, COLUMNS), np.int8)
    banks.dots("weights", matrix, vector, rows=rows, span=rows, moved=Moved())
    (work,) = (row.work for row in banks.dpus.timeline.rows if isinstance(row.work, LaunchWork))
    banks.free()
    return float(sum(dpu_kernel_cycles(counters, machine.hardware)[0] for counters in work.counters)) / (rows * COLUMNS)


def profile_text(kernel: str, cycles: Mapping[str, float], run: str) -> str:
    """The profile of a kernel of this project, in TOML; what it does not say is that of its base."""
    lines = [
        f"# What a multiplication costs a DPU in this project's kernel {kernel!r}.",
        "#",
        "# Written by python -m benchmarks.dpu_work: cycles of the whole kernel, per multiplication.",
        "",
        f'base = "{BASES.get(kernel, "pim-attention")}"',
    ]
    for dtype, value in cycles.items():
        lines += [
            "",
            f"[instructions.{dtype}]",
            f"value = {value:.4f}",
            'unit = "instructions"',
            'provenance = "derived"',
            f'source = "counted: {kernel} kernel of this project, {dtype}, {run}, random operands, {MACHINE}"',
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
