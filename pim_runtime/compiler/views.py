"""Views on WRAM in compiled code: pointer, length, and the run record that a broken access is reported to.

Every access checks its index as an unsigned number, so negative indices fault too; views of an UncheckedTasklet check
nothing. A check that cannot fail, such as `view[i]` for i below the length of a window, costs nothing: LLVM removes it,
and the loop still vectorises.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, infer_global
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_getattr,
    models,
    overload,
    overload_method,
    register_model,
)

from ..device.faults import FaultCode, KernelFault, raise_fault
from ..device.integers import IntegerType
from ..device.raw import peek
from ..device.run_record import FAULT_CODE, FAULT_SITE, FAULT_VALUES, WRAM_END
from ..device.tasklet import Checks, UncheckedTasklet
from ..device.view import wram_view
from .pipeline import LINKED
from .types import CastType, value_type

__all__ = ["NO_SITE", "ViewType", "load_element", "store_element"]

INT64 = ir.IntType(64)
NO_SITE = 0
INDEX = types.Integer | types.Boolean | types.IntEnumMember


def checks_of(maker: Any) -> Checks:
    """Whether a tasklet or a view, by its type, keeps to the rules of the machine."""
    if isinstance(maker, ViewType):
        return maker.checks
    return "off" if maker.instance_class is UncheckedTasklet else "on"


class ViewType(types.Type):
    """A view of elements of one integer type, which a checked tasklet made or an unchecked one."""

    def __init__(self, kind: IntegerType, checks: Checks) -> None:
        self.kind, self.checks = kind, checks
        self.element = types.Integer.from_bitwidth(kind.bits, kind.signed)
        super().__init__(f"view({kind.name}, checks {checks})")


@register_model(ViewType)
class ViewModel(models.StructModel):
    """Host addresses of the first element, of the DPU's WRAM and of the run record."""

    def __init__(self, manager: Any, view: ViewType) -> None:
        members = [("pointer", types.int64), ("length", types.int64), ("base", types.int64), ("run", types.int64)]
        super().__init__(manager, view, members)


@intrinsic
def make_view(typingctx: Any, maker: Any, kind: Any, pointer: Any, length: Any, base: Any, run: Any) -> Any:
    """A view that checks as its maker does, which is a tasklet or a view."""
    view_type = ViewType(kind.kind, checks_of(maker))

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = cgutils.create_struct_proxy(view_type)(context, builder)
        _, _, view.pointer, view.length, view.base, view.run = args
        return view._getvalue()

    return view_type(maker, kind, types.int64, types.int64, types.int64, types.int64), codegen


def _members(context: Any, builder: Any, view_type: ViewType, value: Any) -> Any:
    return cgutils.create_struct_proxy(view_type)(context, builder, value=value)


def _checked_cell(context: Any, builder: Any, view_type: ViewType, value: Any, index: Any, site: Any) -> Any:
    """Pointer to the element; leaves the function in fault when the index is outside the view."""
    view = _members(context, builder, view_type, value)
    if view_type.checks == "on":
        _check_index(context, builder, view, index, site)
    element = context.get_data_type(view_type.element)
    return builder.gep(builder.inttoptr(view.pointer, element.as_pointer()), [index])


def _check_index(context: Any, builder: Any, view: Any, index: Any, site: Any) -> None:
    with builder.if_then(builder.icmp_unsigned(">=", index, view.length), likely=False):
        cells = builder.inttoptr(view.run, INT64.as_pointer())
        last = builder.sub(view.length, INT64(1))
        stores = {
            FAULT_CODE: INT64(int(FaultCode.WRAM_INDEX)),
            FAULT_SITE: site,
            FAULT_VALUES: index,
            FAULT_VALUES + 1: view.length,
            FAULT_VALUES + 2: last,
        }
        for cell, number in stores.items():
            builder.store(number, builder.gep(cells, [INT64(cell)]))
        context.call_conv.return_user_exc(builder, KernelFault, ())


def _loaded(context: Any, builder: Any, sig: Any, args: Any, site: Any) -> Any:
    """args: view, index."""
    view = sig.args[0]
    cell = _checked_cell(context, builder, view, args[0], args[1], site)
    return context.cast(builder, builder.load(cell), view.element, sig.return_type)


def _stored(context: Any, builder: Any, sig: Any, args: Any, site: Any) -> Any:
    """args: view, index, value, which is truncated to the element."""
    view = sig.args[0]
    cell = _checked_cell(context, builder, view, args[0], args[1], site)
    wide = context.cast(builder, args[2], sig.args[2], types.int64)
    builder.store(context.cast(builder, wide, types.int64, view.element), cell)
    return context.get_dummy_value()


def _storable(value: Any) -> Any:
    """The type that a value is stored from."""
    if not isinstance(value, types.Integer | types.Boolean):
        raise TypingError(f"DPU kernels are integer-only, but this is {value}")
    return types.unliteral(value)


@intrinsic
def load_element(typingctx: Any, view: Any, index: Any, site: Any) -> Any:
    """view[index]; `site` is the source place that a fault reports."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _loaded(context, builder, sig, args[:2], args[2])

    return value_type(view.kind)(view, types.int64, types.int64), codegen


@intrinsic
def store_element(typingctx: Any, view: Any, index: Any, value: Any, site: Any) -> Any:
    """view[index] = value, truncated to the element."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _stored(context, builder, sig, args[:3], args[3])

    return types.void(view, types.int64, _storable(value), types.int64), codegen


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        view, index = args
        if isinstance(view, ViewType) and isinstance(index, INDEX):
            return signature(value_type(view.kind), view, types.int64)
        return None


@lower_builtin(operator.getitem, ViewType, types.int64)
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _loaded(context, builder, sig, args, INT64(NO_SITE))


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        view, index, value = args
        if isinstance(view, ViewType) and isinstance(index, INDEX):
            return signature(types.void, view, types.int64, _storable(value))
        return None


@lower_builtin(operator.setitem, ViewType, types.int64, types.Any)
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _stored(context, builder, sig, args, INT64(NO_SITE))


@infer_global(len)
class _Len(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.int64, *args) if isinstance(args[0], ViewType) else None


@lower_builtin(len, ViewType)
def _(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _members(context, builder, sig.args[0], args[0]).length


@infer_getattr
class _ViewAttributes(AttributeTemplate):
    key = ViewType

    def generic_resolve(self, view: Any, attribute: str) -> Any:
        return types.int64 if attribute in ATTRIBUTES else None


ATTRIBUTES = {
    "pointer": lambda builder, view, members: members.pointer,
    "base": lambda builder, view, members: members.base,
    "run": lambda builder, view, members: members.run,
    "address": lambda builder, view, members: builder.sub(members.pointer, members.base),
    "nbytes": lambda builder, view, members: builder.mul(members.length, INT64(view.kind.itemsize)),
}


def _define_attribute(name: str, value_of: Any) -> None:
    @lower_getattr(ViewType, name)
    def _(context: Any, builder: Any, view: ViewType, value: Any) -> Any:
        return value_of(builder, view, _members(context, builder, view, value))


for _name, _value_of in ATTRIBUTES.items():
    _define_attribute(_name, _value_of)


@overload_method(ViewType, "window", strict=False, jit_options=LINKED)
def _(view: Any, first: Any, length: Any) -> Any:
    kind, itemsize, checked = view.kind, view.kind.itemsize, view.checks == "on"

    def window(view: Any, first: Any, length: Any) -> Any:
        size = len(view)
        if checked and ((first < 0) | (first > size) | (length < 0) | (length > size - first)):
            raise_fault(view.run, FaultCode.WINDOW, first, length, size, 0)
        return make_view(view, kind, view.pointer + itemsize * first, length, view.base, view.run)

    return window


@overload(wram_view, strict=False, jit_options=LINKED)
def _(t: Any, kind: Any, address: Any, length: Any) -> Any:
    if not isinstance(kind, CastType):
        raise TypingError(f"the second argument is an integer type such as int32, not {kind}")
    itemsize, checked = kind.kind.itemsize, checks_of(t) == "on"

    def view(t: Any, kind: Any, address: Any, length: Any) -> Any:
        nr_bytes, end = length * itemsize, peek(t.run + 8 * WRAM_END)
        # Each bound on its own, so that no sum of them can wrap.
        if checked and ((address < 0) | (length < 0) | (length > end) | (address > end - nr_bytes)):
            raise_fault(t.run, FaultCode.WRAM_RANGE, address, length, itemsize, end)
        if checked and address % itemsize != 0:
            raise_fault(t.run, FaultCode.WRAM_ALIGNMENT, address, itemsize, 0, 0)
        return make_view(t, kind, t.wram + address, length, t.wram, t.run)

    return view
