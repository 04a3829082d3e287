"""One claim of a design document: what it states, how closely a number of ours must agree, and its validation.

Owns the records `Claim`, `Tolerance` and `DocumentError` and the rules that a raw entry must obey (spec 0.2 and 13).
`registry` reads files, `judging` compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from pim_runtime.errors import PimError

__all__ = [
    "Claim",
    "ClaimClass",
    "DocumentError",
    "Leaf",
    "RegistryError",
    "Tolerance",
    "claim_from",
    "document_error_from",
    "leaves",
]

ClaimClass = Literal["A", "F", "M", "T", "R"]
"""Arithmetic, functional, modelled, trend, record only."""

Rule = Literal["exact", "bound", "holds", "record", "near", "spread"]
NAMED_RULES: tuple[Rule, ...] = ("exact", "bound", "holds", "record")
DOCUMENTS = (0, 1, 2, 3, 4, "common")

Leaf: TypeAlias = bool | int | float | str

_REQUIRED_FIELDS = ("id", "seed", "class", "what", "expected", "tolerance", "errors", "requires")
_OPTIONAL_FIELDS = ("seed_says", "note")


class RegistryError(PimError, ValueError):
    """A registry file cannot be used. The message names the file, the entry, the value and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How closely ours must agree.

    rule: "exact"; "near", within `relative` of the expected size plus `absolute`; "bound", a proven inequality;
        "holds", a relation; "spread", many deviations whose largest and median are limited; "record", never judged.
    """

    rule: Rule
    relative: float = 0.0
    absolute: float = 0.0
    largest: float = 0.0
    median: float = 0.0

    def __str__(self) -> str:
        limits = {"rel": self.relative, "abs": self.absolute, "max": self.largest, "median": self.median}
        return " ".join(f"{name} {limit:g}" for name, limit in limits.items() if limit) or self.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An entry of the registry.

    document: 0 to 4, or "common" for bounds that the documents share.
    expected, document_says: leaves by their path (`leaves`); the second is empty where the document prints nothing.
    errors: ids of the document's errors that apply. requires: ids of the requirements that a check exercises.
    """

    id: str
    document: int | Literal["common"]
    claim_class: ClaimClass
    what: str
    expected: Mapping[str, Leaf]
    tolerance: Tolerance
    document_says: Mapping[str, Leaf]
    errors: tuple[str, ...]
    requires: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentError:
    """Something a document says that is wrong, and the right value or how it is handled."""

    id: str
    wrong: str
    right: str


def leaves(value: Any) -> dict[str, Leaf]:
    """The numbers and texts in nested lists and mappings, by path: {"int8": [1, 2]} gives "int8[0]" and "int8[1]".

    A single number or text has the path "". Raises TypeError for anything else.
    """
    found: dict[str, Leaf] = {}
    _collect(value, "", found)
    return found


def claim_from(entry: Any, *, place: str) -> Claim:
    """The claim of a raw registry entry. Raises RegistryError, which begins with `place`, for a broken rule."""
    fields = _mapping(entry, place, required=_REQUIRED_FIELDS, optional=_OPTIONAL_FIELDS)
    place = f"{place}, claim {fields['id']!r}"
    claim = Claim(
        id=_text(fields["id"], place, "id"),
        document=_one_of(fields["seed"], DOCUMENTS, place, "seed"),
        claim_class=_one_of(fields["class"], get_args(ClaimClass), place, "class"),
        what=_text(fields["what"], place, "what"),
        expected=_leaves(fields["expected"], place, "expected"),
        tolerance=_tolerance(fields["tolerance"], place),
        document_says=_leaves(fields["seed_says"], place, "seed_says") if "seed_says" in fields else {},
        errors=_texts(fields["errors"], place, "errors"),
        requires=_texts(fields["requires"], place, "requires"),
        note=_text(fields["note"], place, "note") if "note" in fields else "",
    )
    if (claim.claim_class == "R") != (claim.tolerance.rule == "record"):
        raise RegistryError(
            f"{place}: class {claim.claim_class} with tolerance {claim.tolerance}. "
            "Class R, and only class R, has tolerance 'record'."
        )
    return claim


def document_error_from(entry: Any, *, place: str) -> DocumentError:
    """The document error of a raw entry. Raises RegistryError for a broken rule."""
    fields = _mapping(entry, place, required=("id", "wrong", "right"), optional=())
    texts = {name: _text(fields[name], place, name) for name in ("id", "wrong", "right")}
    return DocumentError(**texts)


def _collect(value: Any, path: str, found: dict[str, Leaf]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _collect(item, f"{path}.{key}" if path else str(key), found)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", found)
    elif isinstance(value, bool | int | float | str):
        found[path] = value
    else:
        raise TypeError(f"{path or 'value'} is {value!r}: numbers, texts, lists and mappings can be compared")


def _mapping(entry: Any, place: str, *, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise RegistryError(f"{place}: {entry!r} is not a mapping. It needs the keys {', '.join(required)}.")
    name = f"{place}, claim {entry['id']!r}" if "id" in entry else place
    missing = [key for key in required if key not in entry]
    if missing:
        raise RegistryError(f"{name}: {', '.join(missing)} missing. Required are {', '.join(required)}.")
    unknown = [str(key) for key in entry if key not in required + optional]
    if unknown:
        raise RegistryError(f"{name}: unknown key {', '.join(unknown)}. Known are {', '.join(required + optional)}.")
    return entry


def _tolerance(value: Any, place: str) -> Tolerance:
    if isinstance(value, str) and value in NAMED_RULES:
        return Tolerance(rule=value)
    limits = value.values() if isinstance(value, dict) else ()
    if limits and all(isinstance(limit, float | int) and limit > 0 for limit in limits):
        if value.keys() <= {"rel", "abs"}:
            return Tolerance(rule="near", relative=value.get("rel", 0.0), absolute=value.get("abs", 0.0))
        if value.keys() == {"max_rel", "median_rel"}:
            return Tolerance(rule="spread", largest=value["max_rel"], median=value["median_rel"])
    raise RegistryError(
        f"{place}: tolerance is {value!r}. Choose {', '.join(NAMED_RULES)}, or positive numbers {{rel: x}}, {{abs: x}} "
        "or {max_rel: x, median_rel: y}."
    )


def _leaves(value: Any, place: str, key: str) -> Mapping[str, Leaf]:
    try:
        return leaves(value)
    except TypeError as error:
        raise RegistryError(f"{place}: {key}: {error}.") from error


def _one_of(value: Any, choices: tuple[Any, ...], place: str, key: str) -> Any:
    if isinstance(value, bool) or value not in choices:
        raise RegistryError(f"{place}: {key} is {value!r}. Choose one of {', '.join(map(str, choices))}.")
    return value


def _text(value: Any, place: str, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise RegistryError(f"{place}: {key} is {value!r}. It must be a text.")
    return value


def _texts(value: Any, place: str, key: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RegistryError(f"{place}: {key} is {value!r}. It must be a list of ids, which may be empty.")
    return tuple(_text(item, place, key) for item in value)
