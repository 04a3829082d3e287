"""Where machine code is kept between processes, and how processes take turns there.

A cache folder holds code that is loaded and run: it belongs to the user alone, and a folder that others may write to is
not used. Whatever is wrong with folder or disk, kernels run; they are then compiled once more.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import CacheWarning

__all__ = ["cache_folder", "exclusive"]

LONGEST_WAIT_S = 300.0  # longer than any kernel compiles
LOOK_AGAIN_S = 0.05
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@functools.cache
def cache_folder() -> Path:
    """`$PIM_CACHE_DIR`, else `$XDG_CACHE_HOME/pim-runtime`, else `~/.cache/pim-runtime`.

    A temporary folder, which ends with the process, when that one cannot be written or others may write to it; warns
    with CacheWarning.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("PIM_CACHE_DIR") or Path(home) / "pim-runtime")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(folder)
        with tempfile.TemporaryFile(dir=folder):  # os.access() says yes to root, also where writing fails
            return folder
    except OSError as error:
        warnings.warn(
            f"compiled kernels are kept for this process only: cache folder {folder}: {error.strerror}. Set "
            "PIM_CACHE_DIR to a folder that you and nobody else can write",
            CacheWarning,
            stacklevel=2,
        )
    try:
        temporary = Path(tempfile.mkdtemp(prefix="pim-runtime-"))
    except OSError:
        return folder  # nothing can be written anywhere; every attempt will say so
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary


def _require_private(folder: Path) -> None:
    """Raise PermissionError for a folder whose code somebody else could have written."""
    state = folder.stat()
    if state.st_uid != os.geteuid():
        raise PermissionError(0, f"it belongs to user {state.st_uid}, whose code would run here")
    if state.st_mode & OTHERS_MAY_WRITE:
        mode = stat.filemode(state.st_mode)
        raise PermissionError(0, f"others may write to it ({mode}), and so run code here; chmod go-w mends it")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of one cache entry, so that processes that start together compile once.

    Goes on without the lock where there can be none, and when its holder does not come to an end: an entry is replaced
    in one step and is checked when it is read.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have cleared the cache
            lock = held.enter_context(open(path.with_suffix(".lock"), "w"))
            _wait_for(lock)
            # Closing is not enough: a child that was forked meanwhile has the file open as well.
            held.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        yield


def _wait_for(lock: IO[str]) -> None:
    """Take a lock, or give up after a time: its holder may have been suspended."""
    last = time.monotonic() + LONGEST_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > last:
                return
            time.sleep(LOOK_AGAIN_S)
