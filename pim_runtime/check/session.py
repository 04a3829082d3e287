"""Checks every set that a program makes, without a change to the program: what `pim check` runs a script in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from ..commands import Command
from ..hardware import Hardware
from .checker import Checker
from .options import Check

__all__ = ["CheckSession", "attach_checker", "current_session"]

_SESSION: ContextVar[CheckSession | None] = ContextVar("pim_check_session", default=None)


class CheckSession:
    """Sets made inside `active()`, in the same thread, are checked with `options`; `checkers` has one per set."""

    def __init__(self, options: Check) -> None:
        self.options = options
        self.checkers: list[Checker] = []

    @contextlib.contextmanager
    def active(self) -> Iterator[CheckSession]:
        """Check the sets that are made from here to the end of the context."""
        token = _SESSION.set(self)
        try:
            yield self
        finally:
            _SESSION.reset(token)


def current_session() -> CheckSession | None:
    """The session that is active in this thread."""
    return _SESSION.get()


def attach_checker(
    hardware: Hardware, nr_dpus: int, options: Check | None, submit: Callable[[Command], object]
) -> Checker | None:
    """The checker for a new set: with its own options, else with those of the session; None without either."""
    session = current_session()
    if options is None and session is None:
        return None
    checker = Checker(hardware, nr_dpus, options or session.options, submit)  # type: ignore[union-attr]
    if session is not None:
        session.checkers.append(checker)
    return checker
