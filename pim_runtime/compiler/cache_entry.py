"""Functions compiled by numba, kept in one file each: machine code for one signature behind a checksum.

numba's own cache files have none: random bytes in them end the process. An entry that is cut off, damaged or of another
format counts as missing, so it is compiled and written again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import platform
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from ..errors import CacheWarning
from .cache import cache_folder, exclusive

__all__ = ["CacheEntry", "code_generator", "compile_cached"]

FORMAT = b"pim-runtime machine code 1\n"
CHECKSUM = hashlib.sha256
HEADER_BYTES = len(FORMAT) + CHECKSUM().digest_size


@functools.cache
def code_generator() -> str:
    """What makes machine code of a function here: numba, llvmlite, Python and the CPU. Part of every entry's name."""
    cpu = cpu_target.target_context.codegen().magic_tuple()
    return f"{numba.__version__} {llvmlite.__version__} {platform.python_version()} {cpu}"


def compile_cached(
    dispatcher: Any, signature: Any, name: str, compiling: AbstractContextManager[None] | None = None
) -> None:
    """Give a numba dispatcher the machine code for one signature: from cache entry `name`, or compiled now and kept.

    `name` is a hash of everything that decides the machine code; `compiling` is entered to compile. Warns with
    CacheWarning when the code cannot be kept.
    """
    path = cache_folder() / f"{name}.code"
    with exclusive(path):
        dispatcher._cache = CacheEntry(path)
        with compiling or contextlib.nullcontext():
            dispatcher.compile(signature)
    dispatcher.disable_compile()  # arguments of other types are converted; the entry holds this signature only


class CacheEntry(NullCache):
    """What a dispatcher asks for machine code before it compiles, and gives it to afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def cache_path(self) -> str:
        """The file."""
        return str(self._path)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function, or None for numba to compile it."""
        payload = _read(self._path)
        if payload is None:
            return None
        target_context.refresh()
        return CompileResult._rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Keep a function that was compiled, unless its code holds addresses of this process."""
        if cres.library.has_dynamic_globals:
            return
        try:
            _write(self._path, dumps(cres._reduce()))
        except OSError as error:
            warnings.warn(
                f"a compiled kernel is not kept for the next process: cache folder {self._path.parent}: "
                f"{error.strerror}. Make room there, or set PIM_CACHE_DIR to another folder",
                CacheWarning,
                stacklevel=2,
            )


def _read(path: Path) -> bytes | None:
    """The payload of an entry; None when it is missing, cannot be read or is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    header, payload = content[:HEADER_BYTES], content[HEADER_BYTES:]
    return payload if header == FORMAT + CHECKSUM(payload).digest() else None


def _write(path: Path, payload: bytes) -> None:
    """Replace an entry in one step; nothing half written is left when that fails."""
    unfinished = path.with_suffix(".tmp")  # what a killed process left is written over
    try:
        unfinished.write_bytes(FORMAT + CHECKSUM(payload).digest() + payload)
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
