"""The default backend: one shard in this process, its DPUs spread over host threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, overload

from ..blocks import Blocks
from ..commands import Capture, Command, Launch, LaunchResult, Load, Read, Restore, Write
from ..engine.protocol import EngineOptions
from ..engine.shard import Shard
from ..hardware import Hardware

__all__ = ["ThreadBackend"]

PARTS_PER_THREAD = 4  # ranges are uneven in work; four per thread balance them
PARALLEL_COPY_BYTES = 1 << 20  # below this, handing a copy to threads costs more than it saves

Outcome = TypeVar("Outcome")


class ThreadBackend:
    """Runs every command on one shard. `submit` returns when the command is done."""

    def __init__(self, hardware: Hardware, nr_dpus: int, options: EngineOptions) -> None:
        self._shard = Shard(hardware, nr_dpus, options)
        self._threads = 1 if options.engine == "interpreted" else options.threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="dpu") if self._threads > 1 else None

    @overload
    def submit(self, command: Launch) -> LaunchResult: ...
    @overload
    def submit(self, command: Capture) -> Blocks: ...
    @overload
    def submit(self, command: Load | Write | Read | Restore) -> None: ...

    def submit(self, command: Command) -> LaunchResult | Blocks | None:
        """Execute a command; a launch and a capture have a result, a read fills the command's rows."""
        shard = self._shard
        if isinstance(command, Load):
            shard.load(command)
        elif isinstance(command, Launch):
            return self._launch(command)
        elif isinstance(command, Capture):
            return shard.capture(command)
        elif isinstance(command, Restore):
            shard.restore(command)
        else:
            copy = shard.write if isinstance(command, Write) else shard.read
            total = command.nbytes * len(command.dpus)
            parts = self._threads if total >= PARALLEL_COPY_BYTES else 1
            self._each_part(command.dpus, parts, lambda dpus: copy(command, dpus))  # type: ignore[arg-type]
        return None

    def close(self) -> None:
        """Stop the threads and give all memory back."""
        if self._pool is not None:
            self._pool.shutdown()
        self._shard.close()

    def _launch(self, command: Launch) -> LaunchResult:
        shard, binary = self._shard, command.binary
        shard.begin(binary, command.dpus)
        parts = self._each_part(command.dpus, PARTS_PER_THREAD * self._threads, lambda dpus: shard.run(binary, dpus))
        return LaunchResult(
            counters=shard.counters(command.dpus, binary.nr_tasklets),
            lines=shard.lines(binary, [totals for _, totals in parts]),
            faults=tuple(fault for faults, _ in parts for fault in faults),
        )

    def _each_part(self, dpus: range, parts: int, work: Callable[[range], Outcome]) -> list[Outcome]:
        """Do `work` on consecutive ranges that together are `dpus`, in order of the DPUs."""
        if self._pool is None or parts == 1 or len(dpus) == 1:
            return [work(dpus)]
        size = -(-len(dpus) // parts)
        return list(self._pool.map(work, [dpus[first : first + size] for first in range(0, len(dpus), size)]))
