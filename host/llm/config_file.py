"""A config.json as it lies on a disk: entries by name, with a clear error for each that is missing or no such thing.

Owns reading and the checks of single entries. What the entries of a kind of model are called is said in `dialects`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pim_runtime.errors import PimError

__all__ = ["ConfigFile", "ModelFileError", "read_config"]

LARGEST_FILE_BYTES = 16 << 20  # far more than any config.json; what is larger is weights, or no file of this kind
LARGEST_SIZE = 2**31 - 1


class ModelFileError(PimError, ValueError):
    """A config.json that cannot be read, or that does not describe a model that is known here."""


class ConfigFile:
    """Entries of one config.json; an entry that is null counts as not there, and a dot leads into an inner table.

    place: how messages name the file. A required entry that is missing is remembered, and a size of 1 is given for it,
    so that `refuse_missing` can name all at once. assumed: what was taken for entries that are not there.
    """

    def __init__(self, place: str, entries: dict[str, Any]) -> None:
        self.place = place
        self.assumed: list[str] = []
        self._entries = entries
        self._missing: list[str] = []

    def entry(self, *keys: str) -> tuple[str, Any]:
        """The first of the keys that is there, with its value; the first with None if none is."""
        for key in keys:
            value: Any = self._entries
            for name in key.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                return key, value
        return keys[0], None

    def has(self, *keys: str) -> bool:
        """Whether one of the keys is there."""
        return self.entry(*keys)[1] is not None

    def size(self, *keys: str, silent: int | None = None) -> int:
        """The size of this name, whose synonyms follow; `silent` if none is there, or else it is required.

        Raises ModelFileError for what is no integer, or not from 1 to 2**31 - 1.
        """
        key, value = self.entry(*keys)
        if value is None:
            return self._absent(keys, silent)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, value, "must be an integer")
        if not 1 <= value <= LARGEST_SIZE:
            raise self.error(key, value, f"must be from 1 to {LARGEST_SIZE}")
        return value

    def text(self, *keys: str, silent: str = "") -> str:
        """The text of this name, whose synonyms follow. Raises ModelFileError for another type."""
        key, value = self.entry(*keys)
        if value is None:
            return silent
        if not isinstance(value, str):
            raise self.error(key, value, "must be a text")
        return value

    def flag(self, key: str, *, silent: bool) -> bool:
        """Whether the entry is true. Raises ModelFileError for another type."""
        _, value = self.entry(key)
        if value is None:
            return silent
        if not isinstance(value, bool):
            raise self.error(key, value, "must be true or false")
        return value

    def refuse_missing(self, kind: str) -> None:
        """Raise ModelFileError with every required entry that was asked for in vain."""
        if self._missing:
            raise ModelFileError(
                f"{self.place}: {kind} needs {', '.join(self._missing)}, which the file does not state. "
                "Give the config.json that belongs to the weights"
            )

    def error(self, key: str, value: object, rule: str) -> ModelFileError:
        """What is wrong with an entry, in one line."""
        shown = json.dumps(value)
        return ModelFileError(f"{self.place}: {key} = {shown[:60]}{'...' * (len(shown) > 60)}: {rule}")

    def _absent(self, keys: tuple[str, ...], silent: int | None) -> int:
        if silent is None:
            self._missing.append(" or ".join(keys))
            return 1
        self.assumed.append(f"{keys[0]} = {silent}")
        return silent


def read_config(path: Path) -> ConfigFile:
    """The entries of a file, or of the config.json of a folder; of a model with several parts, those of its text model.

    Raises ModelFileError for what is not there, cannot be read, or is no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        what = "the folder has no config.json" if path.is_dir() else "there is no such file"
        raise ModelFileError(f"{path}: {what}. Give a config.json, or the folder of a model")
    if file.stat().st_size > LARGEST_FILE_BYTES:
        raise ModelFileError(f"{file}: {file.stat().st_size:,} bytes are too many for a config.json. Name that file")
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or an endless number
        raise ModelFileError(f"{file}: cannot be read as JSON: {error}. Give a config.json") from error
    if not isinstance(entries, dict):
        raise ModelFileError(f"{file}: holds a {type(entries).__name__}, and a config.json is an object of names")
    inner = entries.get("text_config")
    if isinstance(inner, dict) and "hidden_size" not in entries:
        return ConfigFile(f"{file}, text_config", inner)
    return ConfigFile(str(file), entries)
