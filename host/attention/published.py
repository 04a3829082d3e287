"""The published measurements of PIM attention: 75 cells, verbatim, and what follows from them by arithmetic (S0-16).

Owns the shipped table and its derived numbers. Nothing here is modelled or measured by this project.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

__all__ = [
    "UPMEM",
    "Baseline",
    "PublishedTable",
    "achieved_gb_per_s",
    "baseline_us",
    "cpu_threads",
    "crossover",
    "first_win",
    "gb_per_s",
    "kv_bytes",
    "pim_attention",
    "speedup",
    "upmem_us",
]

Baseline = Literal["best_cpu", "one_thread"]
UPMEM = "upmem"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedTable:
    """One decode step of attention over `tokens` tokens of `heads` heads of `dim` elements, by row and batch.

    cells: microseconds, [dtype][row][batch]; rows are "upmem" and the CPU's, such as "cpu_8_threads".
    errors: ids E0-n of what is wrong with the table or its text; the registry of claims explains them.
    """

    source: str
    heads: int
    tokens: int
    dim: int
    batches: tuple[int, ...]
    cells: Mapping[str, Mapping[str, Mapping[int, int]]]
    errors: tuple[str, ...]


@functools.cache
def pim_attention() -> PublishedTable:
    """The table in the package. `pim_attention().cells["int32"]["upmem"][32]` is 51326 us."""
    file = importlib.resources.files("host.attention").joinpath("data", "published_pim_attention.json")
    content = json.loads(file.read_text(encoding="utf-8"))
    batches = tuple(content["batch"])
    cells = {
        dtype: MappingProxyType(
            {name: MappingProxyType(dict(zip(batches, row, strict=True))) for name, row in rows.items()}
        )
        for dtype, rows in content["cells"].items()
    }
    return PublishedTable(
        source=content["source"],
        heads=content["heads"],
        tokens=content["tokens"],
        dim=content["dim"],
        batches=batches,
        cells=MappingProxyType(cells),
        errors=tuple(content["errors"]),
    )


def cpu_threads(dtype: str) -> dict[str, int]:
    """Threads of each CPU row, in the order of the table. Raises ValueError for a dtype without cells."""
    return {row: int(row.split("_")[1]) for row in _rows(dtype) if row != UPMEM}


def baseline_us(dtype: str, batch: int, baseline: Baseline = "best_cpu") -> int:
    """Time of the fastest CPU row, or of the row with one thread. Raises ValueError for a cell that there is not."""
    rows = {"best_cpu": tuple(cpu_threads(dtype)), "one_thread": ("cpu_1_thread",)}
    if baseline not in rows:
        raise ValueError(f'baseline {baseline!r}: choose "best_cpu" or "one_thread"')
    return min(_cell(dtype, row, batch) for row in rows[baseline])


def upmem_us(dtype: str, batch: int) -> int:
    """Time on the UPMEM machine. Raises ValueError for a cell that there is not."""
    return _cell(dtype, UPMEM, batch)


def speedup(dtype: str, batch: int, baseline: Baseline = "best_cpu") -> float:
    """CPU time / UPMEM time (C0-25, C0-26). Raises ValueError for a cell that there is not."""
    return baseline_us(dtype, batch, baseline) / upmem_us(dtype, batch)


def crossover(dtype: str) -> int | None:
    """The smallest published batch at which UPMEM is faster than the best CPU row (C0-31); None if there is none."""
    return first_win({batch: speedup(dtype, batch) for batch in pim_attention().batches})


def first_win(speedups: Mapping[int, float]) -> int | None:
    """The smallest batch with a speed-up above 1, of speed-ups by batch; None if there is none."""
    return min((batch for batch, gain in speedups.items() if gain > 1), default=None)


def kv_bytes(dtype: str, batch: int) -> int:
    """Bytes of K and V that a step at the published shape reads (C0-27). Raises ValueError for another dtype."""
    _rows(dtype)
    table = pim_attention()
    return 2 * batch * table.heads * table.tokens * table.dim * np.dtype(dtype).itemsize


def achieved_gb_per_s(dtype: str, batch: int, row: str) -> float:
    """K and V bytes / time of a cell, in 1e9 bytes per second. Raises ValueError for a cell that there is not."""
    return gb_per_s(kv_bytes(dtype, batch), _cell(dtype, row, batch))


def gb_per_s(nbytes: int, time_us: float) -> float:
    """1e9 bytes per second."""
    return nbytes / (time_us * 1e3)


def _rows(dtype: str) -> Mapping[str, Mapping[int, int]]:
    cells = pim_attention().cells
    if dtype not in cells:
        raise ValueError(f"no published measurement of {dtype!r}: there are {', '.join(cells)}")
    return cells[dtype]


def _cell(dtype: str, row: str, batch: int) -> int:
    rows = _rows(dtype)
    if row not in rows:
        raise ValueError(f"no published {dtype} row {row!r}: there are {', '.join(rows)}")
    if batch not in rows[row]:
        raise ValueError(f"no published measurement at batch {batch}: there are {', '.join(map(str, rows[row]))}")
    return rows[row][batch]
