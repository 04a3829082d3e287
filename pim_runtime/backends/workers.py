"""Host threads that share the parts of a command, and stop together: on Ctrl-C, and when one of them fails.

Ctrl-C raises KeyboardInterrupt in the main thread at any point of its code. So the threads that work never wait for
that of the caller, and it takes no lock of theirs: it reads two numbers, and sleeps on a lock that nobody else needs.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from ..forks import renew_after_fork

__all__ = ["Workers"]

LOG = logging.getLogger(__name__)
PATIENCE_S = 1.0  # of users who have pressed Ctrl-C
LOOK_AGAIN_S = 0.1  # in case that a wake-up call was lost to an interrupt

Outcome = TypeVar("Outcome")


class Workers:
    """`nr_threads` threads, started when they are needed first. One command at a time: callers take turns."""

    def __init__(self, nr_threads: int) -> None:
        self.nr_threads = nr_threads
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Threads do not come along into the child of a fork."""
        self._job: _Job[Any] | None = None
        self._threads = ThreadPoolExecutor(self.nr_threads, thread_name_prefix="dpu")

    def each(
        self, work: Callable[[range], Outcome], parts: Iterable[range], interrupt: Callable[[], None]
    ) -> list[Outcome]:
        """Do `work` on every part; results are in the order of the parts.

        `interrupt` makes work that has begun come to its end soon. When a part raises, or Ctrl-C is pressed, no other
        part begins, and that is raised as soon as all threads have stopped.
        """
        job = _Job(work, list(parts), interrupt)
        self._job = job
        try:
            for _ in range(min(self.nr_threads, job.nr_parts)):
                self._threads.submit(job.run)
            job.wait()
        except BaseException:
            self.settle()
            raise
        self._job = None
        return job.results()

    def settle(self) -> None:
        """Wait for threads that still work although their caller is gone: a second Ctrl-C came at the wrong moment."""
        if self._job is not None:
            self._job.settle()
            self._job = None

    def close(self) -> None:
        """End the threads."""
        self.settle()
        self._threads.shutdown()


class _Job(Generic[Outcome]):
    """The parts of one command: every worker takes one after the other until none is left."""

    def __init__(self, work: Callable[[range], Outcome], parts: list[range], interrupt: Callable[[], None]) -> None:
        self.nr_parts = len(parts)
        self._work, self._interrupt = work, interrupt
        self._waiting, self._nr_busy = deque(enumerate(parts)), 0
        self._outcomes: dict[int, Outcome] = {}
        self._errors: dict[int, BaseException] = {}
        self._among_workers, self._asleep = threading.Lock(), threading.Lock()
        self._asleep.acquire()

    def run(self) -> None:
        """What a worker does."""
        with self._among_workers:
            # Before it takes a part: who sees none waiting, then nobody busy, knows that all is done.
            self._nr_busy += 1
        while self._waiting:
            try:
                number, part = self._waiting.popleft()
            except IndexError:  # another worker was faster
                break
            try:
                self._outcomes[number] = self._work(part)
            except BaseException as error:
                self._errors[number] = error
                self._stop()
        with self._among_workers:
            self._nr_busy -= 1
            if self._is_done() and self._asleep.locked():
                self._asleep.release()

    def wait(self, longest_s: float = math.inf) -> None:
        """Sleep until all parts are done, or a part has failed and no worker is busy; not much longer than told."""
        last = time.monotonic() + longest_s
        while not self._is_done() and time.monotonic() < last:
            self._asleep.acquire(timeout=LOOK_AGAIN_S)

    def settle(self) -> None:
        """Stop, and wait for that however often Ctrl-C is pressed."""
        while not self._is_done():
            try:
                self._stop()
                self.wait(PATIENCE_S)
                if not self._is_done():
                    LOG.warning("interrupted: waiting for what cannot be broken off, such as a compilation")
                    self.wait()
            except KeyboardInterrupt:
                continue

    def results(self) -> list[Outcome]:
        """What the parts gave. Raises what the first one raised that failed."""
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._outcomes[number] for number in range(self.nr_parts)]

    def _is_done(self) -> bool:
        return not self._waiting and not self._nr_busy

    def _stop(self) -> None:
        self._waiting.clear()
        self._interrupt()
