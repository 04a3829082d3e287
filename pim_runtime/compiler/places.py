"""The pass that gives every operation that can fault its source place.

View accesses become calls that carry the place as a constant, used only when the check fails: nothing is added to the
loop. Calls and divisions are preceded by a store of the place into the tasklet's run record. A place is
`file_key << 32 | line` (language.closure).
"""

from __future__ import annotations

import operator
from typing import Any

from numba.core import ir, types
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.errors import NumbaValueError

from ..counting.names import METERS
from ..device import arith, guards, meters
from ..device.tasklet import Tasklet, charge, me, note_site, nr_tasklets, stated
from ..language.closure import file_key
from .types import CastType
from .views import ViewType, load_element, store_element

__all__ = ["GivePlaces"]

DIVISIONS = (operator.floordiv, operator.mod, operator.ifloordiv, operator.imod)
POWERS = (operator.pow, operator.ipow)  # zero to a negative power divides
CANNOT_FAULT = (arith.add, arith.sub, arith.mul, arith.neg, arith.less, arith.shl, arith.shr, arith.clz, arith.popcount)
METERING = (
    guards.spend,
    guards.note_site_by_meters,
    *(getattr(meters, name) for name in meters.__all__ if callable(getattr(meters, name))),
)
HARMLESS = (me, nr_tasklets, charge, stated, range, len, min, max, abs, bool, int, *CANNOT_FAULT, *METERING)


@register_pass(mutates_CFG=False, analysis_only=False)
class GivePlaces(FunctionPass):
    """Rewrite view accesses and note places; stands right after type inference, where types are final."""

    _name = "pim_give_places"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        self.state, self.typemap, self.calltypes = state, state.typemap, state.calltypes
        self.noting = self.how_to_note(dict(zip(state.func_ir.arg_names, state.args, strict=True)))
        for block in state.func_ir.blocks.values():
            self.block, self.out = block, []
            noted = None
            for statement in block.body:
                site = self.site(statement.loc)
                if self.can_fault(statement) and noted != site and self.noting is not None:
                    note, by = self.noting
                    self.call(note, self.block.scope.get(by), self.constant(site, statement.loc))
                    noted = site
                if self.calls_helper(statement):
                    noted = None  # the helper has noted places of its own
                self.out.append(self.with_place(statement))
            block.body = self.out
        return True

    def how_to_note(self, arguments: dict[str, types.Type]) -> tuple[Any, str] | None:
        """The function that notes places, and the argument to call it with; None without the rules of the machine."""
        tasklets = {name: ty for name, ty in arguments.items() if _is_tasklet(ty)}
        if tasklets:
            checked = [name for name, ty in tasklets.items() if ty.instance_class is Tasklet]
            return (note_site, checked[0]) if checked else None
        return (guards.note_site_by_meters, METERS) if METERS in arguments else None

    def site(self, loc: Any) -> int:
        return file_key(self.state.func_id.filename) << 32 | loc.line

    def can_fault(self, statement: Any) -> bool:
        """Calls of anything but a few harmless functions, divisions by what may be zero, powers, and raises."""
        if isinstance(statement, ir.StaticRaise | ir.DynamicRaise | ir.Raise):
            return True
        value = getattr(statement, "value", None)
        if not isinstance(statement, ir.Assign) or not isinstance(value, ir.Expr):
            return False
        if value.op == "call":
            callee = self.typemap[value.func.name]
            key = getattr(callee, "typing_key", None)
            has_step = key is range and len(value.args) == 3  # a step of zero raises
            return has_step or (key not in HARMLESS and not isinstance(callee, CastType))
        if value.op in ("binop", "inplace_binop") and value.fn in DIVISIONS:
            return getattr(self.typemap[value.rhs.name], "literal_value", 0) == 0
        return value.op in ("binop", "inplace_binop") and value.fn in POWERS

    def calls_helper(self, statement: Any) -> bool:
        value: Any = getattr(statement, "value", None)
        is_call = isinstance(value, ir.Expr) and value.op == "call"
        return is_call and isinstance(self.typemap[value.func.name], types.Dispatcher)

    def with_place(self, statement: Any) -> Any:
        """The statement itself, or the access of a view as a call with a place."""
        value = getattr(statement, "value", None)
        if isinstance(statement, ir.SetItem | ir.StaticSetItem) and self.is_view(statement.target):
            index = self.index_of(statement)
            site = self.constant(self.site(statement.loc), statement.loc)
            call = self.call_expression(store_element, statement.target, index, statement.value, site)
            target = self.variable(types.none, statement.loc)
            return ir.Assign(call, target, statement.loc)
        if isinstance(value, ir.Expr) and value.op in ("getitem", "static_getitem") and self.is_view(value.value):
            site = self.constant(self.site(statement.loc), statement.loc)
            call = self.call_expression(load_element, value.value, self.index_of(value), site)
            return ir.Assign(call, statement.target, statement.loc)
        return statement

    def is_view(self, variable: Any) -> bool:
        return isinstance(self.typemap[variable.name], ViewType)

    def index_of(self, access: Any) -> Any:
        if isinstance(access, ir.StaticSetItem) or getattr(access, "op", "") == "static_getitem":
            if access.index_var is not None:
                return access.index_var
            if not isinstance(access.index, int):
                raise NumbaValueError(f"a view is indexed by an integer, not {access.index!r}", loc=access.loc)
            return self.constant(access.index, access.loc)
        return access.index

    def variable(self, ty: types.Type, loc: Any) -> Any:
        variable = self.block.scope.redefine("$place", loc)
        self.typemap[variable.name] = ty
        return variable

    def assign(self, value: Any, ty: types.Type, loc: Any) -> Any:
        variable = self.variable(ty, loc)
        self.out.append(ir.Assign(value, variable, loc))
        return variable

    def constant(self, number: int, loc: Any) -> Any:
        # use_literal_type=False: the value of a literal-typed constant would come from its type
        return self.assign(ir.Const(number, loc, use_literal_type=False), types.int64, loc)

    def call_expression(self, function: Any, *args: Any) -> Any:
        loc = args[-1].loc
        callee_type = self.state.typingctx.resolve_value_type(function)
        callee = self.assign(ir.Global(function.__name__, function, loc), callee_type, loc)
        call = ir.Expr.call(callee, args, (), loc)
        arg_types = tuple(types.unliteral(self.typemap[arg.name]) for arg in args)
        self.calltypes[call] = self.state.typingctx.resolve_function_type(callee_type, arg_types, {})
        return call

    def call(self, function: Any, *args: Any) -> None:
        self.assign(self.call_expression(function, *args), types.none, args[-1].loc)


def _is_tasklet(ty: types.Type) -> bool:
    return isinstance(ty, types.BaseNamedTuple) and issubclass(ty.instance_class, Tasklet)
