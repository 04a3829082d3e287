"""Profiles: the files that state a machine, some of them as what differs from another one.

A profile may name a `base`, which may have one itself; a value that a profile does not state is that of its base.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import ProfileError
from ..quantities import quantity_from_entry
from .assembly import entries_by_key, rules_by_key
from .records import Hardware

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["available_profiles", "load_profile"]


def available_profiles() -> list[str]:
    """Names of the profiles that ship with the package, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml"))


def load_profile(name_or_path: str | Path) -> Hardware:
    """The machine of a shipped profile ("upmem-v1a"), or of a file (any path that ends in ".toml").

    A file names its base as a shipped profile, or as a path from the folder of the file.
    Raises ProfileError if there is no such profile, if it is among its own bases, or if it breaks a rule. `Hardware`
    has the keys and rules.
    """
    return _load(name_or_path, ())


def _load(name_or_path: str | Path, derived: tuple[Any, ...]) -> Hardware:
    """The machine of a profile that is the base of the files `derived`, of each other in turn."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        source, name, file = path.resolve(), path.stem, str(path)
    elif str(name_or_path) in available_profiles():
        source, name, file = _shipped() / f"{name_or_path}.toml", str(name_or_path), f"{name_or_path}.toml"
    else:
        raise ProfileError(
            f"no hardware profile {str(name_or_path)!r}. Use one of {', '.join(available_profiles())}, "
            f"or the path of a .toml file."
        )
    if source in derived:
        raise ProfileError(f"{file}: is among its own bases. Let the last of them state every value, without a base.")
    try:
        tree = tomllib.loads(source.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{file}: cannot be read as TOML: {error}. Give a readable TOML file.") from error
    base = _base(tree.pop("base", None), file, path.parent, (*derived, source))
    rules = rules_by_key(Hardware)
    own = {
        key: quantity_from_entry(rules[key], file=file, key=key, entry=entry)
        for key, entry in entries_by_key(tree, file, rules).items()
    }
    return Hardware.of(name, file, own, None if base is None else base.quantities)


def _base(given: object, file: str, folder: Path, derived: tuple[Any, ...]) -> Hardware | None:
    if given is None:
        return None
    if not isinstance(given, str):
        raise ProfileError(f'{file}, base = {given!s}: is not a name. Write base = "upmem-v1a", or the path of a file.')
    return _load(folder / given if given.endswith(".toml") else given, derived)


def _shipped() -> Any:
    return files("pim_runtime") / "profiles"
