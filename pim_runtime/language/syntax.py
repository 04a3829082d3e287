"""Rules of the kernel language that the syntax tree shows.

Integers only, no construct that a DPU has no counterpart for, and blocking calls exactly where a kernel yields. Types
are checked later by the compiler (compiler/integer_only.py); what is caught here has an exact column and costs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

from ..device.source_text import source_text
from ..device.sync import BLOCKING
from ..errors import KernelError
from .diagnostics import point_at

__all__ = ["RESERVED_PREFIX", "check_syntax"]

FORBIDDEN: dict[type[ast.AST], str] = {
    ast.Lambda: "a kernel cannot define functions; write the helper at module level and mark it @dpu_function",
    ast.ListComp: "a DPU has no lists; use a loop over a WRAM view",
    ast.SetComp: "a DPU has no sets; use a loop over a WRAM view",
    ast.DictComp: "a DPU has no dictionaries; use a loop over a WRAM view",
    ast.GeneratorExp: "a DPU has no generators; use a loop",
    ast.List: "a DPU has no lists; allocate a WRAM view with mem_alloc",
    ast.Set: "a DPU has no sets; allocate a WRAM view with mem_alloc",
    ast.Dict: "a DPU has no dictionaries; allocate a WRAM view with mem_alloc",
    ast.Slice: "a view has no slices; use view.window(first, length)",
    ast.JoinedStr: "a DPU has no strings; printf takes a literal format",
    ast.Try: "a DPU has no exceptions; a fault ends the DPU",
    ast.Raise: "a DPU has no exceptions; stop with assert_that(t, condition) or halt(t)",
    ast.With: "a DPU has no context managers",
    ast.ClassDef: "a kernel cannot define classes",
    ast.AsyncFunctionDef: "a kernel is a plain generator function: use `def`",
    ast.Await: "a kernel is a plain generator function: use `yield` where a tasklet can block",
    ast.YieldFrom: "`yield from` is not available: only the kernel itself may block",
    ast.Import: "a kernel cannot import; import at module level",
    ast.ImportFrom: "a kernel cannot import; import at module level",
    ast.Global: "a kernel has no global variables; declare a WRAM symbol",
    ast.Nonlocal: "a kernel has no outer variables; declare a WRAM symbol",
    ast.Delete: "a kernel cannot delete variables",
    ast.Starred: "a DPU has no argument lists",
    ast.Match: "a kernel chooses with `if`",
}
RESERVED_PREFIX = "_pim_"  # of what counting puts into a kernel (counting.names)


def check_syntax(function: FunctionType, *, blocking: bool) -> None:
    """Raise KernelError at the first construct that is not part of the language.

    `blocking` tells a kernel, which may yield, from a dpu_function, which may not.
    """
    _Checker(function).check("kernel" if blocking else "function")


class _Checker:
    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.filename = function.__code__.co_filename
        text = source_text(function)
        if text is None:
            raise _unreadable(function)
        try:
            self.tree = text.parsed()
        except SyntaxError:
            raise _unreadable(function) from None
        if getattr(self.tree, "name", "<lambda>") != function.__name__:
            raise _unreadable(function)  # another text under the same file name, such as "<string>"

    def refuse(self, node: ast.AST, reason: str, mend: str = "") -> KernelError:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        same_line = getattr(node, "end_lineno", line) == line
        width = getattr(node, "end_col_offset", column + 1) - column if same_line else 1
        return KernelError(point_at(reason, self.filename, line, column=column, width=width, mend=mend))

    def check(self, what: str) -> None:
        if not isinstance(self.tree, ast.FunctionDef):
            raise self.refuse(self.tree, f"a {what} must be a plain function")
        arguments = self.tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            raise self.refuse(self.tree, f"a {what} takes plain positional arguments only")
        if what == "kernel" and len(arguments.args) != 1:
            raise self.refuse(self.tree, "a kernel takes exactly one argument, its tasklet: `def kernel(t):`")
        yielded = set()
        texts = set(self.permitted_texts())
        for node in self.body():
            self.check_node(node)
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and node not in texts:
                raise self.refuse(node, "a DPU has no strings; printf takes a literal format")
            if isinstance(node, ast.Yield):
                if what != "kernel":
                    raise self.refuse(node, "only the kernel itself may block, not a dpu_function")
                yielded.add(self.blocking_call(node))
        for node in self.body():
            if isinstance(node, ast.Call) and _called(node) in BLOCKING and node not in yielded:
                name = _called(node)
                raise self.refuse(node, f"{name} has no effect without yield", f"write `yield {name}(...)`")

    def body(self) -> Iterator[ast.AST]:
        assert isinstance(self.tree, ast.FunctionDef)
        for statement in self.tree.body:
            yield from ast.walk(statement)

    def permitted_texts(self) -> Iterator[ast.AST]:
        """Strings that are no values: docstrings, formats of printf, and what assert or print say in CPython."""
        for node in self.body():
            if isinstance(node, ast.Expr):
                yield node.value
            elif isinstance(node, ast.Assert) and node.msg is not None:
                yield node.msg
            elif isinstance(node, ast.Call) and _called(node) in ("print", "printf"):
                yield from node.args

    def check_node(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef):
            raise self.refuse(node, FORBIDDEN[ast.Lambda])
        reason = FORBIDDEN.get(type(node))
        if reason:
            raise self.refuse(node, reason)
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            raise self.refuse(
                node, f"DPU kernels are integer-only, but this is {type(node.value).__name__}", "scale it to an integer"
            )
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            raise self.refuse(
                node, "DPU kernels are integer-only, but `/` gives a float", "use // or div(...) or a shift"
            )
        if isinstance(node, ast.Name) and node.id.startswith(RESERVED_PREFIX):
            raise self.refuse(node, f"names that begin with {RESERVED_PREFIX} are reserved", "choose another name")
        if isinstance(node, ast.Name) and node.id in ("float", "complex") and isinstance(node.ctx, ast.Load):
            raise self.refuse(node, f"DPU kernels are integer-only, but this is {node.id}")

    def blocking_call(self, node: ast.Yield) -> ast.Call:
        if isinstance(node.value, ast.Call) and _called(node.value) in BLOCKING:
            return node.value
        raise self.refuse(node, f"a kernel yields only what can block: {', '.join(BLOCKING)}")


def _unreadable(function: FunctionType) -> KernelError:
    return KernelError(f"the source of {function.__qualname__} cannot be read; put the kernel in a file")


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""
