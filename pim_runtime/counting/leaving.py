"""Which statements may be left before their end, or end a phase."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["leaves", "may_leave", "may_leave_loop"]


def leaves(node: ast.stmt) -> bool:
    """Whether a statement itself goes elsewhere."""
    return isinstance(node, ast.Return | ast.Break | ast.Continue)


def may_leave(node: ast.stmt) -> bool:
    """Whether what follows a statement may run less often, or in another phase, than what precedes it."""
    return any(isinstance(part, ast.Return | ast.Break | ast.Continue | ast.Yield) for part in _parts(node))


def may_leave_loop(node: ast.stmt) -> bool:
    """Whether a statement of a loop's body may end the loop, or begin a phase."""
    return any(isinstance(part, ast.Return | ast.Break | ast.Yield) for part in _parts(node))


def _parts(node: ast.stmt) -> Iterator[ast.AST]:
    """Nodes of a statement, without what a `break` or `continue` in there would belong to."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            if isinstance(node, ast.For | ast.While):
                yield from (part for part in _parts(child) if not isinstance(part, ast.Break | ast.Continue))
            else:
                yield from _parts(child)
        else:
            yield from ast.walk(child)
