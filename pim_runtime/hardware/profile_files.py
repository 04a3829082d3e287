"""Reading a profile file, for any record whose leaves are annotated with a rule, and the files that it is based on.

Owns what all profiles have in common: TOML, bases, and a source for every value. `profiles` reads machines of DPUs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..errors import ProfileError
from ..quantities import quantity_from_entry
from .assembly import entries_by_key, rules_by_key
from .profiled import Profiled

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["ProfileFolder"]


P = TypeVar("P", bound=Profiled)


@dataclass(frozen=True, slots=True)
class ProfileFolder(Generic[P]):
    """The profiles of one kind of machine.

    what: the kind, in messages. folder: with a .toml file for each that ships. record: whose fields name the values.
    """

    what: str
    folder: Any
    record: type[P]

    def available(self) -> list[str]:
        """Names of the profiles that ship, sorted."""
        return sorted(entry.name.removesuffix(".toml") for entry in self.folder.iterdir() if _is_profile(entry.name))

    def load(self, name_or_path: str | Path) -> P:
        """The machine of a profile that ships, or of a file (any path that ends in ".toml").

        A file names its base as a profile that ships, or as a path from the folder of the file.
        Raises ProfileError if there is no such profile, if it is among its own bases, or if it breaks a rule.
        """
        return self._load(name_or_path, ())

    def describes(self, name_or_path: str | Path) -> bool:
        """Whether a name is of a profile that ships, or a file states values of this kind of machine, or has a base.

        Raises ProfileError for a file that cannot be read.
        """
        path = Path(name_or_path)
        if path.suffix != ".toml":
            return str(name_or_path) in self.available()
        tree = _read(path, str(path))
        base, fields = tree.pop("base", None), {key.partition(".")[0] for key in rules_by_key(self.record)}
        return bool(tree.keys() & fields) if tree else isinstance(base, str) and base in self.available()

    def _load(self, name_or_path: str | Path, derived: tuple[Any, ...]) -> P:
        """The machine of a profile that is the base of the files `derived`, of each other in turn."""
        path = Path(name_or_path)
        if path.suffix == ".toml":
            source, name, file = path.resolve(), path.stem, str(path)
        elif str(name_or_path) in self.available():
            source, name, file = self.folder / f"{name_or_path}.toml", str(name_or_path), f"{name_or_path}.toml"
        else:
            raise ProfileError(
                f"no {self.what} {str(name_or_path)!r}. Use one of {', '.join(self.available())}, "
                f"or the path of a .toml file."
            )
        if source in derived:
            raise ProfileError(
                f"{file}: is among its own bases. Let the last of them state every value, without a base."
            )
        tree = _read(source, file)
        base = self._base(tree.pop("base", None), file, path.parent, (*derived, source))
        rules = rules_by_key(self.record)
        own = {
            key: quantity_from_entry(rules[key], file=file, key=key, entry=entry)
            for key, entry in entries_by_key(tree, file, rules).items()
        }
        return self.record.of(name, file, own, None if base is None else base.quantities)

    def _base(self, given: object, file: str, folder: Path, derived: tuple[Any, ...]) -> P | None:
        if given is None:
            return None
        if not isinstance(given, str):
            raise ProfileError(
                f'{file}, base = {given!s}: is not a name. Write base = "{self.available()[0]}", or the path of a file.'
            )
        return self._load(folder / given if given.endswith(".toml") else given, derived)


def _read(source: Any, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{file}: cannot be read as TOML: {error}. Give a readable TOML file.") from error


def _is_profile(file: str) -> bool:
    return file.endswith(".toml")
