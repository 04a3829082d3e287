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
from numba.extending import intrinsic, models, overload, overload_attribute, overload_method, register_model

from ..device.faults import FaultCode, KernelFault, raise_fault
from ..device.integers import IntegerType
from ..device.raw import peek
from ..device.run_record import FAULT_CODE, FAULT_SITE, FAULT_VALUES, WRAM_END
from ..device.tasklet import Checks, UncheckedTasklet
from ..device.view import wram_view
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


def _checked_cell(context: Any, builder: Any, view_type: ViewType, value: Any, index: Any, site: Any) -> Any:
    """Pointer to the element; leaves the function in fault when the index is outside the view."""
    view = cgutils.create_struct_proxy(view_type)(context, builder, value=value)
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


@intrinsic
def load_element(typingctx: Any, view: Any, index: Any, site: Any) -> Any:
    """view[index]; `site` is the source place that a fault reports."""
    result = value_type(view.kind)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        cell = _checked_cell(context, builder, view, *args)
        return context.cast(builder, builder.load(cell), view.element, result)

    return result(view, types.int64, types.int64), codegen


@intrinsic
def store_element(typingctx: Any, view: Any, index: Any, value: Any, site: Any) -> Any:
    """view[index] = value, truncated to the element."""
    if not isinstance(value, types.Integer | types.Boolean):
        raise TypingError(f"DPU kernels are integer-only, but this is {value}")
    stored = types.unliteral(value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        cell = _checked_cell(context, builder, view, args[0], args[1], args[3])
        wide = context.cast(builder, args[2], stored, types.int64)
        builder.store(context.cast(builder, wide, types.int64, view.element), cell)
        return context.get_dummy_value()

    return types.void(view, types.int64, stored, types.int64), codegen


@overload(operator.getitem, strict=False)
def _(view: Any, index: Any) -> Any:
    if isinstance(view, ViewType) and isinstance(index, INDEX):
        return lambda view, index: load_element(view, index, NO_SITE)
    return None


@overload(operator.setitem, strict=False)
def _(view: Any, index: Any, value: Any) -> Any:
    if isinstance(view, ViewType) and isinstance(index, INDEX):

        def store(view: Any, index: Any, value: Any) -> None:
            store_element(view, index, value, NO_SITE)

        return store
    return None


def _reader(member: str) -> Any:
    """An intrinsic that reads one member of a view."""

    @intrinsic
    def read(typingctx: Any, view: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(cgutils.create_struct_proxy(view)(context, builder, value=args[0]), member)

        return types.int64(view), codegen

    return read


read_length = _reader("length")


@overload(len, strict=False)
def _(view: Any) -> Any:
    return (lambda view: read_length(view)) if isinstance(view, ViewType) else None


def _define_attribute(member: str) -> None:
    read = _reader(member)
    overload_attribute(ViewType, member, strict=False)(lambda view: lambda view: read(view))


for _member in ("pointer", "base", "run"):
    _define_attribute(_member)


@overload_attribute(ViewType, "address", strict=False)
def _(view: Any) -> Any:
    return lambda view: view.pointer - view.base


@overload_attribute(ViewType, "nbytes", strict=False)
def _(view: Any) -> Any:
    itemsize = view.kind.itemsize
    return lambda view: itemsize * len(view)


@overload_method(ViewType, "window", strict=False)
def _(view: Any, first: Any, length: Any) -> Any:
    kind, itemsize, checked = view.kind, view.kind.itemsize, view.checks == "on"

    def window(view: Any, first: Any, length: Any) -> Any:
        size = len(view)
        if checked and ((first < 0) | (first > size) | (length < 0) | (length > size - first)):
            raise_fault(view.run, FaultCode.WINDOW, first, length, size, 0)
        return make_view(view, kind, view.pointer + itemsize * first, length, view.base, view.run)

    return window


@overload(wram_view, strict=False)
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
