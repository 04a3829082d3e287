"""A report as a JSON file for other programs.

Owns the file format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from ..output_file import replaced
from .output import Report

__all__ = ["report_as_json", "write_json"]


def report_as_json(report: Report, *, command: str, version: str) -> dict[str, object]:
    """{"command", "version", "title", "passed", "sections"}; a section has the fields of `output.Section`.

    Rows of a table are lists in the order of its columns. A Decimal becomes the nearest float, NaN and infinity become
    null, which JSON has no other word for. Raises TypeError for a cell that JSON cannot hold.
    """
    return {
        "command": command,
        "version": version,
        "title": report.title,
        "passed": not report.failed,
        "sections": _plain(report.sections),
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Replace `path` by `content` in one step. Raises OutputError if it cannot be written."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replaced(path) as file:
        file.write(text.encode())


def _plain(value: object) -> object:
    """`value` in the types of JSON."""
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Decimal):
        return _plain(float(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"a report holds {value!r}, a {type(value).__name__}, which JSON cannot. Use a number or a string.")
