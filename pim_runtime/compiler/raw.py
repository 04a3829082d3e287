"""Loads, stores and bit counting for `device.raw` and `device.bits`: one instruction each.

Plain `@overload` around `@intrinsic`, never `inline="always"`: numba's dead-code removal does not see
stores through inlined overloads, and drops them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from ..device import bits, raw

__all__: list[str] = []

INT8, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
CACHE_LINE_BYTES = 64


@intrinsic
def load_int64(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], INT64.as_pointer()))

    return types.int64(types.int64), codegen


@intrinsic
def load_shared_int64(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], INT64.as_pointer()), "monotonic", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store_int64(typingctx: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], INT64.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def load_int8(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], INT8.as_pointer()))

    return types.int8(types.int64), codegen


@intrinsic
def store_int8(typingctx: Any, address: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(builder.trunc(args[1], INT8), builder.inttoptr(args[0], INT8.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def count_leading_zeros(typingctx: Any, pattern: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), codegen


@intrinsic
def count_ones(typingctx: Any, pattern: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.int64), codegen


@overload(raw.peek, strict=False)
def _(address: Any) -> Any:
    return lambda address: load_int64(address)


@overload(raw.peek_shared, strict=False)
def _(address: Any) -> Any:
    return lambda address: load_shared_int64(address)


@overload(raw.poke, strict=False)
def _(address: Any, value: Any) -> Any:
    return lambda address, value: store_int64(address, value)


@overload(raw.peek8, strict=False)
def _(address: Any) -> Any:
    return lambda address: load_int8(address)


@overload(raw.poke8, strict=False)
def _(address: Any, value: Any) -> Any:
    return lambda address, value: store_int8(address, value)


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


@overload(raw.prefetch, jit_options={"forceinline": True}, strict=False)
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


@overload(raw.copy_words, jit_options={"forceinline": True}, strict=False)
def _(target: Any, source: Any, nr_words: Any) -> Any:
    return lambda target, source, nr_words: copy_bytes(target, source, 8 * nr_words)


@overload(bits.leading_zeros, strict=False)
def _(pattern: Any) -> Any:
    return lambda pattern: count_leading_zeros(pattern)


@overload(bits.ones, strict=False)
def _(pattern: Any) -> Any:
    return lambda pattern: count_ones(pattern)
