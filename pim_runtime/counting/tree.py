"""Small pieces of syntax tree, placed at the line of the node that they belong to."""

from __future__ import annotations

import ast
import copy
from typing import Any, TypeVar

__all__ = ["add_to", "assign", "call", "name", "number", "parse", "placed", "replaced", "statement"]

Node = TypeVar("Node", bound=ast.AST)


def replaced(node: Node, **fields: Any) -> Node:
    """A copy of a node with other fields."""
    changed = copy.copy(node)
    for field, value in fields.items():
        setattr(changed, field, value)
    return changed


def name(identifier: str, at: ast.AST) -> ast.Name:
    """A variable that is read."""
    return ast.copy_location(ast.Name(identifier, ast.Load()), at)


def number(value: int, at: ast.AST) -> ast.Constant:
    """A literal."""
    return ast.copy_location(ast.Constant(value), at)


def call(function: str, arguments: list[ast.expr], at: ast.AST) -> ast.Call:
    """A call of a function by name."""
    return ast.copy_location(ast.Call(name(function, at), arguments, []), at)


def statement(value: ast.expr) -> ast.stmt:
    """An expression as a statement."""
    return ast.copy_location(ast.Expr(value), value)


def assign(identifier: str, value: ast.expr, at: ast.AST) -> ast.stmt:
    """identifier = value"""
    target = ast.copy_location(ast.Name(identifier, ast.Store()), at)
    return ast.copy_location(ast.Assign([target], value), at)


def add_to(identifier: str, value: ast.expr, at: ast.AST) -> ast.stmt:
    """identifier += value"""
    target = ast.copy_location(ast.Name(identifier, ast.Store()), at)
    return ast.copy_location(ast.AugAssign(target, ast.Add(), value), at)


def parse(text: str, at: ast.AST) -> list[ast.stmt]:
    """Statements from text, all at one line."""
    return placed(ast.parse(text).body, at)


def placed(statements: list[ast.stmt], at: ast.AST) -> list[ast.stmt]:
    """The same statements, moved to one line."""
    for statement in statements:
        for node in ast.walk(statement):
            ast.copy_location(node, at)
    return statements
