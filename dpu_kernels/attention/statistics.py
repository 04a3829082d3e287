"""What the workers note about the scores of each query, and how the notes of all workers are put together.

`states` holds one row of notes per worker and query: [workers][queries][length], int64.
"""

from __future__ import annotations

from pim_runtime.device import View, dpu_function

__all__ = ["LOWEST", "add_up", "highest", "lowest"]

LOWEST = -(1 << 62)  # below every score: plans keep |score| <= 2**61


@dpu_function
def add_up(states: View, workers: int, queries: int, query: int, length: int, column: int) -> int:
    """Sum of one column over the workers."""
    total = 0
    for worker in range(workers):
        total += states[(worker * queries + query) * length + column]
    return total


@dpu_function
def highest(states: View, workers: int, queries: int, query: int, length: int, column: int) -> int:
    """Largest value of one column."""
    best = LOWEST
    for worker in range(workers):
        best = max(best, states[(worker * queries + query) * length + column])
    return best


@dpu_function
def lowest(states: View, workers: int, queries: int, query: int, length: int, column: int) -> int:
    """Smallest value of one column."""
    best = -LOWEST
    for worker in range(workers):
        best = min(best, states[(worker * queries + query) * length + column])
    return best
