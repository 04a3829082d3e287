"""What the names of a kernel are to numba: integer types, symbols, synchronisation objects and helper functions.

All of them are compile-time constants: the numba type carries the value, nothing exists at run time.
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.errors import TypingError
from numba.core.typing import signature
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.core.typing.typeof import typeof, typeof_impl
from numba.extending import lower_builtin, lower_getattr_generic, models, overload_method, register_model

from .. import device
from ..device.integers import IntegerType
from ..device.library import DpuFunction
from ..device.view import wram_view
from ..symbols import Barrier, MramSymbol, Mutex, Semaphore, WramSymbol
from .pipeline import LINKED, helper_jit

__all__ = ["CastType", "ConstantType", "value_type"]


def value_type(kind: IntegerType) -> types.Integer:
    """Type of a kernel value that was cast to or loaded as `kind`.

    Unsigned values are carried in int64, where Python and numba agree on every operation; signed ones keep their
    width, which loops vectorise on.
    """
    return types.Integer.from_bitwidth(kind.bits if kind.signed else 64, True)


class CastType(types.Callable, types.Opaque):
    """An IntegerType inside a kernel: call it to cast, pass it to say what a view holds."""

    def __init__(self, kind: IntegerType) -> None:
        self.kind = kind
        super().__init__(f"cast({kind.name})")

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        if len(args) == 1 and not kws and isinstance(args[0], types.Integer | types.Boolean):
            return signature(value_type(self.kind), types.unliteral(args[0]))
        raise TypingError(f"DPU kernels are integer-only, but this is {', '.join(map(str, args))}")

    def get_call_signatures(self) -> tuple[tuple[()], bool]:
        return (), True

    def get_impl_key(self, sig: Any) -> str:
        return cast_key(self.kind)


def cast_key(kind: IntegerType) -> str:
    """Under which the lowering of a cast is registered."""
    return f"pim_runtime.cast.{kind.name}"


class ConstantType(types.Opaque):
    """A symbol, barrier, semaphore or mutex inside a kernel."""

    value: Any

    def __init__(self, value: MramSymbol | WramSymbol | Barrier | Semaphore | Mutex) -> None:
        self.value = value
        where = value.bit if isinstance(value, Mutex) else value.address
        super().__init__(f"{value!r}@{where}")


class MramSymbolType(ConstantType):
    """An MRAM symbol."""


class WramSymbolType(ConstantType):
    """A WRAM symbol: the only one with views."""


class SyncType(ConstantType):
    """A barrier, semaphore or mutex."""


for _constant in (CastType, MramSymbolType, WramSymbolType, SyncType):
    register_model(_constant)(models.OpaqueModel)


@typeof_impl.register(IntegerType)
def _(value: IntegerType, context: Any) -> CastType:
    return CastType(value)


@typeof_impl.register(MramSymbol)
def _(value: MramSymbol, context: Any) -> ConstantType:
    return MramSymbolType(value)


@typeof_impl.register(WramSymbol)
def _(value: WramSymbol, context: Any) -> ConstantType:
    return WramSymbolType(value)


@typeof_impl.register(Barrier)
@typeof_impl.register(Semaphore)
@typeof_impl.register(Mutex)
def _(value: Barrier | Semaphore | Mutex, context: Any) -> ConstantType:
    return SyncType(value)


@typeof_impl.register(DpuFunction)
def _(value: DpuFunction, context: Any) -> Any:
    return types.Dispatcher(helper_jit(value.function))


def _define_cast(kind: IntegerType) -> None:
    def cast(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        narrow = types.Integer.from_bitwidth(kind.bits, kind.signed)
        value = context.cast(builder, args[0], sig.args[0], types.int64)
        return context.cast(builder, context.cast(builder, value, types.int64, narrow), narrow, sig.return_type)

    lower_builtin(cast_key(kind), types.Integer)(cast)
    lower_builtin(cast_key(kind), types.Boolean)(cast)


for _name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
    _define_cast(getattr(device, _name))


def _define_constants(cls: type, path: str, *names: str) -> None:
    """`x.name` in a kernel is the constant that the Python object has there."""

    @infer_getattr
    class Constants(AttributeTemplate):
        key = cls

        def generic_resolve(self, owner: Any, name: str) -> Any:
            number = getattr(getattr(owner, path), name, None) if name in names else None
            return None if number is None else typeof(number)  # a barrier has no bit: numba says so, with the place

    @lower_getattr_generic(cls)
    def _(context: Any, builder: Any, owner: Any, value: Any, name: str) -> Any:
        number = getattr(getattr(owner, path), name)
        return context.get_constant(typeof(number), number)


_define_constants(CastType, "kind", "itemsize", "bits", "signed", "unsigned_64", "shift_mask", "pattern_mask")
_define_constants(MramSymbolType, "value", "address", "size", "nbytes", "itemsize")
_define_constants(WramSymbolType, "value", "address", "size", "nbytes", "itemsize")
_define_constants(SyncType, "value", "address", "bit")


@overload_method(WramSymbolType, "array", strict=False, jit_options=LINKED)
def _(symbol: WramSymbolType, t: Any) -> Any:
    kind, address, size = symbol.value.kind, symbol.value.address, symbol.value.size
    return lambda symbol, t: wram_view(t, kind, address, size)


@overload_method(WramSymbolType, "load", strict=False, jit_options=LINKED)
def _(symbol: WramSymbolType, t: Any) -> Any:
    kind, address = symbol.value.kind, symbol.value.address
    return lambda symbol, t: wram_view(t, kind, address, 1)[0]


@overload_method(WramSymbolType, "store", strict=False, jit_options=LINKED)
def _(symbol: WramSymbolType, t: Any, value: Any) -> Any:
    kind, address = symbol.value.kind, symbol.value.address

    def store(symbol: Any, t: Any, value: Any) -> None:
        wram_view(t, kind, address, 1)[0] = value

    return store
