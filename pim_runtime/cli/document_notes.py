"""What is wrong in the design documents, beside the numbers that it concerns, as the registry of claims words it."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["error_notes"]


def error_notes(ids: Iterable[str]) -> tuple[str, ...]:
    """A line for each error, in order and once each: its id, what is wrong, what is right.

    Raises KeyError for an id that no error has.
    """
    from host.claims.registry import load_document_errors

    errors = load_document_errors()
    return tuple(f"{id_}  wrong: {errors[id_].wrong}. Right: {errors[id_].right}." for id_ in dict.fromkeys(ids))
