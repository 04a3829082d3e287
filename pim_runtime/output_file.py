"""Writing a file in one step: either all of the new content is there afterwards, or what was there before."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import OutputError

__all__ = ["replaced"]


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` when all of it is on the disk.

    Devices and pipes, such as /dev/stdout, are written to as they are; behind a link, the file that it leads to is
    replaced. A process that is killed leaves `.NAME.….unfinished` behind. Raises OutputError where `path` cannot be
    written, also for an OSError of the block.
    """
    try:
        target = Path(os.path.realpath(path))
    except ValueError as error:  # a zero byte in the name
        raise OutputError(f"{path!r}: cannot be written: {error}. Name another file") from error
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        unfinished = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.unfinished")
        try:
            with unfinished.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except BrokenPipeError:  # whoever reads a pipe has seen enough
        raise
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}. Nothing has changed there; make room, or name "
            "another file"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
