"""How close errors came to their bounds: the answer of every check of an inequality."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .judging import Holds

__all__ = ["WorstShares"]


class WorstShares:
    """The worst ratio of error and bound seen so far, by the name of the inequality. NaN, once seen, stays."""

    def __init__(self) -> None:
        self._worst: dict[str, float] = {}

    def add(self, name: str, shares: ArrayLike) -> None:
        """Count more ratios, of any shape. They must not be negative."""
        seen = np.asarray(shares, dtype=np.float64).ravel()
        self._worst[name] = float(np.max(np.append(seen, self._worst.get(name, 0.0))))

    def answer(self, detail: str = "") -> Holds:
        """Holds when no ratio exceeds 1; its numbers are the worst ratios."""
        found = ", ".join(f"{name} {share:.3f}" for name, share in self._worst.items())
        return Holds(
            passed=all(share <= 1 for share in self._worst.values()),
            detail="; ".join(part for part in (f"worst error / bound: {found}", detail) if part),
            ours={f"{name}: error / bound": share for name, share in self._worst.items()},
        )
