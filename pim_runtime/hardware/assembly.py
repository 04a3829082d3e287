"""From flat, checked quantities to nested records, for any record whose leaves are annotated with a rule.

Owns the dotted keys. A field may have several kinds of record, one of which a machine states: a profile that states
values of one kind takes nothing of another kind from its base.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from types import UnionType
from typing import Any, get_args, get_type_hints

from ..errors import ProfileError
from ..quantities import Quantity, Rule, Value, checked_value

__all__ = ["SET_BY_USER", "entries_by_key", "inherited", "records_of", "rules_by_key", "set_by_user", "unknown_key"]

SET_BY_USER = "set by the user"


def rules_by_key(record: Any, prefix: str = "") -> dict[str, Rule]:
    """The rule of every value that a record may have, by dotted key, in the order of its fields."""
    rules: dict[str, Rule] = {}
    for name, hint in _annotations(record).items():
        for kind in _kinds(hint):
            rules |= rules_by_key(kind, f"{prefix}{name}.")
        if hasattr(hint, "__metadata__"):
            rules[f"{prefix}{name}"] = hint.__metadata__[0]
    return rules


def entries_by_key(
    table: Mapping[str, object], file: str, rules: Mapping[str, Rule], prefix: str = ""
) -> dict[str, object]:
    """Every entry of a nested table, by dotted key. Raises ProfileError at a key that no record has."""
    entries: dict[str, object] = {}
    for name, child in table.items():
        key = f"{prefix}{name}"
        if key in rules:
            entries[key] = child
        elif isinstance(child, dict) and any(known.startswith(f"{key}.") for known in rules):
            entries |= entries_by_key(child, file, rules, f"{key}.")
        else:
            raise unknown_key(file, key, rules)
    return entries


def unknown_key(file: str, key: str, rules: Mapping[str, Rule]) -> ProfileError:
    """The error at a key that no record has, with the nearest that one has."""
    near = get_close_matches(key, rules, n=1)
    return ProfileError(
        f"{file}, {key}: no value of a machine has this key. "
        + (f"Did you mean {near[0]}?" if near else "Remove it, or see `Hardware` for the keys.")
    )


def set_by_user(record: Any, file: str, values: Mapping[str, Value | float]) -> dict[str, Quantity]:
    """Values that replace those of a machine, by dotted key, as quantities whose provenance is "assumed".

    Raises ProfileError for an unknown key, and for a value that its rule refuses.
    """
    rules, own = rules_by_key(record), {}
    for key, raw in values.items():
        if key not in rules:
            raise unknown_key(file, key, rules)
        own[key] = Quantity(
            key=key,
            value=checked_value(rules[key], file=file, key=key, raw=raw),
            unit=rules[key].unit,
            provenance="assumed",
            source=SET_BY_USER,
        )
    return own


def inherited(record: Any, file: str, own: Mapping[str, Quantity], base: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """The quantities of a record that states `own` and takes the others from `base`, in the order of its fields.

    Raises ProfileError where `own` states two kinds of one record, and where a value is in neither.
    """
    excluded: set[str] = set()
    for prefix, kinds in _alternatives(record):
        stated = [kind for kind in kinds if kind & own.keys()] or [kind for kind in kinds if kind & base.keys()]
        if len(stated) > 1:
            shown = " and ".join(min(kind & own.keys()) for kind in stated)
            raise ProfileError(f"{file}, {prefix}: states {shown}, which exclude each other. Remove one of the two.")
        chosen = stated[0] if stated else kinds[0]
        excluded |= {key for kind in kinds for key in kind if kind is not chosen}
    keys = [key for key in rules_by_key(record) if key not in excluded]
    missing = [key for key in keys if key not in own and key not in base]
    if missing:
        raise ProfileError(
            f"{file}, {missing[0]}: is missing ({len(missing)} missing in all), and a machine has every value, a link "
            f"all of one kind. Add [{missing[0]}], or take a base that has it."
        )
    return {key: own[key] if key in own else base[key] for key in keys}


def records_of(record: Any, quantities: Mapping[str, Quantity], prefix: str = "") -> dict[str, Any]:
    """The fields of a record, by name; of each field with several kinds, the kind that the quantities are of."""
    fields: dict[str, Any] = {}
    for name, hint in _annotations(record).items():
        key = f"{prefix}{name}"
        kinds = _kinds(hint)
        for kind in kinds:
            if len(kinds) == 1 or rules_by_key(kind, f"{key}.").keys() <= quantities.keys():
                fields[name] = kind(**records_of(kind, quantities, f"{key}."))
        if key in quantities:
            fields[name] = quantities[key].value
    return fields


def _alternatives(record: Any, prefix: str = "") -> Iterator[tuple[str, list[frozenset[str]]]]:
    """(dotted key, the keys of each kind) of every field that has several kinds of record."""
    for name, hint in _annotations(record).items():
        kinds = _kinds(hint)
        if len(kinds) > 1:
            yield f"{prefix}{name}", [frozenset(rules_by_key(kind, f"{prefix}{name}.")) for kind in kinds]
        for kind in kinds:
            yield from _alternatives(kind, f"{prefix}{name}.")


@functools.cache  # a sweep makes a machine for each of its points, and names of types take as long as all the rest
def _annotations(record: Any) -> Mapping[str, Any]:
    """The type of every field, with its rule."""
    return get_type_hints(record, include_extras=True)


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The records that a field may hold; none for a field that holds a value."""
    members = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(member for member in members if is_dataclass(member))
