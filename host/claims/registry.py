"""The registry of claims: reads the shipped files, checks that they fit together, and finds claims by id.

Owns `Registry` and the two files in `data`. Files are read with `yaml.safe_load` only.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from .claim import Claim, DocumentError, RegistryError, claim_from, document_error_from

__all__ = ["Registry", "load_registry", "parse_registry"]

_SCHEMA_VERSION = 1
_CLAIMS_FILE, _ERRORS_FILE = "claims.yaml", "document_errors.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """All claims, in the order of the file.

    subjects: what each document is about. document_errors: by id.
    published, golden: the file's tables of measured cells and of reference outputs, as read.
    """

    claims: tuple[Claim, ...]
    subjects: Mapping[int, str]
    document_errors: Mapping[str, DocumentError]
    published: Mapping[str, Any]
    golden: Mapping[str, Any]

    def select(self, patterns: Sequence[str]) -> tuple[Claim, ...]:
        """Claims whose id matches any of the shell patterns, such as "C0-*", in the order of the registry.

        Raises ValueError for a pattern that matches none.
        """
        for pattern in patterns:
            if not any(fnmatchcase(claim.id, pattern) for claim in self.claims):
                families = dict.fromkeys(claim.id.partition("-")[0] + "-*" for claim in self.claims)
                raise ValueError(
                    f"no claim matches {pattern!r}: use an id such as {self.claims[0].id}, or one of the patterns "
                    f"{', '.join(families)}"
                )
        return tuple(claim for claim in self.claims if any(fnmatchcase(claim.id, pattern) for pattern in patterns))


@functools.cache
def load_registry() -> Registry:
    """The registry that is shipped, read once. Raises RegistryError if its files were damaged."""
    folder = importlib.resources.files("host.claims").joinpath("data")
    return parse_registry(
        folder.joinpath(_CLAIMS_FILE).read_text(encoding="utf-8"),
        folder.joinpath(_ERRORS_FILE).read_text(encoding="utf-8"),
    )


def parse_registry(claims_text: str, errors_text: str) -> Registry:
    """The registry in two YAML texts: of the claims, and of the documents' errors.

    Raises RegistryError with file and place for what is no YAML, for a broken entry, an id given twice, and an error
    that a claim cites and nobody explains.
    """
    content = _mapping_of(claims_text)
    claims = tuple(
        claim_from(entry, place=f"{_CLAIMS_FILE}, entry {index}")
        for index, entry in enumerate(_list(content.get("claims"), f"{_CLAIMS_FILE}: claims"))
    )
    _refuse_repeated([claim.id for claim in claims], _CLAIMS_FILE)
    document_errors = _document_errors(errors_text)
    for claim in claims:
        unknown = [error for error in claim.errors if error not in document_errors]
        if unknown:
            raise RegistryError(
                f"{_CLAIMS_FILE}, claim {claim.id!r}: errors names {', '.join(unknown)}, which {_ERRORS_FILE} does not "
                "explain. Add it there."
            )
    return Registry(
        claims=claims,
        subjects={number: document["subject"] for number, document in content["seeds"].items()},
        document_errors=document_errors,
        published=content["published"],
        golden=content["golden"],
    )


def _mapping_of(text: str) -> dict[str, Any]:
    content = _read(text, _CLAIMS_FILE)
    required = ("schema_version", "seeds", "published", "golden", "claims")
    missing = [key for key in required if not isinstance(content, dict) or key not in content]
    if missing:
        raise RegistryError(f"{_CLAIMS_FILE}: {', '.join(missing)} missing at the top level.")
    if content["schema_version"] != _SCHEMA_VERSION:
        raise RegistryError(
            f"{_CLAIMS_FILE}: schema_version is {content['schema_version']!r}. Only {_SCHEMA_VERSION} is known."
        )
    return dict(content)


def _document_errors(text: str) -> dict[str, DocumentError]:
    entries = _list(_read(text, _ERRORS_FILE), _ERRORS_FILE)
    errors = [document_error_from(entry, place=f"{_ERRORS_FILE}, entry {i}") for i, entry in enumerate(entries)]
    _refuse_repeated([error.id for error in errors], _ERRORS_FILE)
    return {error.id: error for error in errors}


def _read(text: str, name: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "unknown place"
        raise RegistryError(f"{name}, {place}: {error.problem or error}. Mend the YAML there.") from error


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise RegistryError(f"{place} is a {type(value).__name__}. It must be a list of entries.")
    return value


def _refuse_repeated(ids: list[str], name: str) -> None:
    repeated = [key for key, count in Counter(ids).items() if count > 1]
    if repeated:
        raise RegistryError(f"{name}: {', '.join(repeated)} given more than once. Ids are unique.")
