"""Values of a JSON object from a file, checked when they are read: a file may hold anything."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

__all__ = ["Fields"]

Word = TypeVar("Word", bound=str)


class Fields:
    """The entries of a JSON object; `where` is what errors call it. Methods raise ValueError for a wrong value."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {_kind(value)} in place of an object")
        self._entries, self._where = value, where

    def value(self, key: str) -> Any:
        """Any value that is there."""
        if key not in self._entries:
            raise ValueError(f"{self._where} has no {key!r}")
        return self._entries[key]

    def has(self, key: str) -> bool:
        """Whether there is such an entry."""
        return key in self._entries

    def integer(self, key: str, *, at_least: int = 0, at_most: int | None = None) -> int:
        """An integer inside limits."""
        return self._integer(self.value(key), key, at_least, at_most)

    def integers(self, key: str, *, at_least: int = 0, at_most: int | None = None) -> tuple[int, ...]:
        """A list of integers inside limits."""
        return tuple(self._integer(value, key, at_least, at_most) for value in self._list(key))

    def text(self, key: str) -> str:
        """A string."""
        value = self.value(key)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(key, values, "a list of texts")
        return tuple(values)

    def word(self, key: str, words: Collection[Word]) -> Word:
        """One of some words."""
        value = self.text(key)
        for word in words:
            if word == value:
                return word
        raise ValueError(f"{self._where}: {key} is {value!r} in place of one of {', '.join(words)}")

    def fields(self, key: str) -> Fields:
        """An object."""
        return Fields(self.value(key), f"{self._where}, {key}")

    def maybe_fields(self, key: str) -> Fields | None:
        """An object, or None for null."""
        return None if self.value(key) is None else self.fields(key)

    def each(self, key: str) -> list[Fields]:
        """A list of objects."""
        return [Fields(value, f"{self._where}, {key}[{index}]") for index, value in enumerate(self._list(key))]

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        inner = self.fields(key)
        return {name: inner.text(name) for name in inner._entries}

    def counts(self, key: str) -> dict[int, int]:
        """An object whose keys are numbers and whose values are integers of at least 0."""
        inner = self.fields(key)
        return {int(name): inner.integer(name) for name in inner._entries}

    def _list(self, key: str) -> list[Any]:
        value = self.value(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value

    def _integer(self, value: object, key: str, at_least: int, at_most: int | None) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, value, "an integer")
        if value < at_least or (at_most is not None and value > at_most):
            limit = f"{at_least} or more" if at_most is None else f"{at_least} to {at_most}"
            raise ValueError(f"{self._where}: {key} is {value:#x} in place of {limit}")
        return value

    def _wrong(self, key: str, value: object, wanted: str) -> ValueError:
        return ValueError(f"{self._where}: {key} is {_kind(value)} in place of {wanted}")


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
