"""What reports about selections share: the queries they are of, and the check of every error against its bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .output import Check, Section, Value
from .sprint_report import shown_heads

if TYPE_CHECKING:
    from host.sprint.inputs import QueryStream
    from host.sprint.quality import Quality

__all__ = ["PERCENT", "bounds_check", "percent", "stream_section"]

PERCENT = 100


def stream_section(stream: QueryStream, queries: str) -> Section:
    """What is attended to, and what dense attention reads and multiplies. queries: where the stream is from."""
    from host.sprint.head import attention_macs, kv_token_bytes

    layers = f" of {stream.layers} layers" if stream.layers > 1 else ""
    values = (
        Value(
            name="attention",
            value=f"{shown_heads(stream.heads)}{layers}, {stream.queries.shape[1]} queries x {stream.tokens} tokens x "
            f"{stream.dim}, int8",
            origin="exact",
            source=f"queries: {queries}; a query after the other, padding left out",
        ),
        Value(
            name="dense attention reads",
            value=stream.tokens * kv_token_bytes(stream.dim),
            unit="bytes/query",
            origin="exact",
            source="every row of K and V",
        ),
        Value(
            name="dense attention multiplies",
            value=attention_macs(stream.dim, stream.tokens),
            unit="MACs/query",
            origin="exact",
        ),
    )
    return Section(title="Queries", values=values)


def bounds_check(qualities: Sequence[Quality], *, outputs: int) -> Check:
    """Whether every output of every selection is within its own bound. outputs: of one selection."""
    largest = max(quality.largest_share for quality in qualities)
    return Check(
        name="outputs within their bound",
        passed=largest <= 1,
        detail=f"{len(qualities) * outputs:,} outputs against dense attention in float64; the nearest to its bound "
        f"has {largest:.1%} of it (B-3, B-5, B-6)",
    )


def percent(share: float) -> float | None:
    """A share as a cell of a table; None for NaN, where there is nothing to have a share of."""
    return None if math.isnan(share) else PERCENT * share
