"""Streams of commands as text, one command a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields

from .commands import Command, Multiply, SetHead

__all__ = ["listing"]


def listing(stream: Iterable[Command]) -> Iterator[str]:
    """Index in the stream, mnemonic and operands of each command; constants of a softmax by their number only."""
    for index, command in enumerate(stream):
        operands = " ".join(f"{name}={value}" for name, value in _operands(command))
        yield f"{index:7} {command.mnemonic:6} {operands}"


def _operands(command: Command) -> Iterator[tuple[str, object]]:
    for field in fields(command):
        value = getattr(command, field.name)
        if isinstance(command, SetHead) and field.name == "plans":
            yield "queries", len(value)
        elif isinstance(command, Multiply) and field.name == "address":
            yield from ((name, "all" if place is None else place) for name, place in value._asdict().items())
        elif isinstance(value, tuple):
            yield field.name, ",".join(map(str, value))
        else:
            yield field.name, value
