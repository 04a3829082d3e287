"""The vocabulary between host API and shards: frozen records that say what to do, and what came of it.

The host API makes commands, a backend carries them, a shard executes them, `timing` prices them and the timeline
records them. DPUs are numbered from 0 inside their allocation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .blocks import Blocks
from .counters import LaunchCounters
from .lines import LineProfile
from .program import DpuBinary
from .timing import TransferMode

if TYPE_CHECKING:
    from .engine.faults import Fault

__all__ = [
    "Capture",
    "Command",
    "Launch",
    "LaunchResult",
    "Load",
    "Memory",
    "Read",
    "Restore",
    "Rows",
    "Transfer",
    "Write",
]

Memory = Literal["mram", "wram"]

Rows = Sequence[NDArray[np.uint8] | None] | NDArray[np.uint8]
"""Host bytes per DPU: a uint8 array [nr_dpus, nbytes] (or [1, nbytes] for a broadcast), or one array per DPU, None to
leave a DPU out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Load:
    """Put a program into `dpus`: initial WRAM variables and `.mram` segments. Other MRAM stays as it is."""

    dpus: range
    binary: DpuBinary


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transfer:
    """Bytes between the host's rows and `address` of a memory of `dpus`."""

    dpus: range
    memory: Memory
    address: int
    nbytes: int
    rows: Rows
    mode: TransferMode

    @property
    def dpus_taking_part(self) -> Sequence[int]:
        """The DPUs that have a row."""
        if isinstance(self.rows, np.ndarray):
            return self.dpus
        return [dpu for dpu, row in zip(self.dpus, self.rows, strict=True) if row is not None]


class Write(Transfer):
    """From the host to the DPUs."""

    __slots__ = ()


class Read(Transfer):
    """From the DPUs to the host: fills the rows."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Launch:
    """Run the loaded program, which is the same on all of `dpus`, to its end."""

    dpus: range
    binary: DpuBinary


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capture:
    """Copy what is not zero in a memory of `dpus`."""

    dpus: range
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Restore:
    """Make a memory of `dpus` what was captured of as many DPUs."""

    dpus: range
    memory: Memory
    blocks: Blocks


Command = Load | Write | Read | Launch | Capture | Restore


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaunchResult:
    """What a launch left: counters in DPU order, their sums by line, and one fault per DPU that stopped early."""

    counters: LaunchCounters
    lines: LineProfile
    faults: tuple[Fault, ...]
