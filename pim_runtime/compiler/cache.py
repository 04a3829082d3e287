"""Where compiled drivers are kept, and how processes take turns there."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cache_folder", "exclusive"]


@functools.cache
def cache_folder() -> Path:
    """`$PIM_CACHE_DIR`, else `$XDG_CACHE_HOME/pim-runtime`, else `~/.cache/pim-runtime`; a temporary folder when that
    cannot be written, so that kernels still run and only the cache is lost."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("PIM_CACHE_DIR") or Path(home) / "pim-runtime")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # os.access() says yes to root, also where writing fails
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="pim-runtime-"))


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of one cache entry: only one process at a time compiles or loads it."""
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
