"""The timeline of a saved state: its rows as JSON, with the counters of launches as arrays.

Nothing that reports or another pricing need is left out, so a resumed run is told from an uninterrupted one by nothing.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from ..counters import NR_COUNTERS, Counter, LaunchCounters
from ..lines import LineCounts, LineProfile
from ..timeline import REASONS, Operation, Row, TimelineState, Waiting
from ..timing import Cost, LaunchWork, TransferMode, TransferWork, Work
from .arrays import ArrayReader, ArrayWriter
from .fields import Fields

__all__ = ["timeline_as_json", "timeline_from_json"]

INTEGERS = ("start_ps", "duration_ps", "first_dpu", "nr_dpus", "nbytes", "transfers")


def timeline_as_json(state: TimelineState, arrays: ArrayWriter) -> dict[str, object]:
    """In the types of JSON; `arrays` takes the counters."""
    return {
        "now_ps": state.now_ps,
        "busy_until_ps": state.busy_until_ps,
        "counters": [counter.name for counter in Counter],
        "rows": [_row_as_json(row, arrays) for row in state.rows],
    }


def timeline_from_json(fields: Fields, arrays: ArrayReader) -> TimelineState:
    """Back from `timeline_as_json`. Raises ValueError and CheckpointError."""
    known = [counter.name for counter in Counter]
    if fields.value("counters") != known:
        raise ValueError(f"its counters are {fields.value('counters')} in place of {known}")
    return TimelineState(
        rows=tuple(_row_from_json(row, arrays) for row in fields.each("rows")),
        now_ps=fields.integer("now_ps"),
        busy_until_ps=fields.counts("busy_until_ps"),
    )


def _row_as_json(row: Row, arrays: ArrayWriter) -> dict[str, object]:
    return {
        "operation": row.operation,
        "mode": row.mode,
        "what": row.what,
        "waiting": row.waiting,
        **{name: int(getattr(row, name)) for name in INTEGERS},
        "ranks": [int(rank) for rank in row.ranks],
        "costs": {cost.reason: cost.duration_ps for cost in row.costs},
        "work": _work_as_json(row.work, arrays),
    }


def _row_from_json(fields: Fields, arrays: ArrayReader) -> Row:
    numbers = {name: fields.integer(name) for name in INTEGERS}
    spent = fields.fields("costs")
    return Row(
        operation=fields.word("operation", get_args(Operation)),
        mode=fields.text("mode"),
        what=fields.text("what"),
        waiting=fields.word("waiting", get_args(Waiting)),
        ranks=fields.integers("ranks"),
        costs=tuple(Cost(reason=reason, duration_ps=spent.integer(reason)) for reason in REASONS if spent.has(reason)),
        work=_work_from_json(fields.maybe_fields("work"), arrays),
        **numbers,
    )


def _work_as_json(work: Work, arrays: ArrayWriter) -> dict[str, object] | None:
    if isinstance(work, TransferWork):
        return {
            "mode": work.mode,
            "nr_dpus": int(work.nr_dpus),
            "nr_ranks": int(work.nr_ranks),
            "bytes_per_dpu": int(work.bytes_per_dpu),
        }
    if isinstance(work, LaunchWork):
        return {
            "nr_ranks": int(work.nr_ranks),
            "programs": [
                {**_counters_as_json(counters, arrays), **_lines_as_json(lines, arrays)}
                for counters, lines in zip(work.counters, work.lines, strict=True)
            ],
        }
    return None


def _work_from_json(fields: Fields | None, arrays: ArrayReader) -> Work:
    if fields is None:
        return None
    if not fields.has("programs"):
        return TransferWork(
            mode=fields.word("mode", get_args(TransferMode)),
            nr_dpus=fields.integer("nr_dpus", at_least=1),
            nr_ranks=fields.integer("nr_ranks", at_least=1),
            bytes_per_dpu=fields.integer("bytes_per_dpu"),
        )
    programs = fields.each("programs")
    return LaunchWork(
        nr_ranks=fields.integer("nr_ranks", at_least=1),
        counters=tuple(_counters_from_json(program, arrays) for program in programs),
        lines=tuple(_lines_from_json(program, arrays) for program in programs),
    )


def _counters_as_json(counters: LaunchCounters, arrays: ArrayWriter) -> dict[str, object]:
    return {
        "patterns": arrays.number(counters.patterns),
        "pattern_of": arrays.number(counters.pattern_of),
        "measured": arrays.number(counters.measured),
    }


def _counters_from_json(fields: Fields, arrays: ArrayReader) -> LaunchCounters:
    patterns = arrays.of(fields, "patterns", np.int64, 4)
    pattern_of = arrays.of(fields, "pattern_of", np.intp, 1)
    measured = arrays.of(fields, "measured", np.bool_, 1)
    if 0 in patterns.shape or patterns.shape[3] != NR_COUNTERS or measured.shape != patterns.shape[:1]:
        raise ValueError(f"counters of shape {patterns.shape} with {measured.shape} flags")
    if not len(pattern_of) or pattern_of.min() < 0 or pattern_of.max() >= len(patterns):
        raise ValueError(f"DPUs have patterns outside the {len(patterns)} that there are")
    return LaunchCounters(patterns=patterns, pattern_of=pattern_of, measured=measured)


def _lines_as_json(lines: LineProfile, arrays: ArrayWriter) -> dict[str, object]:
    counts = np.array([row.counts for row in lines.rows], np.int64).reshape(len(lines.rows), NR_COUNTERS)
    return {
        "files": [row.filename for row in lines.rows],
        "lines": [row.line for row in lines.rows],
        "counts": arrays.number(counts),
    }


def _lines_from_json(fields: Fields, arrays: ArrayReader) -> LineProfile:
    files, lines = fields.strings("files"), fields.integers("lines", at_least=1)
    counts: Any = arrays.of(fields, "counts", np.int64, 2)
    return LineProfile(
        rows=tuple(
            LineCounts(filename=filename, line=line, counts=row)
            for filename, line, row in zip(files, lines, counts, strict=True)
        )
    )
