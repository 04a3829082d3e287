"""Files and folders that the user names for output, checked before the work starts and not after it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

__all__ = ["writable_file", "writable_folder"]


def writable_file(text: str) -> Path:
    """A path that can be written. Raises ArgumentTypeError otherwise."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder. Name a file in it.")
    if path.exists() and not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written. Change its mode, or name another file.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text}: its folder does not exist or cannot be written. Create it first.")
    return path


def writable_folder(text: str) -> Path:
    """A folder that files can be written to. Raises ArgumentTypeError otherwise."""
    path = Path(text)
    if not path.is_dir() or not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text}: no such folder, or it cannot be written. Create it first.")
    return path
