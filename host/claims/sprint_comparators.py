"""Checks of what document 4 compares SPRINT with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from host.sprint.calibration import quantile_threshold
from host.sprint.comparators.leopard import Leopard
from host.sprint.inputs import real_stream
from host.sprint.scores import exact_scores

from .judging import Answer, Holds

__all__ = ["sprint_comparator_checks"]

SEED = 15
KEEP_FRACTIONS = (0.02, 0.133, 0.5)
REAL_HEADS, REAL_QUERIES = slice(None, None, 6), slice(None, None, 8)  # heads of both layers
STEPS = (1, 2, 4, 8)


class _Case(NamedTuple):
    """Operands of heads, and a threshold of each."""

    queries: NDArray[np.int8]
    keys: NDArray[np.int8]
    theta: NDArray[np.float64]


def sprint_comparator_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {"C4-15": leopard_survivors}


def leopard_survivors() -> Answer:
    """C4-15: every decision of LeOPArd's bit-serial scan against the whole score, thresholds met exactly among them."""
    decisions, wrong, planes = 0, 0, []
    for case in _cases():
        wanted = exact_scores(case.queries, case.keys) >= case.theta[..., None]
        for bits in STEPS:
            scan = Leopard(theta=case.theta, bits_per_step=bits)
            wrong += int(np.count_nonzero(scan.select(case.queries, case.keys).keep != wanted))
            decisions += wanted.size
        planes.append(float(Leopard(theta=case.theta).planes(case.queries, case.keys).mean()))
    return Holds(
        passed=wrong == 0,
        detail=f"{wrong} of {decisions:,} decisions differ; {min(planes):.1f} to {max(planes):.1f} of 8 planes read",
    )


def _cases() -> Iterator[_Case]:
    """Shipped heads, integers of all sizes and the extremes alone; thresholds are scores, and one more than scores."""
    stream = real_stream()
    generator = np.random.default_rng(SEED)
    uniform = [generator.integers(-128, 128, (2, rows, 32), np.int8) for rows in (32, 256)]
    extreme = [generator.choice(np.array([-128, 127], np.int8), (2, rows, 32)) for rows in (32, 256)]
    for queries, keys in ((stream.queries[REAL_HEADS, REAL_QUERIES], stream.keys[REAL_HEADS]), uniform, extreme):
        for fraction in KEEP_FRACTIONS:
            theta = quantile_threshold(exact_scores(queries, keys), fraction)
            yield _Case(queries, keys, theta)
            yield _Case(queries, keys, theta + 1)
