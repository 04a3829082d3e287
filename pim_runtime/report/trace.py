"""A timeline as a trace in the Trace Event Format, which ui.perfetto.dev and chrome://tracing show.

Owns the tracks: the host with every command; each rank with its transfers and launches; of a launch the DPUs that are
asked for, phase by phase, and their tasklets. Times are modelled. The format counts microseconds; slices begin and end
on whole nanoseconds, so that what lies inside another slice stays inside, and say their exact picoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..counters import Counter, LaunchCounters
from ..hardware import Hardware
from ..output_file import replaced
from ..timeline import REASONS, Row
from ..timing import LaunchWork, dpu_kernel_cycles
from ..timing.kernel import duration_ps
from ..timing.phases import PhaseTicks, phase_ticks
from ..timing.variable import completed_patterns
from ..topology import Place

__all__ = ["Expand", "chrome_trace", "write_trace"]

Expand: TypeAlias = Literal["ranks", "slowest", "dpus", "tasklets"] | Collection[int]
"""Which DPUs of a launch have tracks of their own. ranks: none. slowest: that of every rank, and the tasklets of the
slowest of all. dpus: all, without tasklets. tasklets: all, with tasklets. Or the numbers of DPUs, with tasklets."""

Event: TypeAlias = dict[str, object]

HOST, RANKS, DPUS, TASKLETS = 1, 2, 3, 4  # processes of the trace; the tasklets of DPU n are process TASKLETS + n
COMMANDS, TIMELESS = 1, 2  # threads of the host
PS_PER_NS = 1_000
NS_PER_US = 1_000


def chrome_trace(rows: Sequence[Row], hardware: Hardware, *, expand: Expand = "slowest") -> dict[str, object]:
    """The trace of some rows of a timeline on the machine that priced them, ready for `json.dumps`.

    Raises ValueError for another word in `expand` and for a number that no launch has a DPU of.
    """
    chosen = _checked(expand, rows)
    tracks = _Tracks(hardware)
    for row in rows:
        tracks.add_command(row)
        if isinstance(row.work, LaunchWork):
            _add_launch(tracks, row, row.work, chosen)
    return {
        "displayTimeUnit": "ns",
        "otherData": {"times": "modelled", "profile": hardware.name},
        "traceEvents": [*tracks.names, *tracks.slices],
    }


def write_trace(path: Path, rows: Sequence[Row], hardware: Hardware, *, expand: Expand = "slowest") -> None:
    """Write `chrome_trace` to a file. Raises what it raises, and OutputError if the file cannot be written."""
    content = chrome_trace(rows, hardware, expand=expand)
    text = json.dumps(content, separators=(",", ":")) + "\n"
    with replaced(path) as file:
        file.write(text.encode())


class _Tracks:
    """Events of a trace so far: the names of its tracks, given at first use, and the slices on them."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.names: list[Event] = []
        self.slices: list[Event] = []
        self._known: set[tuple[int, int]] = set()

    def add_command(self, row: Row) -> None:
        """A slice on the host's tracks, and on those of its ranks if it takes time.

        Commands without time have a track of their own: a viewer would put them inside the next command.
        """
        spent = {f"{reason}_ps": row.cost_ps(reason) for reason in REASONS if row.cost_ps(reason)}
        arguments = {"mode": row.mode, "DPUs": row.nr_dpus, "bytes": row.nbytes, **spent}
        name, end_ps = f"{row.operation} {row.what}", row.start_ps + row.duration_ps
        self.add(HOST, COMMANDS if row.duration_ps else TIMELESS, name, row.start_ps, end_ps, arguments)
        if row.duration_ps:
            for rank, dpus in self.ranks_of(row):
                self.add(RANKS, rank + 1, name, row.start_ps, end_ps, {"mode": row.mode, "DPUs": len(dpus)})

    def ranks_of(self, row: Row) -> Iterator[tuple[int, range]]:
        """(rank, DPUs of the row in it), the DPUs numbered in their allocation and taken to be neighbours."""
        per_rank, end = self.hardware.geometry.dpus_per_rank, row.first_dpu + row.nr_dpus
        for rank in range(row.first_dpu // per_rank, (end - 1) // per_rank + 1):
            yield rank, range(max(row.first_dpu, rank * per_rank), min(end, (rank + 1) * per_rank))

    def place(self, dpu: int) -> Place:
        geometry = self.hardware.geometry
        return Place.of(dpu, dpus_per_rank=geometry.dpus_per_rank, dpus_per_chip=geometry.dpus_per_chip)

    def add(self, process: int, thread: int, name: str, start_ps: int, end_ps: int, arguments: Event) -> None:
        """A slice; one that lies inside another of its track comes after it."""
        self._name(process, thread)
        start_ns, end_ns = start_ps // PS_PER_NS, end_ps // PS_PER_NS
        self.slices.append(
            {
                "ph": "X",
                "pid": process,
                "tid": thread,
                "ts": start_ns / NS_PER_US,
                "dur": (end_ns - start_ns) / NS_PER_US,
                "name": name,
                "args": {"start_ps": start_ps, "duration_ps": end_ps - start_ps, **arguments},
            }
        )

    def _name(self, process: int, thread: int) -> None:
        for number, kind, name in (
            (0, "process", self._process_name(process)),
            (thread, "thread", self._thread_name(process, thread)),
        ):
            if (process, number) not in self._known:
                self._known.add((process, number))
                position = number or process
                of = {"ph": "M", "pid": process, "tid": number}
                self.names.append({**of, "name": f"{kind}_name", "args": {"name": name}})
                self.names.append({**of, "name": f"{kind}_sort_index", "args": {"sort_index": position}})

    def _process_name(self, process: int) -> str:
        if process >= TASKLETS:
            return f"tasklets of DPU {self.place(process - TASKLETS)}"
        return {HOST: "host", RANKS: "ranks", DPUS: "DPUs (rank.chip.DPU)"}[process]

    def _thread_name(self, process: int, thread: int) -> str:
        if process >= TASKLETS:
            return f"tasklet {thread - 1}"
        if process == HOST:
            return {COMMANDS: "commands", TIMELESS: "commands without modelled time"}[thread]
        return f"rank {thread - 1}" if process == RANKS else f"DPU {self.place(thread - 1)}"


def _add_launch(tracks: _Tracks, row: Row, work: LaunchWork, expand: Expand) -> None:
    """Tracks of the DPUs of a launch that are asked for, and of their tasklets."""
    cycles = np.concatenate([dpu_kernel_cycles(counters, tracks.hardware) for counters in work.counters])
    dpus, with_tasklets = _asked_for(tracks, row, cycles, expand)
    start_ps = row.start_ps + row.cost_ps("launch")
    first = row.first_dpu
    for counters in work.counters:
        mine = [dpu for dpu in dpus if first <= dpu < first + counters.nr_dpus]
        if mine:
            kernel = _Kernel(counters, tracks.hardware)
            for dpu in mine:
                pattern = int(counters.pattern_of[dpu - first])
                kernel.add(tracks, dpu, pattern, row.what, start_ps)
                if dpu in with_tasklets:
                    kernel.add_tasklets(tracks, dpu, pattern, start_ps)
        first += counters.nr_dpus


class _Kernel:
    """One program of a launch, phase by phase, for any of its DPUs."""

    def __init__(self, counters: LaunchCounters, hardware: Hardware) -> None:
        self.hardware = hardware
        self.ticks: PhaseTicks = phase_ticks(counters, hardware)
        self.counts = completed_patterns(counters, hardware)

    def phases(self, pattern: int) -> Iterator[tuple[int, int, int, int]]:
        """(phase, tick of its start, of its barrier, of its end) of every phase that takes time."""
        end = 0
        for phase in range(self.counts.shape[1]):
            start = end
            barrier = start + int(self.ticks.compute[pattern, phase] + self.ticks.dma[pattern, phase])
            end = barrier + int(self.ticks.barrier[pattern, phase])
            if end > start:
                yield phase, start, barrier, end

    def add(self, tracks: _Tracks, dpu: int, pattern: int, name: str, start_ps: int) -> None:
        """The kernel, in it its phases, in each the barrier that ends it."""
        phases = [(phase, *map(self._ps, ticks)) for phase, *ticks in self.phases(pattern)]
        if not phases:
            return
        everything = self.counts[pattern].sum(axis=(0, 1))
        tracks.add(DPUS, dpu + 1, name, start_ps, start_ps + phases[-1][3], _named(everything))
        for phase, start, barrier, end in phases:
            limit = "DMA" if self.ticks.dma[pattern, phase] else "compute"
            counted = _named(self.counts[pattern, phase].sum(axis=0))
            arguments = {"limit": limit, **counted}
            tracks.add(DPUS, dpu + 1, f"phase {phase}", start_ps + start, start_ps + end, arguments)
            if end > barrier:
                tracks.add(DPUS, dpu + 1, "barrier", start_ps + barrier, start_ps + end, {})

    def add_tasklets(self, tracks: _Tracks, dpu: int, pattern: int, start_ps: int) -> None:
        """How long each tasklet would be busy in each phase if it were alone on its DPU."""
        for phase, start, _, _ in self.phases(pattern):
            for tasklet, busy in enumerate(self.ticks.alone[pattern, phase].tolist()):
                if busy:
                    begin, end = start_ps + self._ps(start), start_ps + self._ps(start + busy)
                    counted = _named(self.counts[pattern, phase, tasklet])
                    tracks.add(TASKLETS + dpu, tasklet + 1, f"phase {phase}, alone", begin, end, counted)

    def _ps(self, ticks: int) -> int:
        return duration_ps(ticks, self.hardware)


def _asked_for(
    tracks: _Tracks, row: Row, cycles: NDArray[np.int64], expand: Expand
) -> tuple[list[int], Collection[int]]:
    """The DPUs of a launch that have tracks, and those whose tasklets have. cycles: of all its DPUs, [nr_dpus]."""
    everyone = range(row.first_dpu, row.first_dpu + row.nr_dpus)
    if expand == "ranks":
        return [], ()
    if expand == "dpus":
        return list(everyone), ()
    if expand == "tasklets":
        return list(everyone), everyone
    if expand == "slowest":
        of_ranks = [max(dpus, key=lambda dpu: cycles[dpu - row.first_dpu]) for _, dpus in tracks.ranks_of(row)]
        return of_ranks, {max(of_ranks, key=lambda dpu: cycles[dpu - row.first_dpu])}
    return [dpu for dpu in everyone if dpu in expand], everyone


def _checked(expand: Expand, rows: Sequence[Row]) -> Expand:
    if isinstance(expand, str):
        if expand not in ("ranks", "slowest", "dpus", "tasklets"):
            raise ValueError(f"expand {expand!r}: use 'ranks', 'slowest', 'dpus', 'tasklets' or the numbers of DPUs")
        return expand
    launches = [row for row in rows if isinstance(row.work, LaunchWork)]
    for dpu in expand:
        if not any(row.first_dpu <= dpu < row.first_dpu + row.nr_dpus for row in launches):
            last = max((row.first_dpu + row.nr_dpus - 1 for row in launches), default=-1)
            raise ValueError(f"expand DPU {dpu}: no launch here ran on it. Their last is {last}; name one of theirs.")
    return frozenset(expand)


def _named(counts: NDArray[np.int64]) -> Event:
    """The counters that are not zero, by name."""
    return {counter.name.lower(): int(counts[counter]) for counter in Counter if counts[counter]}
