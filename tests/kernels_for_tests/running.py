"""Runs one program with one engine and keeps everything that another engine must reproduce."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pim_runtime import DpuProgram, DpuSet, EngineOptions, Machine
from pim_runtime.hardware import Hardware
from pim_runtime.timeline import Row

__all__ = ["Outcome", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a program left behind.

    symbols: bytes of every variable that a host can reach, [nr_dpus, nbytes].  logs: of every launch and DPU.
    counters: of every launch, rows and barriers as lists.                      timeline: every command.
    """

    symbols: Mapping[str, NDArray[np.uint8]]
    logs: list[str]
    counters: list[tuple[list, list]]
    timeline: list[Row]

    def of(self, symbol: str, dtype: object = np.int64) -> NDArray[np.integer]:
        """The elements of a symbol, [nr_dpus, n]."""
        return self.symbols[symbol].view(dtype)


def run(
    program: DpuProgram,
    options: EngineOptions,
    hardware: Hardware,
    *,
    nr_dpus: int = 6,
    nr_tasklets: int | None = None,
    inputs: Mapping[str, NDArray] | None = None,
    launches: int = 1,
) -> Outcome:
    """Load, write `inputs` (one row per DPU), launch, and read everything back."""
    logs, counters = [], []
    with DpuSet(nr_dpus, machine=Machine(hardware), options=options) as dpus:
        binary = dpus.load(program, nr_tasklets=nr_tasklets)
        for name, rows in (inputs or {}).items():
            dpus.copy(name, rows)
        for _ in range(launches):
            results = dpus.exec()
            counters += [(result.counters.rows.tolist(), result.counters.barriers.tolist()) for result in results]
            if binary.log_bytes:
                stream = io.StringIO()
                dpus.log(stream)
                logs.append(stream.getvalue())
        symbols = {}
        for name, symbol in binary.symbols.items():
            if symbol.section not in ("heap", "log"):
                symbols[name] = np.zeros((nr_dpus, symbol.nbytes), np.uint8)
                dpus.copy(symbols[name], name)
        return Outcome(symbols=symbols, logs=logs, counters=counters, timeline=list(dpus.timeline.rows))
