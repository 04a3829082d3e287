"""Loads, stores and bit counting for `device.raw` and `device.bits`: one instruction each.

Never `inline="always"` for what stores: numba's dead-code removal does not see stores through inlined overloads, and
drops them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, overload

from ..device import bits, raw
from .pipeline import LINKED

__all__: list[str] = []

INT8, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
CACHE_LINE_BYTES = 64


def _compiled_to(function: Any, signature: Any) -> Any:
    """Decorator: code that stands for every call of `function`, in the caller itself."""

    def register(codegen: Any) -> Any:
        infer_global(function)(type(function.__name__, (ConcreteTemplate,), {"cases": [signature]}))
        lower_builtin(function, *signature.args)(codegen)
        return codegen

    return register


@_compiled_to(raw.peek, types.int64(types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(builder.inttoptr(args[0], INT64.as_pointer()))


@_compiled_to(raw.peek_shared, types.int64(types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load_atomic(builder.inttoptr(args[0], INT64.as_pointer()), "monotonic", 8)


@_compiled_to(raw.poke, types.void(types.int64, types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(args[1], builder.inttoptr(args[0], INT64.as_pointer()))
    return context.get_dummy_value()


@_compiled_to(raw.peek8, types.int8(types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(builder.inttoptr(args[0], INT8.as_pointer()))


@_compiled_to(raw.poke8, types.void(types.int64, types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(builder.trunc(args[1], INT8), builder.inttoptr(args[0], INT8.as_pointer()))
    return context.get_dummy_value()


@_compiled_to(bits.leading_zeros, types.int64(types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))


@_compiled_to(bits.ones, types.int64(types.int64))
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.ctpop(args[0])


@intrinsic
def prefetch_line(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], INT8.as_pointer())
        signature = ir.FunctionType(ir.VoidType(), [pointer.type, INT32, INT32, INT32])
        hint = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
        read, keep_in_all_caches, data = INT32(0), INT32(3), INT32(1)
        builder.call(hint, [pointer, read, keep_in_all_caches, data])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@overload(raw.prefetch, jit_options={**LINKED, "forceinline": True}, strict=False)
def _(address: Any, nr_bytes: Any) -> Any:
    def prefetch(address: Any, nr_bytes: Any) -> None:
        # The first lines without a loop: where the size is a constant, nothing else is left of all this.
        prefetch_line(address)
        if nr_bytes > CACHE_LINE_BYTES:
            prefetch_line(address + CACHE_LINE_BYTES)
        if nr_bytes > 2 * CACHE_LINE_BYTES:
            prefetch_line(address + 2 * CACHE_LINE_BYTES)
            prefetch_line(address + 3 * CACHE_LINE_BYTES)
        for offset in range(4 * CACHE_LINE_BYTES, nr_bytes, CACHE_LINE_BYTES):
            prefetch_line(address + offset)

    return prefetch


@intrinsic
def copy_bytes(typingctx: Any, target: Any, source: Any, nr_bytes: Any) -> Any:
    """LLVM's memcpy: a few moves where the size is a constant, the C library's function elsewhere."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointers = [builder.inttoptr(arg, INT8.as_pointer()) for arg in args[:2]]
        signature = ir.FunctionType(ir.VoidType(), [pointers[0].type, pointers[1].type, INT64, ir.IntType(1)])
        function = cgutils.get_or_insert_function(builder.module, signature, "llvm.memcpy.p0.p0.i64")
        builder.call(function, [*pointers, args[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@overload(raw.copy_words, jit_options={**LINKED, "forceinline": True}, strict=False)
def _(target: Any, source: Any, nr_words: Any) -> Any:
    return lambda target, source, nr_words: copy_bytes(target, source, 8 * nr_words)
