"""A3: a greedy search over sorted keys finds candidates, their exact scores decide (S4-12).

Source: Ham et al., "A3: Accelerating Attention Mechanisms in Neural Networks with Approximation", HPCA 2020. Every
dimension of the keys is sorted once, when they are written; that work is not a query's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.attention.integer_math import whole_number
from host.sprint.arguments import check_queries_and_keys
from host.sprint.scores import exact_scores
from host.sprint.selection import MAC_BIT_PRODUCTS, Selection, Work
from host.sprint.thresholding import query_thresholds

from .rows import row_work

__all__ = ["A3", "Candidates"]


class Candidates(NamedTuple):
    """What the search found, and how far it went.

    greedy_scores: int64 [..., queries, tokens], the sums of the products that were taken; candidates are above 0.
    taken: int64 [..., queries], entries of sorted lists that were taken.
    """

    greedy_scores: NDArray[np.int64]
    taken: NDArray[np.int64]

    @property
    def are_candidates(self) -> NDArray[np.bool_]:
        """Which tokens are, bool [..., queries, tokens]."""
        return self.greedy_scores > 0

    def gaps(self, scores: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far the exact score of a candidate is below the best one's, inf for others: like the scores."""
        of_candidates = np.where(self.are_candidates, scores, -np.inf)
        best = of_candidates.max(axis=-1, keepdims=True)
        return np.where(self.are_candidates, np.where(np.isfinite(best), best, 0.0) - of_candidates, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class A3:
    """Keeps the candidates of scores >= the best candidate's - margin. A query without candidates keeps none.

    steps: m, of the search. margin: t, in units of the exact score, a number or an array that broadcasts to
    [..., queries]; inf keeps every candidate.

    Raises ValueError for steps below 1 or a negative margin, TypeError for steps that are no integer.
    """

    steps: int
    margin: ArrayLike
    name: str = "A3"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", whole_number("steps", self.steps))
        if self.steps < 1:
            raise ValueError(f"steps = {self.steps}: the search takes at least 1, such as half of the tokens.")
        if not (np.asarray(self.margin, dtype=np.float64) >= 0).all():
            raise ValueError("a margin that is NaN or below 0 drops even the best candidate: choose 0 or more.")

    def candidates(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Candidates:
        """The greedy search for queries int8 [..., queries, dim] over keys int8 [..., tokens, dim].

        A step takes the largest product q_i k_ji that is left, over all dimensions, and if it is above 0 adds it to
        the sum of its token j; then the smallest, if it is below 0. The smallest is passed over while the sum of all
        that was added is below 0, which would leave too few candidates. A list that is used up has nothing to give.

        Raises TypeError and ValueError for operands that do not belong together.
        """
        check_queries_and_keys(queries, keys)
        leading = np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2])
        count, (tokens, dim) = queries.shape[-2], keys.shape[-2:]
        rows = np.broadcast_to(queries, (*leading, count, dim)).reshape(-1, dim).astype(np.int32)
        lists = _SortedLists.of(np.broadcast_to(keys, (*leading, tokens, dim)).reshape(-1, tokens, dim))
        owner = np.repeat(np.arange(len(lists.keys)), count)
        largest, smallest = _Queue(rows, lists, owner), _Queue(-rows, lists, owner)
        sums, taken = np.zeros((len(rows), tokens), np.int64), np.zeros(len(rows), np.int64)
        balance = np.zeros(len(rows), np.int64)

        def take(queue: _Queue, sign: Literal[1, -1], allowed: NDArray[np.bool_]) -> None:
            dims, products = queue.largest()
            chosen = np.flatnonzero(allowed & (products > 0))
            added = sign * products[chosen]
            sums[chosen, queue.take(chosen, dims[chosen])] += added
            balance[chosen] += added
            taken[chosen] += 1

        for _ in range(self.steps):
            before = taken.sum()
            take(largest, 1, np.ones(len(rows), np.bool_))
            take(smallest, -1, balance >= 0)
            if taken.sum() == before:
                break  # nothing is left that a step would take
        return Candidates(sums.reshape(*leading, count, tokens), taken.reshape(*leading, count))

    def select(self, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Selection:
        """As `SelectionMethod.select`. Raises TypeError and ValueError as `candidates`, and for margins of no query."""
        return self.selected(self.candidates(queries, keys), queries, keys)

    def selected(self, found: Candidates, queries: NDArray[np.int8], keys: NDArray[np.int8]) -> Selection:
        """What `select` does with candidates that are known already: margins can be tried without another search.

        The decision reads the first and every next entry of the lists, a value and the number of its token, and the
        rows of K of all candidates; attention then costs rows of V only. Finding the largest of dim products after one
        has changed takes ceil(log2(dim)) comparisons.
        """
        tokens, dim = keys.shape[-2:]
        margin = query_thresholds(self.margin, found.taken.shape, name="margin")
        keep = found.are_candidates & (found.gaps(exact_scores(queries, keys)) <= margin[..., None])
        candidates, kept = (np.count_nonzero(mask, axis=-1).astype(np.int64) for mask in (found.are_candidates, keep))
        entries = 2 * dim + found.taken
        entry_bytes = 1 + -(-(tokens - 1).bit_length() // 8)
        search = Work(
            bit_products=entries * MAC_BIT_PRODUCTS,
            comparisons=2 * (dim - 1) + found.taken * (dim - 1).bit_length() + 2 * candidates,
            read_bytes=entries * entry_bytes,
        )
        return Selection(
            keep=keep, decision=search.plus(row_work(candidates, dim=dim)), attention=row_work(kept, dim=dim)
        )


class _SortedLists(NamedTuple):
    """Keys sorted in every dimension, ascending: int32 [sets, tokens, dim] and the tokens they are of."""

    keys: NDArray[np.int32]
    tokens: NDArray[np.int64]

    @classmethod
    def of(cls, keys: NDArray[np.int8]) -> _SortedLists:
        """Lists of keys [sets, tokens, dim]; equal keys stay in the order of their tokens."""
        order = np.argsort(keys, axis=1, kind="stable")
        return cls(np.take_along_axis(keys, order, axis=1).astype(np.int32), order)


class _Queue:
    """The products q_i k_ji of every query [queries, dim], largest first over all dimensions.

    A list is read from the end where its products are largest. owner: int64 [queries], the set of keys of a query.
    """

    def __init__(self, q: NDArray[np.int32], lists: _SortedLists, owner: NDArray[np.int64]) -> None:
        self._q, self._lists, self._owner = q, lists, owner
        last = lists.keys.shape[1] - 1
        self._place = np.where(q > 0, last, 0)
        self._stride = np.where(q > 0, -1, 1)
        self._products = q * lists.keys[owner[:, None], self._place, np.arange(q.shape[1])]

    def largest(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The largest product that is left, of each query, and its dimension, the first of equal ones.

        Products are 0 or less where there is none above 0.
        """
        dims = self._products.argmax(axis=1)
        return dims, self._products[np.arange(len(dims)), dims]

    def take(self, queries: NDArray[np.int64], dims: NDArray[np.int64]) -> NDArray[np.int64]:
        """Remove the next entry of these queries' lists of `dims`, and return the tokens that they are of."""
        owners, places = self._owner[queries], self._place[queries, dims]
        token: NDArray[np.int64] = self._lists.tokens[owners, places, dims]
        following = places + self._stride[queries, dims]
        there_is = (following >= 0) & (following < self._lists.keys.shape[1])
        places = np.where(there_is, following, places)
        products = self._q[queries, dims] * self._lists.keys[owners, places, dims]
        self._place[queries, dims] = places
        self._products[queries, dims] = np.where(there_is, products, 0)
        return token
