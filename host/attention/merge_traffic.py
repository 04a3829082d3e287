"""What it costs in transfers to attend over a split context, by the way the parts are joined (M-6, M-7)."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, get_args

__all__ = ["MergeScheme", "break_even_tokens", "bytes_up", "transfers_per_step"]

MergeScheme = Literal["head_per_unit", "sums", "linear_sums", "two_launches", "scores"]
"""head_per_unit: nothing to join. sums: softmax sums (M-2). linear_sums: z-score by linearity (M-4).
two_launches: score statistics, then z-score sums (M-5). scores: the host turns scores into probabilities."""

_NUMBER_BYTES = 8


def transfers_per_step(scheme: MergeScheme) -> int:
    """Transfers of one decode step, in both directions: 2, the query and the sums, or 4 with a second exchange (M-6).

    Raises ValueError for an unknown scheme.
    """
    return 4 if _checked(scheme) in ("two_launches", "scores") else 2


def bytes_up(scheme: MergeScheme, *, parts: int, dim: int, tokens: int, score_bytes: int) -> int:
    """Bytes that the parts of one head send to the host in a step, as the records of `sums` store them (M-7).

    parts: 1 for head_per_unit. tokens: of the whole context. score_bytes: of a stored score.
    For "scores" the probabilities also go down again, as many bytes, and the weighted rows come up.
    Raises ValueError for an unknown scheme, or parts of an unsplit head.
    """
    if _checked(scheme) == "head_per_unit" and parts != 1:
        raise ValueError(f"{parts} parts of a head that is not split: it is 1.")
    weighted_row = dim * _NUMBER_BYTES
    numbers = {
        "head_per_unit": dim + 2,
        "sums": dim + 2,  # O, m, l
        "linear_sums": 2 * dim + 5,  # A, B, S1, three limbs of S2, n
        "two_launches": dim + 7,  # n, S1, three limbs of S2, minimum, maximum; then the weighted row
    }
    if scheme == "scores":
        return tokens * score_bytes + parts * weighted_row
    return parts * numbers[scheme] * _NUMBER_BYTES


def break_even_tokens(*, parts: int, dim: int, score_bytes: int) -> Fraction:
    """Tokens from which on softmax sums move fewer bytes than scores up and probabilities down (M-7).

    parts (8 dim + 16) / (2 score_bytes); the weighted rows of the scores' scheme are not counted.
    """
    return Fraction(parts * (dim + 2) * _NUMBER_BYTES, 2 * score_bytes)


def _checked(scheme: MergeScheme) -> MergeScheme:
    if scheme not in get_args(MergeScheme):
        raise ValueError(f"scheme = {scheme!r}: choose one of {', '.join(get_args(MergeScheme))}.")
    return scheme
