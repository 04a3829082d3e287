"""Innermost loops that measure, in two versions: with the measuring for the DPUs that do, and as written for others.

A test inside the loop would keep it from vectorising.
"""

from __future__ import annotations

import ast
import copy

from . import tree
from .names import MEASURES

__all__ = ["both_ways"]


def both_ways(loop: ast.For) -> list[ast.stmt]:
    """The loop itself, or a choice between its two versions."""
    inner = [part for statement in loop.body for part in ast.walk(statement)]
    if any(isinstance(part, ast.For | ast.While | ast.Yield) for part in inner):
        return [loop]
    if not any(_is_measuring(part) for part in inner):
        return [loop]
    measuring, plain = (version().visit(copy.deepcopy(loop)) for version in (_Measuring, _Plain))
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
