"""Where the heads of a KV cache are, what a decode step reads and moves for them, and who does the softmax (U-6, M-6).

A part is one KV head of one request, or an S-th of its tokens; units hold one part each, and take turns in waves where
there are more parts than units. The query heads of a KV head share what is read of it (P-8). Counts are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from host.attention.merge_traffic import bytes_up
from host.llm.model import ModelConfig
from host.llm.operators import Step
from host.llm.quantisation import QuantConfig

from .near_memory import Round, Work

__all__ = ["HEAD_PER_UNIT", "KvAppend", "KvMerge", "KvPlacement", "KvPruning", "kv_parts", "kv_work", "utilisation"]

KvMerge = Literal["unit", "scores", "parts"]
"""Who joins the parts of a head. unit: it has one part, and its unit does the softmax. scores: they go up, the
controller makes probabilities of them, these go down (document 2). parts: maxima, sums and weighted rows of each part
go up (M-2)."""

KvAppend = Literal["not counted", "packed with q", "own transfer"]
"""How the k and v of the new token reach their unit. Document 2 leaves them out (E2-6)."""


@dataclass(frozen=True, slots=True)
class KvPlacement:
    """Units that share a KV head. Raises ValueError for none, and for several whose parts nobody joins."""

    units_per_head: int = 1
    merge: KvMerge = "unit"
    append: KvAppend = "packed with q"

    def __post_init__(self) -> None:
        if self.units_per_head < 1:
            raise ValueError(f"KV placement: {self.units_per_head} units per head: must be at least 1")
        for name, choices in {"merge": get_args(KvMerge), "append": get_args(KvAppend)}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"KV placement: {name} = {getattr(self, name)!r}: choose one of {', '.join(choices)}")
        if self.merge == "unit" and self.units_per_head > 1:
            raise ValueError(
                f"KV placement: {self.units_per_head} units per head have parts to join, and none of them can: "
                'take merge "scores" or "parts"'
            )


@dataclass(frozen=True, slots=True)
class KvPruning:
    """keep: tokens that are scored exactly and weighted, of all. load: rows of K and V that are read, of all (P-6).

    Both default to all; tokens that stay from the step before need no load. Raises ValueError outside 0 to 1.
    """

    keep: Fraction = Fraction(1)
    load: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        for name in ("keep", "load"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"KV pruning: {name} = {getattr(self, name)}: must be in 0 to 1")


HEAD_PER_UNIT = KvPlacement()
UNPRUNED = KvPruning()


def kv_parts(model: ModelConfig, batch: int, placement: KvPlacement) -> int:
    """Parts of all heads of all requests."""
    return batch * model.kv_heads * placement.units_per_head


def utilisation(model: ModelConfig, batch: int, placement: KvPlacement, units: int) -> Fraction:
    """Units that work, of all, over the waves of a step: min(1, parts / units) if one wave is enough (P-3)."""
    parts = kv_parts(model, batch, placement)
    return Fraction(parts, units * -(-parts // units))


def kv_work(
    model: ModelConfig,
    quant: QuantConfig,
    step: Step,
    placement: KvPlacement,
    *,
    units: int,
    pruning: KvPruning = UNPRUNED,
) -> Work:
    """Attention of a step in all layers, on a machine of `units` units.

    Source: document 2, section 3.1; S0-8, P-2, P-8. Raises ValueError if the units of one head are more than there are.
    """
    if placement.units_per_head > units:
        raise ValueError(f"KV placement: {placement.units_per_head} units per head, and there are {units}")
    parts = kv_parts(model, step.batch, placement)
    full, rest = divmod(parts, units)
    waves = [(full * model.layers, units), (model.layers, rest)]
    shape = _Shape(model, quant, step, placement, pruning)
    return Work(
        rounds=tuple(one for times, busy in waves if times and busy for one in shape.rounds(times, busy)),
        controller_bytes=model.layers * parts * shape.controller_bytes,
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    """Sizes of one part in one layer."""

    model: ModelConfig
    quant: QuantConfig
    step: Step
    placement: KvPlacement
    pruning: KvPruning

    @property
    def queries(self) -> int:
        """Rows of q that a part multiplies: those of the query heads that share it."""
        return self.model.queries * self.step.new_tokens

    @property
    def row_bytes(self) -> Fraction:
        """The rows of q, and the rows of the output, as activations."""
        return Fraction(self.queries * self.model.dim * self.quant.activation_bits, 8)

    @property
    def imbalance(self) -> Fraction:
        """Tokens of the largest part, over the mean."""
        parts = self.placement.units_per_head
        return Fraction(-(-self.step.context // parts) * parts, self.step.context)

    @property
    def scores(self) -> Fraction:
        """Kept scores of the queries."""
        return self.queries * self.step.context * self.pruning.keep / self.placement.units_per_head

    @property
    def score_bytes(self) -> Fraction:
        return self.scores * Fraction(self.quant.activation_bits, 8)

    @property
    def cache_bytes(self) -> Fraction:
        """K, or V, as far as it is read."""
        elements = self.step.context * self.model.dim * self.pruning.load / self.placement.units_per_head
        return elements * Fraction(self.quant.kv_bits, 8)

    @property
    def append_bytes(self) -> Fraction:
        """k and v of the new tokens, over the parts of a head: one of them gets these."""
        if self.placement.append == "not counted":
            return Fraction(0)
        elements = Fraction(2 * self.step.new_tokens * self.model.dim, self.placement.units_per_head)
        return elements * Fraction(self.quant.kv_bits, 8)

    @property
    def sums_bytes(self) -> Fraction:
        """Maximum, sum and weighted row of every query."""
        return Fraction(self.queries * bytes_up("sums", parts=1, dim=self.model.dim, tokens=1, score_bytes=1))

    @property
    def controller_bytes(self) -> Fraction:
        match self.placement.merge:
            case "unit":
                return Fraction(0)
            case "scores":
                return self.score_bytes + self.row_bytes
            case "parts":
                return self.sums_bytes

    def rounds(self, times: int, units: int) -> tuple[Round, ...]:
        """One wave: scores and weighted sum in one exchange, or in two with the controller between them."""
        match self.placement.merge:
            case "unit":
                # The softmax reads the scores from the memory of the unit.
                return (self._first(times, units, 2 * self.cache_bytes + self.score_bytes, 2, self.row_bytes),)
            case "parts":
                return (self._first(times, units, 2 * self.cache_bytes + self.score_bytes, 2, self.sums_bytes),)
            case "scores":
                return (
                    self._first(times, units, self.cache_bytes, 1, self.score_bytes),
                    self._exchange(times, units, self.cache_bytes, 1, self.score_bytes, self.row_bytes),
                )

    def _first(self, times: int, units: int, read: Fraction, products: int, up: Fraction) -> Round:
        """The exchange that brings q, and the new k and v."""
        transfers = 2 if self.placement.append == "own transfer" else 1
        down = self.row_bytes + self.append_bytes
        return self._exchange(times, units, read, products, down, up, down_transfers=transfers)

    def _exchange(
        self,
        times: int,
        units: int,
        read_bytes: Fraction,
        products: int,
        down: Fraction,
        up: Fraction,
        *,
        down_transfers: int = 1,
    ) -> Round:
        return Round(
            times=times,
            units=units,
            operation="attention",
            element_bits=self.quant.kv_bits,
            read_bytes=units * read_bytes,
            macs=units * products * self.scores * self.model.dim,
            down="scatter",
            down_bytes=units * down,
            unit_down_bytes=down,
            up_bytes=units * up,
            down_transfers=down_transfers,
            imbalance=self.imbalance,
        )
