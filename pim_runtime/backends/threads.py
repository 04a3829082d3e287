"""The default backend: one shard in this process, its DPUs spread over host threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import overload

from ..blocks import Blocks
from ..commands import Capture, Command, Launch, LaunchResult, Load, Read, Restore, Transfer, Write
from ..engine.protocol import EngineOptions
from ..engine.shard import Shard
from ..hardware import Hardware
from .workers import Workers

__all__ = ["ThreadBackend"]

PARTS_PER_THREAD = 4  # ranges are uneven in work; four per thread balance them
PARALLEL_COPY_BYTES = 1 << 20  # below this, handing a copy to threads costs more than it saves


class ThreadBackend:
    """Runs every command on one shard. `submit` returns when the command is done."""

    def __init__(self, hardware: Hardware, nr_dpus: int, options: EngineOptions) -> None:
        self._shard = Shard(hardware, nr_dpus, options)
        nr_threads = options.threads or len(os.sched_getaffinity(0))
        self._workers = Workers(nr_threads) if options.engine == "compiled" else None

    @overload
    def submit(self, command: Launch) -> LaunchResult: ...
    @overload
    def submit(self, command: Capture) -> Blocks: ...
    @overload
    def submit(self, command: Load | Write | Read | Restore) -> None: ...

    def submit(self, command: Command) -> LaunchResult | Blocks | None:
        """Execute a command; a launch and a capture have a result, a read fills the command's rows."""
        if self._workers is not None:
            self._workers.settle()
        shard = self._shard
        if isinstance(command, Load):
            self._load(command)
        elif isinstance(command, Launch):
            return self._launch(command)
        elif isinstance(command, Capture):
            return shard.capture(command)
        elif isinstance(command, Restore):
            shard.restore(command)
        else:
            copy = shard.write if isinstance(command, Write) else shard.read
            self._copy(command, lambda dpus: copy(command, dpus))  # type: ignore[arg-type]
        return None

    def close(self) -> None:
        """Stop the threads and give all memory back."""
        if self._workers is not None:
            self._workers.close()
        self._shard.close()

    def _load(self, command: Load) -> None:
        if self._workers is None:
            self._shard.load(command)
        else:  # Ctrl-C must not break off an import or a compilation: later ones would fail in strange ways
            self._workers.each(lambda _: self._shard.load(command), [command.dpus], interrupt=lambda: None)

    def _launch(self, command: Launch) -> LaunchResult:
        shard, binary = self._shard, command.binary
        shard.begin(binary, command.dpus)
        if self._workers is None:
            parts = [shard.run(binary, command.dpus)]
        else:  # also for one DPU: machine code in the caller's thread would not let Ctrl-C in
            ranges = _split(command.dpus, PARTS_PER_THREAD * self._workers.nr_threads)
            parts = self._workers.each(lambda dpus: shard.run(binary, dpus), ranges, shard.interrupt)
        return LaunchResult(
            counters=shard.counters(command.dpus, binary.nr_tasklets),
            lines=shard.lines(binary, [totals for _, totals in parts]),
            faults=tuple(fault for faults, _ in parts for fault in faults),
        )

    def _copy(self, command: Transfer, copy: Callable[[range], None]) -> None:
        if self._workers is None or command.nbytes * len(command.dpus) < PARALLEL_COPY_BYTES:
            copy(command.dpus)
        else:
            self._workers.each(copy, _split(command.dpus, self._workers.nr_threads), interrupt=lambda: None)


def _split(dpus: range, parts: int) -> list[range]:
    """At most `parts` consecutive ranges that together are `dpus`."""
    size = -(-len(dpus) // parts)
    return [dpus[first : first + size] for first in range(0, len(dpus), size)]
