"""Values that come from memory that nobody has written, followed through a kernel's arithmetic (as Memcheck does).

A kernel may load, copy and compute with such a value, as long as nothing depends on it: padding at the end of a block,
or a row that is multiplied by zero. It is a mistake to decide by it, to use it as an address, a size or a divisor, and
to give it to the host.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import device
from ..device.integers import IntegerType
from .finding import SourcePlace

__all__ = ["SUBSTITUTES", "CheckedInteger", "Origin", "Undefined", "defined"]


class Origin(NamedTuple):
    """The load that an undefined value goes back to.

    symbol, name: of what, and as the subject of a sentence. place: where. is_padding: whether a DMA brought it together
    with values that somebody has written.
    """

    symbol: str
    name: str
    place: SourcePlace
    is_padding: bool


def _is_zero(value: Any) -> bool:
    return type(value) is int and value == 0


def _following(name: str) -> Any:
    """An operator whose result depends on its undefined operand."""
    operator = getattr(int, name)

    def method(self: Undefined, *other: Any) -> Any:
        return self._combined(operator(self, *other))

    return method


def _deciding(name: str) -> Any:
    """A comparison: whatever the kernel does next depends on it."""
    operator = getattr(int, name)

    def method(self: Undefined, other: Any) -> Any:
        self.use(self.origin, "in a comparison")
        return operator(self, other)

    return method


class Undefined(int):
    """An integer whose value is chance. `use` reports that something depends on it."""

    origin: Origin
    use: Callable[[Origin, str], None]

    __add__, __radd__ = _following("__add__"), _following("__radd__")
    __sub__, __rsub__ = _following("__sub__"), _following("__rsub__")
    __lshift__, __rlshift__ = _following("__lshift__"), _following("__rlshift__")
    __rshift__, __rrshift__ = _following("__rshift__"), _following("__rrshift__")
    __or__, __ror__ = _following("__or__"), _following("__ror__")
    __xor__, __rxor__ = _following("__xor__"), _following("__rxor__")
    __neg__, __pos__ = _following("__neg__"), _following("__pos__")
    __abs__, __invert__ = _following("__abs__"), _following("__invert__")
    __eq__, __ne__ = _deciding("__eq__"), _deciding("__ne__")
    __lt__, __le__ = _deciding("__lt__"), _deciding("__le__")
    __gt__, __ge__ = _deciding("__gt__"), _deciding("__ge__")
    __hash__ = int.__hash__

    @classmethod
    def of(cls, value: int, origin: Origin, use: Callable[[Origin, str], None]) -> Undefined:
        """`value`, which is undefined because of `origin`."""
        undefined = cls(value)
        undefined.origin, undefined.use = origin, use
        return undefined

    def like(self, value: int) -> Undefined:
        """Another value that depends on this one."""
        return Undefined.of(value, self.origin, self.use)

    def __mul__(self, other: Any) -> Any:
        return 0 if _is_zero(other) else self._combined(int.__mul__(self, other))

    def __and__(self, other: Any) -> Any:
        return 0 if _is_zero(other) else self._combined(int.__and__(self, other))

    __rmul__, __rand__ = __mul__, __and__

    def __floordiv__(self, other: Any) -> Any:
        return self._combined(int.__floordiv__(self, defined(other, "as a divisor")))

    def __mod__(self, other: Any) -> Any:
        return self._combined(int.__mod__(self, defined(other, "as a divisor")))

    def __rfloordiv__(self, other: Any) -> Any:
        self.use(self.origin, "as a divisor")
        return self._combined(int.__rfloordiv__(self, other))

    def __rmod__(self, other: Any) -> Any:
        self.use(self.origin, "as a divisor")
        return self._combined(int.__rmod__(self, other))

    def __bool__(self) -> bool:
        self.use(self.origin, "in a decision")
        return int.__bool__(self)

    def _combined(self, result: Any) -> Any:
        return result if result is NotImplemented else self.like(result)


def defined(value: int, purpose: str) -> int:
    """`value` where everything depends on it: an undefined one is reported and becomes an ordinary number."""
    if isinstance(value, Undefined):
        value.use(value.origin, purpose)
        return int(value)
    return value


class CheckedInteger(IntegerType):
    """An integer type whose casts keep a value undefined."""

    __slots__ = ()

    @classmethod
    def like(cls, kind: IntegerType) -> CheckedInteger:
        """The same type."""
        return cls(kind.name, kind.bits, kind.signed)

    def __call__(self, value: int) -> int:
        if isinstance(value, Undefined):
            return value.like(IntegerType.__call__(self, int(value)))
        return IntegerType.__call__(self, value)


def _arithmetic(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of device.arith that follows undefined operands."""

    def call(kind: IntegerType, *operands: int) -> Any:
        undefined = next((operand for operand in operands if isinstance(operand, Undefined)), None)
        if undefined is None:
            return function(kind, *operands)
        if function is device.mul and any(map(_is_zero, operands)):
            return 0
        if function in (device.div, device.rem):
            defined(operands[1], "as a divisor")
        if function is device.less:
            undefined.use(undefined.origin, "in a comparison")
            return function(kind, *map(int, operands))
        return undefined.like(function(kind, *map(int, operands)))

    return call


def _range(*bounds: int) -> range:
    return range(*(defined(bound, "as the bound of a loop") for bound in bounds))


def _int(value: int) -> int:
    return value if isinstance(value, Undefined) else int(value)


def _printf(t: device.Tasklet, text: str, *arguments: int) -> None:
    device.printf(t, text, *(defined(argument, "in a message") for argument in arguments))


def _silent(*values: object) -> None:
    """print and breakpoint are for the launch itself, which runs afterwards."""


SUBSTITUTES: Mapping[Any, Any] = MappingProxyType(
    {
        **{
            function: _arithmetic(function)
            for function in (
                device.add, device.sub, device.mul, device.neg, device.div, device.rem, device.less, device.shl,
                device.shr, device.clz, device.popcount,
            )
        },
        device.printf: _printf,
        builtins.range: _range,
        builtins.int: _int,
        builtins.print: _silent,
        builtins.breakpoint: _silent,
    }
)  # fmt: skip
"""What a checked kernel calls instead of functions that would not follow undefined values."""
