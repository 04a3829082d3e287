"""Names in a counted function: those that meters use, and which of the author's still hold the same value.

Everything that counting puts into a function begins with PREFIX, which the author's names do not.
"""

from __future__ import annotations

import ast
from collections import Counter as Tally
from collections.abc import Iterable

from .. import device
from ..device.integers import IntegerType
from ..language.syntax import RESERVED_PREFIX
from ..symbols import WramSymbol
from . import tree
from .device_calls import IS_ARITHMETIC
from .folding import BUILTINS
from .operations import Routine
from .types import Types, is_fixed
from .values import INT, Int, Known, Value, ViewOf, of_kind

__all__ = ["ANYTHING", "KEPT", "METERS", "PREFIX", "RUN_TIME", "SPEND", "Names", "element_of", "has_effects", "kind_of"]

PREFIX = RESERVED_PREFIX
METERS, MEASURES = f"{PREFIX}m", f"{PREFIX}x"  # a tasklet's meters, and whether this DPU measures
PLACEHOLDER = f"{PREFIX}leave"
KEPT = f"{PREFIX}v"  # values that are computed before the statement which needs them
ADD, SPEND = f"{PREFIX}add", f"{PREFIX}spend"
RUN_TIME = {
    ADD: "add_meter",
    f"{PREFIX}measures": "measures",
    **{f"{PREFIX}{routine.measured_by}": routine.measured_by for routine in Routine},
}
"""Functions of device.meters by the name that counted functions call them."""

ANYTHING = "*"  # a kind of element: all of them, as after a DMA
BYTES = ("int8", "uint8")  # C lets a pointer to char point at anything


class Names:
    """Meters and helper variables of one function, and the versions of its variables and of WRAM."""

    def __init__(self) -> None:
        self.meters: list[int] = []
        self._measuring: set[int] = set()
        self._versions: Tally[str] = Tally()
        self._fresh = 0

    # what counting adds

    def fresh(self, purpose: str) -> str:
        """A new variable."""
        self._fresh += 1
        return f"{PREFIX}{purpose}{self._fresh}"

    def add_to(self, meter: int, amount: ast.expr, at: ast.AST) -> ast.stmt:
        """Add to a meter of the tasklet, in memory."""
        return tree.statement(tree.call(ADD, [tree.name(METERS, at), tree.number(meter, at), amount], at))

    def collect(self, meter: int, amount: ast.expr, at: ast.AST) -> ast.stmt:
        """Add to a meter inside a loop: in a variable, which `collected` brings to memory."""
        if meter not in self.meters:
            self.meters.append(meter)
        return tree.add_to(_variable(meter), amount, at)

    def leave(self, at: ast.AST) -> ast.stmt:
        """Where a loop may be left, or a phase end: a placeholder, since the loop's meters are known at its end."""
        return tree.assign(PLACEHOLDER, tree.number(0, at), at)

    def collected(self, loop: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
        """An outermost loop between the start of its variables and their way to memory."""
        meters, self.meters = self.meters, []
        start = [tree.assign(_variable(meter), tree.number(0, at), at) for meter in meters]
        body = _Placeholders(meters).visit(ast.Module(loop, [])).body
        add = {meter: self.add_to(meter, tree.name(_variable(meter), at), at) for meter in meters}
        end = [statement for meter, statement in add.items() if meter not in self._measuring]
        measured = [statement for meter, statement in add.items() if meter in self._measuring]
        return [*start, *body, *end, *(self.where_measuring(measured, at) if measured else [])]

    def measure(self, meter: int, routine: Routine, a: str, b: str, at: ast.AST) -> ast.expr:
        """What depends on the operands of a routine, which `meter` collects."""
        self._measuring.add(meter)
        return tree.call(f"{PREFIX}{routine.measured_by}", [tree.name(a, at), tree.name(b, at)], at)

    def where_measuring(self, statements: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
        """Statements for DPUs that measure only."""
        return [ast.copy_location(ast.If(tree.name(MEASURES, at), statements, []), at)]

    def call(self, function: str, arguments: list[ast.expr], at: ast.AST) -> ast.Call:
        """A call of a counted function, which gets the meters first."""
        return tree.call(function, [tree.name(METERS, at), *arguments], at)

    # what still holds

    def changed(self, names: Iterable[str]) -> None:
        """These variables have new values now."""
        for name in names:
            self._versions[name] += 1

    def wrote(self, kinds: Iterable[str]) -> None:
        """Elements of these kinds may have new values now."""
        for kind in kinds:
            self._versions[ANYTHING if kind in (ANYTHING, *BYTES) else f"{ANYTHING}{kind}"] += 1

    @staticmethod
    def read(node: ast.expr) -> set[str]:
        """Variables that an expression reads."""
        return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}

    def is_fixed_in(self, node: ast.expr, changes: frozenset[str], writes: frozenset[str], types: Types) -> bool:
        """Whether a loop that changes these names and kinds of elements leaves an expression as it is."""
        if self.key(node, types) is None or self.read(node) & changes:
            return False
        loaded = {kind for part in ast.walk(node) if (kind := _loaded_kind(part, types)) is not None}
        return not loaded or not (writes & ({ANYTHING, *BYTES} | loaded))

    def key(self, node: ast.expr, types: Types) -> str | None:
        """What stands for the value of an expression; None when it does more than compute a value."""
        if is_fixed(types.of(node)) and not has_effects(node, types):
            return ast.dump(node)
        if isinstance(node, ast.Name):
            return f"{node.id}@{self._versions[node.id]}"
        parts = self._parts(node, types)
        if parts is None:
            return None
        keys = [self.key(part, types) for part in parts]
        if None in keys:
            return None
        operator = ",".join(type(op).__name__ for op in ast.walk(node) if isinstance(op, ast.operator | ast.cmpop))
        label = getattr(node, "attr", "") or getattr(getattr(node, "func", None), "attr", "") or operator
        kind = _loaded_kind(node, types)
        version = "" if kind is None else f"#{self._versions[ANYTHING]}.{self._versions[f'{ANYTHING}{kind}']}"
        return f"{type(node).__name__}:{label}({' '.join(map(str, keys))}){version}"

    def _parts(self, node: ast.expr, types: Types) -> list[ast.expr] | None:
        """Operands of a pure operation."""
        if isinstance(node, ast.BinOp):
            return [node.left, node.right]
        if isinstance(node, ast.UnaryOp):
            return [node.operand]
        if isinstance(node, ast.Compare):
            return [node.left, *node.comparators]
        if isinstance(node, ast.Attribute):
            return [node.value]
        if isinstance(node, ast.Subscript):
            return [node.value, node.slice]
        if isinstance(node, ast.Call):
            return _pure_operands(node, types)
        return None


def kind_of(target: Value) -> str:
    """The kind of element that a view or symbol holds."""
    kind = target.kind if isinstance(target, ViewOf) else getattr(getattr(target, "value", None), "kind", None)
    return kind.name if isinstance(kind, IntegerType) else ANYTHING


def element_of(target: Value) -> Int:
    """The type of the elements of a view or symbol."""
    kind = target.kind if isinstance(target, ViewOf) else getattr(getattr(target, "value", None), "kind", None)
    return of_kind(kind) if isinstance(kind, IntegerType) else INT


def has_effects(node: ast.expr, types: Types) -> bool:
    """Whether an expression does more than compute a value."""
    return any(isinstance(part, ast.Call) and _pure_operands(part, types) is None for part in ast.walk(node))


def _pure_operands(node: ast.Call, types: Types) -> list[ast.expr] | None:
    """Of a call that only computes: casts, arithmetic, builtins, windows and views of symbols."""
    if isinstance(node.func, ast.Attribute):
        owner = types.of(node.func.value)
        if isinstance(owner, ViewOf) or (isinstance(owner, Known) and isinstance(owner.value, WramSymbol)):
            return [node.func.value, *node.args] if node.func.attr in ("window", "array", "load") else None
    called = types.of(node.func)
    function = called.value if isinstance(called, Known) else None
    pure = (device.me, device.nr_tasklets, device.wram_view, *IS_ARITHMETIC, *BUILTINS)
    return [node.func, *node.args] if isinstance(function, IntegerType) or function in pure else None


def _loaded_kind(node: ast.AST, types: Types) -> str | None:
    """The kind of element that an expression itself loads from WRAM."""
    if isinstance(node, ast.Subscript):
        view = types.of(node.value)
        return view.kind.name if isinstance(view, ViewOf) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load":
        owner = types.of(node.func.value)
        return owner.value.kind.name if isinstance(owner, Known) and isinstance(owner.value, WramSymbol) else None
    return None


def _variable(meter: int) -> str:
    return f"{PREFIX}n{meter}"


class _Placeholders(ast.NodeTransformer):
    """Replaces the placeholders of Names.leave: the variables go to memory, and start anew."""

    def __init__(self, meters: list[int]) -> None:
        self.meters = meters

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        target = node.targets[0]
        if not isinstance(target, ast.Name) or target.id != PLACEHOLDER:
            return node
        lines = [f"{ADD}({METERS}, {m}, {_variable(m)})\n{_variable(m)} = 0" for m in self.meters]
        return tree.parse("\n".join(lines), node)
