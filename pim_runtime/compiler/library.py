"""Makes the device library callable from compiled code: the same source, compiled by numba.

Two functions are exceptions: `printf` takes a literal format and any number of arguments, so its calls are expanded
here, and `is_checked` is a constant.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from ..device import alloc, arith, faults, guards, log, meters, mram, perfcounter, scheduler, sync, tasklet
from .pipeline import LINKED

__all__: list[str] = []

MODULES = (tasklet, faults, meters, guards, mram, alloc, sync, arith, perfcounter, log, scheduler)


# What a DMA consists of is compiled into the caller: a call would cost more than the check and the copy of a row.
INLINED = (
    mram.mram_read,
    mram.mram_write,
    mram.breaks_a_rule,
    tasklet.note_site,
    meters.add_meter,
    meters.measures,
    guards.spend,
)


def _register(function: Any) -> None:
    options = {**LINKED, "forceinline": function in INLINED}
    overload(function, jit_options=options, strict=False)(lambda *args: function)


for _module in MODULES:
    for _function in vars(_module).values():
        if getattr(_function, "__dpu_library__", False) and _function.__module__ == _module.__name__:
            _register(_function)


@overload(tasklet.is_checked, jit_options={**LINKED, "forceinline": True}, strict=False)
def _(t: Any) -> Any:
    return (lambda t: False) if t.instance_class is tasklet.UncheckedTasklet else (lambda t: True)


@intrinsic
def append_words(typingctx: Any, t: Any, values: Any) -> Any:
    """log.append_word for every element of a tuple of integers, which may differ in width."""

    def append(t: Any, word: Any) -> None:
        log.append_word(t, word)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        for index, ty in enumerate(values.types):
            word = context.cast(builder, builder.extract_value(args[1], index), ty, types.int64)
            context.compile_internal(builder, append, types.void(t, types.int64), (args[0], word))
        return context.get_dummy_value()

    return types.void(t, values), codegen


@overload(log.printf, prefer_literal=True, strict=False, jit_options=LINKED)
def _(t: Any, text: Any, *arguments: Any) -> Any:
    if not isinstance(text, types.StringLiteral):
        raise TypingError("printf takes a literal format")
    for value in arguments:
        if not isinstance(value, types.Integer | types.Boolean):
            raise TypingError(f"DPU kernels are integer-only, but printf gets {value}")
    key, nr_arguments = log.format_key(text.literal_value), len(arguments)

    def printf(t: Any, text: Any, *arguments: Any) -> None:
        log.open_message(t, key, nr_arguments)
        append_words(t, arguments)

    return printf
