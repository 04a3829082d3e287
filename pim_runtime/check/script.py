"""Runs a host program as `python PROGRAM ARGUMENTS...` would, inside this process."""

from __future__ import annotations

import runpy
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .finding import CheckWarning

__all__ = ["ScriptEnd", "run_script"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptEnd:
    """How a script ended: its exit code, and the exception that ended it as one text, "" for none."""

    exit_code: int
    error: str


def run_script(path: Path, arguments: Sequence[str]) -> ScriptEnd:
    """Run a script as `__main__` with its own `sys.argv` and `sys.path`. Its output goes where it goes.

    An exception that leaves the script is printed as Python prints it. Findings are not warned of: whoever runs a
    script to check it reports them. Raises FileNotFoundError for no file, KeyboardInterrupt when interrupted.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Name a Python host program")
    argv, search = sys.argv, list(sys.path)
    sys.argv, sys.path[0] = [str(path), *arguments], str(path.resolve().parent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckWarning)
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        return _ended(end.code)
    except Exception as error:
        own = error.__traceback__
        while own is not None and own.tb_frame.f_code.co_filename != str(path):
            own = own.tb_next  # what runs the script is not its business
        traceback.print_exception(type(error), error, own or error.__traceback__)
        return ScriptEnd(exit_code=1, error=f"{type(error).__name__}: {error}")
    finally:
        sys.argv, sys.path[:] = argv, search
        sys.stdout.flush()
    return ScriptEnd(exit_code=0, error="")


def _ended(code: object) -> ScriptEnd:
    """What sys.exit(code) means: a number, None for 0, or a message and 1."""
    if code is None or isinstance(code, int):
        return ScriptEnd(exit_code=int(code or 0), error="")
    print(code, file=sys.stderr)
    return ScriptEnd(exit_code=1, error=str(code))
