"""Turns numba's errors about a kernel into ours: one place, one reason, no traceback from inside numba."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator

from numba.core.errors import NumbaError

from .. import device
from ..errors import KernelError
from ..language.closure import Closure
from ..language.diagnostics import point_at

__all__ = ["kernel_errors"]

CODE_PLACE = re.compile(r'File "([^"]+)", line (\d+)|\(([^()\s]+):(\d+)\)|at (\S+) \((\d+)\)')
MISMATCH = re.compile(r"No implementation of function Function\(<function (\w+) at")
NOISE = re.compile(r"\x1b\[[0-9;]*m")
SCAFFOLDING = ("Failed in nopython mode", "During:", "File ", "def ", "^", "There are", "Rejected", "with errors")


@contextlib.contextmanager
def kernel_errors(closure: Closure) -> Iterator[None]:
    """Raise KernelError for any NumbaError inside."""
    try:
        yield
    except NumbaError as error:
        raise KernelError(_explanation(error, closure)) from None


def _explanation(error: NumbaError, closure: Closure) -> str:
    text = NOISE.sub("", str(error))
    call = MISMATCH.search(text)
    called = getattr(device, call[1], None) if call else None
    if called is not None and "integer-only" not in text:
        signature = str(inspect.signature(called)).replace("'", "")
        summary = (called.__doc__ or "").partition("\n")[0]
        reason = f"{called.__name__} does not take these arguments"
        return point_at(reason, *_place(error, text, closure), mend=f"{called.__name__}{signature}: {summary}")
    integer_only = [line.strip() for line in text.splitlines() if "integer-only" in line]
    reasons = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(SCAFFOLDING)]
    reason = integer_only[-1] if integer_only else reasons[0] if reasons else type(error).__name__
    place = _place(error, text, closure)
    mend = "" if integer_only else "A kernel computes with integers, views and symbols only (pim_runtime.device)."
    return point_at(reason[reason.find("DPU kernels") :] if integer_only else reason, *place, mend=mend)


def _place(error: NumbaError, text: str, closure: Closure) -> tuple[str, int]:
    """The innermost place in the kernel or one of its helpers."""
    files = {function.__code__.co_filename for function in closure.functions}
    loc = getattr(error, "loc", None)
    if loc is not None and loc.filename in files:
        return loc.filename, loc.line
    for match in CODE_PLACE.finditer(text):
        filename, line = next(pair for pair in (match.groups()[i : i + 2] for i in (0, 2, 4)) if pair[0])
        full = next((name for name in files if name.endswith(filename)), None)
        if full:
            return full, int(line)
    return closure.kernel.__code__.co_filename, closure.kernel.__code__.co_firstlineno
