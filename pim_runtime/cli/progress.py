"""A progress bar for work that takes longer than a person likes to wait without a sign.

Shown on a terminal if rich is installed, silent otherwise, and always on stderr, so that results stay clean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

__all__ = ["progress"]


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show `title` while the block runs; call what it gives with the number of steps done since, of `total` steps.

    with progress("attention, 8 heads", total=8) as advance:
        for head in heads:
            ...
            advance(1)
    """
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)
