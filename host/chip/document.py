"""What document 2 says about its chip: time of a token in six columns, two places of the KV cache, its slips (S2-1).

The columns are the generic path of `host.machines` on a chip of banks. Owned here is only what deviates from it: the
document's formulas and printed numbers, where they are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

from host.llm.catalogue import published_model
from host.llm.model import ModelConfig
from host.llm.operators import Step
from host.llm.quantisation import INT4, QuantConfig
from host.machines.bank_chip import BankChip, bank_chips
from host.machines.chip_memory import ChipMemory, UnitSystem
from host.machines.cost import Cost, in_sequence, overlapped
from host.machines.decode_step import MemoryPlan, weight_cost
from host.machines.kv_placement import KvAppend, KvPlacement, kv_work, utilisation
from host.machines.near_memory import Work, work_cost
from host.machines.weight_partition import Fusion, WeightPartition, oned_out

__all__ = [
    "COLUMNS",
    "PUBLISHED_CONTEXT",
    "PimChip",
    "SeedCompat",
    "Term",
    "banks_per_head",
    "columns",
    "head_per_bank",
    "lambda_threshold_s",
    "setup_differences",
    "total",
]

SeedCompat = Literal["none", "formula", "as_printed"]
"""none: corrected. formula: what the document's formulas give, with one row of softmax at the controller (E2-4).
as_printed: its numbers, as rounded as there, with a wrong count (E2-2) and the KV term of the other mode (E2-3)."""

COLUMNS: tuple[tuple[str, str], ...] = (
    ("weights", "units"),
    ("kv", "units"),
    ("weights", "link"),
    ("kv", "link"),
    ("weights", "controller"),
    ("kv", "controller"),
)
"""Part and place of the document's columns, in its order."""

HEAD_PER_BANK = KvPlacement(append="not counted")
PUBLISHED_CHIP = "aim-8die"
PUBLISHED_MODEL = "llama-7b"
PUBLISHED_CONTEXT = 4096
PUBLISHED_BANKS_PER_HEAD = 4
PRINTED_DIGITS = (2, 2, 3, 3, 3, 3)  # significant, by column; of the total: 3
PRINTED_EXCHANGES = 3  # per layer, where the formula beside the number has 2 (E2-2)


class Term(NamedTuple):
    """transfers * lambda + seconds."""

    transfers: int
    seconds: float


def setup_differences(chip: BankChip, model: ModelConfig, quant: QuantConfig) -> tuple[str, ...]:
    """What is not as in the document: the shape of its model, its bits, its chip but for lambda. Empty if all is."""
    aim = bank_chips().load(PUBLISHED_CHIP)
    alike = {
        "another model": replace(model, name="") == replace(published_model(PUBLISHED_MODEL), name=""),
        "other bits": quant == INT4,
        "another chip": (chip.banks, chip.controller, chip.link.die_gb_per_s)
        == (aim.banks, aim.controller, aim.link.die_gb_per_s),
    }
    return tuple(what for what, same in alike.items() if not same)


def head_per_bank(append: KvAppend = "not counted") -> KvPlacement:
    """A bank does the attention of a head, softmax included."""
    return KvPlacement(append=append)


def banks_per_head(banks: int = PUBLISHED_BANKS_PER_HEAD, append: KvAppend = "not counted") -> KvPlacement:
    """So many banks share the tokens of a head; the controller does softmax and sums. Raises ValueError below 1."""
    return KvPlacement(banks, "scores", append)


@dataclass(frozen=True, slots=True)
class PimChip:
    """A chip with a model in its banks, whose output rows are spread over all of them unless `weights` says otherwise.

    Raises ValueError for a `seed_compat` that is unknown, or that the document has nothing for.
    """

    chip: BankChip
    model: ModelConfig
    quant: QuantConfig = INT4
    kv: KvPlacement = HEAD_PER_BANK
    unit_system: UnitSystem = "si"
    seed_compat: SeedCompat = "none"
    weights: WeightPartition | None = None
    fusion: Fusion = "separate"
    imbalance: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.seed_compat not in get_args(SeedCompat):
            raise ValueError(f"compat = {self.seed_compat!r}: choose one of {', '.join(get_args(SeedCompat))}")
        if self.seed_compat != "none" and self.kv.merge == "parts":
            raise ValueError(
                f"compat {self.seed_compat}: document 2 joins heads by their scores only; take compat none"
            )

    @property
    def memory(self) -> ChipMemory:
        """The chip as the machine that is priced."""
        return ChipMemory(self.chip, self.unit_system)

    @property
    def plan(self) -> MemoryPlan:
        """Where weights and caches are."""
        weights = oned_out(self.memory.units) if self.weights is None else self.weights
        return MemoryPlan(weights, self.kv, self.fusion, self.imbalance)

    @property
    def utilisation(self) -> Fraction:
        """Banks that work on the attention of one request, of all (P-3)."""
        return utilisation(self.model, 1, self.kv, self.memory.units)

    def token_latency(self, context: int) -> Cost:
        """Time of a token that attends to `context` tokens: "weights" and "kv", each "units", "link", "controller".

        Raises ValueError for a context below 1, and for compat as_printed of anything but what was printed.
        """
        step = Step(batch=1, context=context)
        cost = in_sequence(
            "token",
            [
                weight_cost(self.memory, self.model, self.quant, step, self.plan),
                work_cost(self.memory, "kv", self._kv_work(step)),
            ],
        )
        return self._as_printed(cost, context) if self.seed_compat == "as_printed" else cost

    def _kv_work(self, step: Step) -> Work:
        work = kv_work(self.model, self.quant, step, self.kv, units=self.memory.units)
        if self.seed_compat == "none" or not work.controller_bytes:
            return work
        left_out = self.model.layers * (self.model.heads - 1) * step.context
        return replace(
            work, controller_bytes=work.controller_bytes - Fraction(left_out * self.quant.activation_bits, 8)
        )

    def _as_printed(self, cost: Cost, context: int) -> Cost:
        """The numbers of the document's own table."""
        self._refuse_unpublished(context)
        terms = [_rounded(cost.part(*column), digits) for column, digits in zip(COLUMNS, PRINTED_DIGITS, strict=True)]
        if self.kv.units_per_head == 1:
            seconds, rule = sum(term.seconds for term in terms), "rounded to 3 digits, as printed"
        else:
            terms[3] = _with_transfers(terms[3], 2 * self.model.layers * PRINTED_EXCHANGES)
            other = replace(self, kv=head_per_bank(self.kv.append), seed_compat="formula").token_latency(context)
            mistaken = _rounded(other.part("kv", "units"), PRINTED_DIGITS[1])
            seconds = sum(term.seconds for term in terms) - terms[1].seconds + mistaken.seconds
            rule = "the KV time of one bank per head in place of its own (E2-3), rounded to 3 digits, as printed"
        latency_s = sum(term.seconds_by("link latency") for term in terms)
        return overlapped(
            "token",
            [in_sequence("weights", terms[0::2]), in_sequence("kv", terms[1::2])],
            seconds=latency_s + _to_digits(seconds - latency_s, 3),
            rule=rule,
        )

    def differs_from_document(self, context: int) -> tuple[str, ...]:
        """What is not as in the document's own table, whose lambda and units are open; empty if it has this number."""
        alike = {
            f"{context:,} tokens": context == PUBLISHED_CONTEXT,
            f"{self.kv.units_per_head} banks per head": self.kv.units_per_head in (1, PUBLISHED_BANKS_PER_HEAD),
            "maxima and sums instead of scores": self.kv.merge != "parts",
            "k and v that move": self.kv.append == "not counted",
            "another partition": self.weights in (None, oned_out(self.memory.units)) and self.fusion == "separate",
            "weights spread unevenly": self.imbalance == 1,
        }
        other = tuple(what for what, same in alike.items() if not same)
        return setup_differences(self.chip, self.model, self.quant) + other

    def _refuse_unpublished(self, context: int) -> None:
        other = self.differs_from_document(context) + (() if self.unit_system == "seed" else ("units si",))
        if other:
            raise ValueError(
                f"compat as_printed: document 2 printed no number for {', '.join(other)}; it has {PUBLISHED_MODEL} "
                f"at 4 bits, {PUBLISHED_CONTEXT} tokens, 1 or {PUBLISHED_BANKS_PER_HEAD} banks per head, units seed. "
                "Take compat formula"
            )


def columns(cost: Cost) -> tuple[Term, ...]:
    """The six columns of a token, in the document's order."""
    return tuple(total(cost.part(*column)) for column in COLUMNS)


def total(cost: Cost) -> Term:
    """A cost as transfers and the time beside them."""
    latency_s = cost.seconds_by("link latency")
    beside_s = sum(leaf.seconds for leaf in cost.leaves if leaf.bound_by != "link latency")
    # A sum that is not that of its parts was printed so; elsewhere a long lambda must not swallow what is beside it.
    return Term(cost.transfers, cost.seconds - latency_s if cost.overlap else beside_s)


def lambda_threshold_s(cost: Cost) -> float:
    """Time beyond its bytes that a transfer may take before all of them take longer than the rest of the token."""
    return total(cost).seconds / cost.transfers


def _rounded(cost: Cost, digits: int) -> Cost:
    """A column with its seconds, but those of lambda, rounded."""
    if cost.parts:
        latency, bandwidth = cost.part("latency"), cost.part("bandwidth")
        return in_sequence(cost.name, [latency, replace(bandwidth, seconds=_to_digits(bandwidth.seconds, digits))])
    return replace(cost, seconds=_to_digits(cost.seconds, digits))


def _with_transfers(link: Cost, transfers: int) -> Cost:
    """A link with another count; each transfer takes as long as before."""
    latency = link.part("latency")
    seconds = latency.seconds * transfers / latency.transfers
    return in_sequence(link.name, [replace(latency, transfers=transfers, seconds=seconds), link.part("bandwidth")])


def _to_digits(seconds: float, digits: int) -> float:
    return float(f"{seconds:.{digits - 1}e}")
