"""Integer results wrap to 64 bits in kernels: numba lets LLVM assume that signed ones never leave their type.

LLVM then turns `x + SMALLEST` into `x | SMALLEST`, say, and device.arith could not keep its promise to wrap. There is
no option for it, so the function that gives the flag is replaced while a kernel is compiled, under numba's lock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from numba.core.compiler_lock import global_compiler_lock
from numba.cpython import numbers

__all__ = ["wrapping_integers"]


@contextlib.contextmanager
def wrapping_integers() -> Iterator[None]:
    """What this thread compiles inside wraps; no other thread compiles meanwhile."""
    with global_compiler_lock:
        flags_of = numbers._int_arith_flags
        numbers._int_arith_flags = lambda result_type: []
        try:
            yield
        finally:
            numbers._int_arith_flags = flags_of
