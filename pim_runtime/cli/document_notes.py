"""What is wrong in the design documents, beside the numbers that it concerns, as the registry of claims words it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from host.claims.claim import Leaf

__all__ = ["document_says", "error_notes"]


def error_notes(ids: Iterable[str]) -> tuple[str, ...]:
    """A line for each error, in order and once each: its id, what is wrong, what is right.

    Raises KeyError for an id that no error has.
    """
    from host.claims.registry import load_registry

    errors = load_registry().document_errors
    return tuple(f"{id_}  wrong: {errors[id_].wrong}. Right: {errors[id_].right}." for id_ in dict.fromkeys(ids))


def document_says(claim_id: str) -> Mapping[str, Leaf]:
    """What a document prints where a claim was read from, by path. Raises ValueError for an unknown claim."""
    from host.claims.registry import load_registry

    (claim,) = load_registry().select([claim_id])
    return claim.document_says
