"""What a multiplication costs a DPU in each kernel of attention: the profiles of host/machines/profiles/dpu_work.

    python -m benchmarks.dpu_work [--norm softmax ...] [--write]

Runs the kernels on one DPU, as `published_shape` says, and divides the cycles that the clock counts by the
multiplications. Prints them; --write puts them into the profiles. tests/host/test_dpu_work.py measures some again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from dpu_kernels.attention import DTypeName, Norm
from host.attention.attention_set import AttentionSet
from host.attention.workload import Method, synthetic_workload
from pim_runtime import EngineOptions, Machine, load_profile
from pim_runtime.timing import dpu_kernel_cycles

__all__ = ["cycles_per_mac", "main", "profile_text"]

TOKENS, DIM, NR_TASKLETS = 4096, 128, 17  # of the published tables
MACHINE = "upmem-v1a"
FOLDER = Path(__file__).parent.parent / "host" / "machines" / "profiles" / "dpu_work"
BASE = "pim-attention"


def main() -> int:
    """Measure the norms that were asked for, with every type."""
    parser = argparse.ArgumentParser(description="Cycles per multiplication of the kernels of attention.")
    parser.add_argument("--norm", nargs="+", choices=get_args(Norm), default=get_args(Norm))
    parser.add_argument("--write", action="store_true", help="write the profiles")
    arguments = parser.parse_args()
    for norm in arguments.norm:
        cycles = {dtype: cycles_per_mac(norm, dtype) for dtype in get_args(DTypeName)}
        print(norm, " ".join(f"{dtype} {value:.4f}" for dtype, value in cycles.items()), flush=True)
        if arguments.write:
            (FOLDER / f"{norm.replace('_', '-')}.toml").write_text(profile_text(norm, cycles))
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


def profile_text(norm: Norm, cycles: Mapping[DTypeName, float]) -> str:
    """The profile of a kernel of this project, in TOML; what it does not say is that of the published program."""
    lines = [
        f"# What a multiplication costs a DPU in this project's kernel with norm {norm!r}.",
        "#",
        "# Written by python -m benchmarks.dpu_work: cycles, softmax or z-scores included, per multiplication.",
        "",
        f'base = "{BASE}"',
    ]
    run = f"{TOKENS} tokens x {DIM}, {NR_TASKLETS} tasklets, random operands, {MACHINE}"
    for dtype, value in cycles.items():
        lines += [
            "",
            f"[instructions.{dtype}]",
            f"value = {value:.4f}",
            'unit = "instructions"',
            'provenance = "derived"',
            f'source = "counted: {norm} kernel of this project, {dtype}, {run}"',
        ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
