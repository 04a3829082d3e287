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
WORDS_PER_CHUNK = 8


@intrinsic
def load_int64(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], INT64.as_pointer()))

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
        for offset in range(0, nr_bytes, CACHE_LINE_BYTES):
            prefetch_line(address + offset)

    return prefetch


@intrinsic
def copy_chunk(typingctx: Any, target: Any, source: Any) -> Any:
    """Copy eight words at once."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        chunk = ir.VectorType(INT64, WORDS_PER_CHUNK).as_pointer()
        value = builder.load(builder.inttoptr(args[1], chunk), align=8)
        builder.store(value, builder.inttoptr(args[0], chunk), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@overload(raw.copy_words, jit_options={"forceinline": True}, strict=False)
def _(target: Any, source: Any, nr_words: Any) -> Any:
    def copy(target: Any, source: Any, nr_words: Any) -> None:
        # Explicit chunks: a plain word loop is vectorised too, but in steps that rows of 128 bytes never fill.
        whole = nr_words & -WORDS_PER_CHUNK
        for word in range(0, whole, WORDS_PER_CHUNK):
            copy_chunk(target + 8 * word, source + 8 * word)
        for word in range(nr_words - whole):
            store_int64(target + 8 * (whole + word), load_int64(source + 8 * (whole + word)))

    return copy


@overload(bits.leading_zeros, strict=False)
def _(pattern: Any) -> Any:
    return lambda pattern: count_leading_zeros(pattern)


@overload(bits.ones, strict=False)
def _(pattern: Any) -> Any:
    return lambda pattern: count_ones(pattern)
