"""Innermost loops that measure, in two versions: with the measuring for the DPUs that do, and as written for others.

A test inside the loop would keep it from vectorising.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter

from . import tree
from .names import KEPT, MEASURES

__all__ = ["both_ways"]


def both_ways(loop: ast.For) -> list[ast.stmt]:
    """The loop itself, or a choice between its two versions."""
    inner = [part for statement in loop.body for part in ast.walk(statement)]
    if any(isinstance(part, ast.For | ast.While | ast.Yield) for part in inner):
        return [loop]
    if not any(_is_measuring(part) for part in inner):
        return [loop]
    measuring, plain = (version().visit(copy.deepcopy(loop)) for version in (_Measuring, _Plain))
    plain = _Whole(plain).visit(plain)
    choice = ast.If(tree.name(MEASURES, loop), [measuring], [plain])
    return [ast.copy_location(choice, loop)]


def _is_measuring(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == MEASURES


class _Measuring(ast.NodeTransformer):
    """Always measures."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        return node.body if _is_measuring(node) else self.generic_visit(node)


class _Plain(ast.NodeTransformer):
    """Never measures."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if _is_measuring(node) else self.generic_visit(node)


class _Whole(ast.NodeTransformer):
    """Puts values that were kept to be measured back where they came from: numba makes better code of expressions."""

    def __init__(self, loop: ast.AST) -> None:
        names = [node for node in ast.walk(loop) if isinstance(node, ast.Name) and node.id.startswith(KEPT)]
        uses = Counter((node.id, type(node.ctx)) for node in names)
        kept = {node.id for node in names}
        self._single = {name for name in kept if uses[name, ast.Load] == uses[name, ast.Store] == 1}
        self._values: dict[str, ast.expr] = {}

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        self.generic_visit(node)
        target = node.targets[0]
        if not isinstance(target, ast.Name) or target.id not in self._single:
            return node
        self._values[target.id] = node.value
        return None

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
