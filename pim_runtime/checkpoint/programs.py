"""What identifies a loaded program in a saved state: its code is not there, but what must be loaded can be told.

The identity does not depend on the place of the source files, on comments, or on the release of Python.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from dataclasses import dataclass
from types import FunctionType
from typing import get_args

from ..commands import Memory
from ..device.integers import IntegerType, as_integer_type
from ..device.source_text import source_text
from ..program import DpuBinary
from ..symbols import Section
from .fields import Fields

__all__ = ["MAX_ADDRESS", "SavedProgram", "SavedVariable", "saved_program"]

MAX_ADDRESS = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedVariable:
    """A variable of a program; `address` is the offset in its memory, `nbytes` what a host may access."""

    name: str
    kind: IntegerType
    shape: tuple[int, ...]
    section: Section
    address: int
    nbytes: int

    @property
    def memory(self) -> Memory:
        """Where it lies."""
        return "wram" if self.section in ("wram", "host") else "mram"

    def as_json(self) -> dict[str, object]:
        """In the types of JSON."""
        return {
            "name": self.name,
            "kind": self.kind.name,
            "shape": self.shape,
            "section": self.section,
            "address": self.address,
            "nbytes": self.nbytes,
        }

    @classmethod
    def from_json(cls, fields: Fields) -> SavedVariable:
        """Back from `as_json`. Raises ValueError."""
        try:
            kind = as_integer_type(fields.text("kind"))
        except TypeError as error:
            raise ValueError(str(error)) from None
        return cls(
            name=fields.text("name"),
            kind=kind,
            shape=fields.integers("shape", at_least=1, at_most=MAX_ADDRESS),
            section=fields.word("section", get_args(Section)),
            address=fields.integer("address", at_most=MAX_ADDRESS),
            nbytes=fields.integer("nbytes", at_most=MAX_ADDRESS),
        )

    def __str__(self) -> str:
        shape = list(self.shape) if self.shape else ""
        return f"{self.section} {self.kind} {self.name}{shape} at {self.address:#x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedProgram:
    """A program by its name, number of tasklets, variables, and the SHA-256 of all that it is made of."""

    name: str
    nr_tasklets: int
    fingerprint: str
    variables: tuple[SavedVariable, ...]

    def as_json(self) -> dict[str, object]:
        """In the types of JSON."""
        return {
            "name": self.name,
            "nr_tasklets": self.nr_tasklets,
            "fingerprint": self.fingerprint,
            "variables": [variable.as_json() for variable in self.variables],
        }

    @classmethod
    def from_json(cls, fields: Fields) -> SavedProgram:
        """Back from `as_json`. Raises ValueError."""
        if len(bytes.fromhex(fields.text("fingerprint"))) != hashlib.sha256().digest_size:
            raise ValueError(f"{fields.text('fingerprint')!r} is no SHA-256")
        return cls(
            name=fields.text("name"),
            nr_tasklets=fields.integer("nr_tasklets", at_least=1),
            fingerprint=fields.text("fingerprint"),
            variables=tuple(map(SavedVariable.from_json, fields.each("variables"))),
        )

    def difference(self, loaded: SavedProgram) -> str:
        """How a loaded program differs from this saved one, as part of a sentence; empty when it does not."""
        if self.fingerprint == loaded.fingerprint:
            return ""
        if (self.name, self.nr_tasklets) != (loaded.name, loaded.nr_tasklets):
            return f"but {loaded} is loaded"
        before, now = map(str, self.variables), map(str, loaded.variables)
        for saved, present in zip(before, now, strict=False):
            if saved != present:
                return f"but the one that is loaded has the variable `{present}` in place of `{saved}`"
        if len(self.variables) != len(loaded.variables):
            return f"but the one that is loaded has {len(loaded.variables)} variables in place of {len(self.variables)}"
        return "but the one that is loaded has another kernel, constants or initial values"

    def __str__(self) -> str:
        return f"program {self.name!r} with {self.nr_tasklets} tasklets"


@functools.lru_cache(maxsize=256)
def saved_program(binary: DpuBinary) -> SavedProgram:
    """What identifies a program."""
    variables = tuple(
        SavedVariable(
            name=symbol.name,
            kind=symbol.kind,
            shape=symbol.shape,
            section=symbol.section,
            address=symbol.address,
            nbytes=binary.nbytes_of(symbol),
        )
        for symbol in binary.variables.values()
    )
    digest = hashlib.sha256(f"{binary.name} {binary.nr_tasklets}".encode())
    for fact in (*map(str, variables), *map(_text, binary.closure.functions), *binary.closure.meanings):
        digest.update(f"\n{fact}".encode())
    digest.update(binary.wram_image)
    for address, image in binary.mram_segments:
        digest.update(b"%d" % address + image)
    return SavedProgram(
        name=binary.name, nr_tasklets=binary.nr_tasklets, fingerprint=digest.hexdigest(), variables=variables
    )


def _text(function: FunctionType) -> str:
    """The source of a function without its comments, or its code where there is no source."""
    text = source_text(function)
    if text is None:
        return function.__code__.co_code.hex()
    definition = text.parsed()
    if isinstance(definition, ast.FunctionDef) and ast.get_docstring(definition, clean=False) is not None:
        definition.body = definition.body[1:] or [ast.Pass()]
    return ast.unparse(definition)
