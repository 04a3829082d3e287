"""What must begin anew in the child of a fork: threads that are not there, locks that nobody there will release."""

from __future__ import annotations

import functools
import os
import weakref
from typing import Protocol

__all__ = ["Forkable", "renew_after_fork"]


class Forkable(Protocol):
    """Something that a forked child cannot use as it finds it."""

    def after_fork(self) -> None:
        """Called in the child, while it has one thread only."""


def renew_after_fork(thing: Forkable) -> None:
    """From now on, call `thing.after_fork()` in the child of every fork, as long as `thing` is alive."""
    _forkables().add(thing)


@functools.cache
def _forkables() -> weakref.WeakSet[Forkable]:
    """All of this process. Python cannot unregister a function that it calls after a fork, so there is one for all."""
    forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()

    def renew() -> None:
        for thing in list(forkables):
            thing.after_fork()

    os.register_at_fork(after_in_child=renew)
    return forkables
