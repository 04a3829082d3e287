"""Reading and replacing the files of saved states, with errors that say which file and what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .. import output_file
from ..errors import CheckpointError, OutputError

__all__ = ["read_whole", "replaced"]


def read_whole(path: Path) -> bytes:
    """All bytes of a regular file. Raises CheckpointError."""
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path}: is no file. Name a file that was written by DpuContext.save")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {_reason(error)}. Name a file that exists") from None
    except MemoryError:
        raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes do not fit this computer's memory") from None


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the place of `path` when all is on the disk; otherwise `path` stays as it is.

    Raises CheckpointError where it cannot be written. A process that is killed leaves `.NAME.….unfinished` behind.
    """
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{path}: is no file. Name a file to write")
        with output_file.replaced(path) as file:
            yield file
    except OutputError as error:
        raise CheckpointError(str(error)) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be written: {_reason(error)}. Name another file") from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
