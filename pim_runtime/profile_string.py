"""SDK profile strings, `key=value,...` (upmem-sdk 2.9): accepted as the SDK accepts them, without effect here."""

from __future__ import annotations

import re

from .errors import InvalidProfileError

__all__ = ["check_profile_string"]

BACKENDS = ("simulator", "cas", "model", "hw", "spi", "backup_spi", "scenario")
NUMBERS = (
    "chipId",
    "clockDivision",
    "fckFrequency",
    "nrThreadsPerRank",
    "nrJobsPerRank",
    "sgXferMaxBlocksPerDpu",
    "nrDpusPerCi",
    "iramSize",
    "mramSize",
    "wramSize",
)
NUMBER = re.compile("0[xX][0-9a-fA-F]+|[0-9]+")


def check_profile_string(*parts: str | None) -> dict[str, str]:
    """The joined parts as a mapping, later keys win. Raises InvalidProfileError for an entry without `=`, an unknown
    backend, or a bad number; unknown keys are accepted, as the SDK only logs them."""
    entries: dict[str, str] = {}
    for entry in re.split("[,&]", ",".join(part for part in parts if part)):
        if not entry:
            continue
        key, equals, value = entry.partition("=")
        if not equals:
            raise InvalidProfileError(f"{entry!r} is not key=value")
        entries[key.strip()] = value.strip()
    backend = entries.get("backend")
    if backend is not None and backend not in BACKENDS:
        raise InvalidProfileError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    for key in NUMBERS:
        if key in entries and not NUMBER.fullmatch(entries[key]):
            raise InvalidProfileError(f"{key}={entries[key]} is no number")
    return entries
