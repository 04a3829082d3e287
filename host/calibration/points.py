"""The published numbers that the clock is compared with, typed; nothing in this module is modelled.

Owns the shipped file (data/README.md says what is in it) and the meaning of its columns.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

__all__ = ["Group", "Kind", "Point", "calibration_points", "group_of"]

Kind = Literal["measured", "literature", "fit"]
Unit = Literal["ms", "GB/s"]
Group = Literal["vec", "red", "scan", "transfers", "attention"]

_GROUPS: Mapping[str, Group] = MappingProxyType(
    {
        "vec": "vec",
        "red": "red",
        "scan": "scan",
        "push_write": "transfers",
        "push_read": "transfers",
        "broadcast": "transfers",
        "pim_attention": "attention",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One published number.

    kernel: what ran. nr_tasklets: None for a transfer. config: the sizes, by name.
    value: in `unit`; GB/s are 1e9 bytes per second of all DPUs together. kind: how it came about.
    """

    source: str
    kernel: str
    dtype: str
    nr_dpus: int
    nr_tasklets: int | None
    config: Mapping[str, str]
    metric: str
    value: float
    unit: Unit
    kind: Kind

    def size(self, name: str) -> int:
        """A whole number of the configuration. Raises KeyError for a name that it has not."""
        return int(self.config[name])

    @property
    def name(self) -> str:
        """Short and unique: what ran where, and its sizes."""
        kernel = self.kernel if self.dtype == "-" else f"{self.kernel} {self.dtype}"
        number, what = (self.nr_dpus, "DPU") if self.nr_tasklets is None else (self.nr_tasklets, "tasklet")
        place = f"{number} {what}{'' if number == 1 else 's'}"
        if self.kernel in ("vec", "red", "scan"):
            return f"{kernel}, {place}, {self.config['blocks_per_tasklet']} x {self.config['block_elems']}"
        if self.kernel == "pim_attention":
            return f"{kernel}, batch {self.config['batch']}"
        return f"{kernel}, {place}, {self.config['block_bytes']} B ({self.kind})"


def group_of(point: Point) -> Group:
    """Which part of the comparison a point belongs to."""
    return _GROUPS[point.kernel]


@functools.cache
def calibration_points() -> tuple[Point, ...]:
    """All 395 points in the order of the file. Raises ValueError for a row that cannot be read."""
    file = importlib.resources.files("host.calibration").joinpath("data", "upmem_hw_calibration.csv")
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(_point(row, number) for number, row in enumerate(csv.DictReader(lines), start=2))


def _point(row: Mapping[str, str], line: int) -> Point:
    kind, unit = row["kind"], row["unit"]
    if kind not in get_args(Kind) or unit not in get_args(Unit) or row["kernel"] not in _GROUPS:
        raise ValueError(
            f"calibration data, line {line}: kernel {row['kernel']!r}, unit {unit!r}, kind {kind!r}; known are "
            f"{', '.join(_GROUPS)}; {', '.join(get_args(Unit))}; {', '.join(get_args(Kind))}. Correct the line."
        )
    return Point(
        source=row["source"],
        kernel=row["kernel"],
        dtype=row["dtype"],
        nr_dpus=int(row["dpus"]),
        nr_tasklets=int(row["tasklets"]) if row["tasklets"] else None,
        config=MappingProxyType(dict(pair.split("=", 1) for pair in row["config"].split(";"))),
        metric=row["metric"],
        value=float(row["value"]),
        unit=unit,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
    )
