"""Checks of the bounds of integer softmax (B-3 to B-6, K-8) and of the forbidden 8-bit probabilities (K6-neg).

As in `bounds`: inequalities as the claims state them, over the adversarial inventory, against float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, product
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.attention.exponential import Exponential
from host.attention.exponential import RELATIVE_ERROR
from host.attention.merge import join_softmax_float, merge_softmax, merge_softmax_float
from host.attention.online import attention_online
from host.attention.output import softmax_to_real
from host.attention.reference import float_softmax, softmax_weights
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.attention.sums import SoftmaxSums

from .inventory import score_inventory, values_inventory
from .judging import Answer, Holds
from .worst_shares import WorstShares

__all__ = ["softmax_checks"]

Floats = NDArray[np.float64]

PROBABILITY_BITS = (15, 16, 20, 24, 28, 30)
LARGEST_LOGITS = (2.0**-20, 1.0, 12.0, 2.0**30)  # of tiny, usual, peaked and huge logit scales
FLOAT64_SLACK = 1e-12  # of the largest value
PUBLISHED_TOKENS = 4096
RESCALING_BITS = 30
MERGE_BITS = (20, 24, 30)


class SoftmaxCase(NamedTuple):
    """Scores int64 [rows, tokens] and v [tokens, columns] with the plan for logits `logit_scale` * score."""

    scores: NDArray[np.int64]
    v: NDArray[np.int64]
    logit_scale: float
    plan: SoftmaxPlan

    @property
    def real(self) -> Floats:
        """Softmax attention in float64, [rows, columns]."""
        return float_softmax(self.scores, self.v, logit_scale=self.logit_scale)

    @property
    def value_range(self) -> Floats:
        """R_v, [columns]."""
        return np.ptp(self.v, axis=0).astype(np.float64)

    def shares(self, outputs: Floats, allowed: Floats, *, rounding: ArrayLike = 0.0) -> Floats:
        """error / bound, [rows, columns], of outputs that may be off by `allowed` [rows] times R_v plus `rounding`."""
        bound = allowed[:, None] * self.value_range + np.reshape(rounding, (-1, 1)) + self.float64_slack
        return np.abs(outputs - self.real) / bound

    @property
    def float64_slack(self) -> float:
        """Rounding of the float64 references."""
        return FLOAT64_SLACK * float(np.abs(self.v).max())


def softmax_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "B-3": softmax_against_float64,
        "B-4": merges_against_float64,
        "B-5": perturbed_logits,
        "B-6": pruned_mass,
        "K-8": online_softmax_against_float64,
        "K6-neg": eight_bit_probabilities,
    }


def softmax_against_float64() -> Answer:
    """B-3 for every variant of the exponential (K-7), and its worst case over 4096 tokens as a share of R_v."""
    worst = WorstShares()
    variants = (_cases((24,), exponential=exponential) for exponential in get_args(Exponential))
    for case in (*_cases(PROBABILITY_BITS), *_vanishing_tokens(), *chain.from_iterable(variants)):
        sums = _sums(case, case.scores, case.v)
        worst.add(case.plan.exponential, case.shares(softmax_to_real(sums, v_scale=1.0), _share(case, sums.weight_sum)))
    formula = {bits: _rho(bits) + PUBLISHED_TOKENS * 2.0 ** -(bits + 1) for bits in PROBABILITY_BITS}
    answer = worst.answer()
    return answer._replace(ours={"worst_case_L4096_per_Rv": formula, **answer.ours})


def merges_against_float64() -> Answer:
    """B-4: contexts in up to five parts, merged in float64 and in integers."""
    worst = WorstShares()
    for case in _cases(MERGE_BITS, octaves=RESCALING_BITS):
        for parts in (2, 5):
            places = np.array_split(np.arange(len(case.v)), min(parts, len(case.v)))
            sums = SoftmaxSums(
                *map(np.stack, zip(*(_sums(case, case.scores[:, own], case.v[own]) for own in places), strict=True))
            )
            weight_sum = join_softmax_float(sums, logit_scale=case.logit_scale).weight_sum
            share = _share(case, weight_sum)
            in_float = merge_softmax_float(sums, logit_scale=case.logit_scale)
            in_integers = softmax_to_real(merge_softmax(sums, (case.plan,)), v_scale=1.0)
            extra = _rho(RESCALING_BITS) + len(case.v) * 2.0**-31 / np.ldexp(weight_sum, -case.plan.probability_bits)
            worst.add("merged in float64", case.shares(in_float, share))
            worst.add("merged in integers", case.shares(in_integers, share + extra))
    return worst.answer()


def perturbed_logits() -> Answer:
    """B-5: logits moved by at most eps. The first row goes from -eps/2 to eps/2, which attains the bound."""
    generator, worst = np.random.default_rng(5), WorstShares()
    for tokens, epsilon, spread in product((1, 2, 3, 17, 200), (1e-6, 0.1, 1.0, 20.0), (0.0, 1.0, 30.0)):
        v = values_inventory(tokens)
        logits = spread * generator.standard_normal((20, tokens))
        move = epsilon * np.where(generator.random((20, tokens)) < 0.5, -1.0, 1.0)
        move[0] = np.where(np.arange(tokens) % 2, -epsilon, epsilon)
        logits[0] = -move[0] / 2
        change = float_softmax(logits + move, v, logit_scale=1.0) - float_softmax(logits, v, logit_scale=1.0)
        bound = np.ptp(v, axis=0) * math.tanh(epsilon / 2) + FLOAT64_SLACK * np.abs(v).max()
        worst.add("change", np.abs(change) / bound)
    return worst.answer()


def pruned_mass() -> Answer:
    """B-6: tokens below a threshold left out. pi against its bound, and the change of the output against pi * R_v."""
    worst = WorstShares()
    for case in _cases((24,)):
        for row, part in product(case.scores, (0.1, 0.5, 0.99)):
            threshold = int(np.quantile(row, part))
            kept = row >= threshold
            below = case.logit_scale * (int(row.max()) - row).astype(np.float64)
            weights = np.exp(-below)
            mass = float(weights[~kept].sum() / weights.sum())
            limit = np.exp(-case.logit_scale * (int(row.max()) - threshold)) * (~kept).sum() / weights.sum()
            change = np.abs(weights[kept] @ case.v[kept] / weights[kept].sum() - weights @ case.v / weights.sum())
            worst.add("mass", mass / (limit + FLOAT64_SLACK))
            worst.add("change", change / (mass * case.value_range + case.float64_slack))
    return worst.answer()


def online_softmax_against_float64() -> Answer:
    """K-8 with the rescales that occurred: scores in every order, up to all rising."""
    worst, most_rescales = WorstShares(), 0
    for case, workers in product(_online_cases(), (1, 3, 16)):
        plan, tokens = case.plan, len(case.v)
        q, k = np.zeros((1, 4), np.int32), np.zeros((*case.scores.shape, 4), np.int32)
        q[:, 0], k[..., 0] = 1, case.scores  # a score is the first element of its key
        sums = attention_online(q, k, case.v.astype(np.int32), plan, workers=workers)
        weight_sum = np.ldexp(sums.weight_sum.astype(np.float64), -plan.probability_bits)
        rounds = sums.rescales.astype(np.float64)
        share = _share(case, sums.weight_sum) + rounds * (_rho(RESCALING_BITS) + tokens * 2.0**-31 / weight_sum)
        rounded = rounds * 2.0 ** -(plan.probability_bits + 1) * (1 + np.abs(case.v).max()) / weight_sum
        worst.add("output", case.shares(softmax_to_real(sums, v_scale=1.0), share, rounding=rounded))
        most_rescales = max(most_rescales, int(sums.rescales.max()))
    return worst.answer(f"up to {most_rescales} rescales")


def eight_bit_probabilities() -> Answer:
    """K6-neg: uniform attention over 4096 tokens with probabilities of 8 bits, and whether plans refuse them."""
    probabilities = np.rint(2**8 * np.full(PUBLISHED_TOKENS, 1 / PUBLISHED_TOKENS)).astype(np.int64)
    v = np.where(np.arange(PUBLISHED_TOKENS) % 2, 100, 50)
    output = int(probabilities @ v) >> 8
    bound = np.ptp(v) * (_rho(24) + PUBLISHED_TOKENS * 2.0**-25 / PUBLISHED_TOKENS)
    try:
        softmax_plan(logit_scale=1.0, score_bound=1, exponential="int8_normalised")  # type: ignore[arg-type]
        refused = False
    except ValueError:
        refused = True
    return Holds(
        passed=refused and output == 0 and abs(output - v.mean()) > bound,
        detail=f"the output is {output} instead of {v.mean():g}, B-3 allows {bound:.1e}; "
        + ("softmax plans refuse the variant" if refused else "softmax plans do not refuse the variant"),
        ours={"output": output},
    )


def _cases(
    probability_bits: tuple[int, ...], *, octaves: int | None = None, exponential: Exponential = "lut256_lerp"
) -> Iterator[SoftmaxCase]:
    for inventory in score_inventory():
        for bits, logit in product(probability_bits, LARGEST_LOGITS):
            scale = logit / inventory.largest
            plan = softmax_plan(
                logit_scale=scale,
                score_bound=inventory.largest,
                probability_bits=bits,
                octaves=octaves,
                exponential=exponential,
            )
            yield SoftmaxCase(scores=inventory.scores, v=inventory.v, logit_scale=scale, plan=plan)


def _vanishing_tokens() -> Iterator[SoftmaxCase]:
    """One token holds the weight, 4095 others fall just short of half a unit and vanish: nearly the worst case."""
    for bits in PROBABILITY_BITS:
        octave, just_more = 2**20, 2**10
        scores = np.full((1, PUBLISHED_TOKENS), -octave - just_more)
        scores[0, 0] = 0
        v = np.ones((PUBLISHED_TOKENS, 1), np.int64)
        v[0] = 0
        scale = math.log(2) * (bits + 1) / octave
        plan = softmax_plan(logit_scale=scale, score_bound=octave + just_more, probability_bits=bits)
        yield SoftmaxCase(scores=scores, v=v, logit_scale=scale, plan=plan)


def _online_cases() -> Iterator[SoftmaxCase]:
    """Of the inventory, what int32 keys hold and a loop over tokens can afford."""
    for case in _cases((16, 24), octaves=RESCALING_BITS):
        if len(case.v) <= 200 and np.abs(case.scores).max() < 2**22:
            yield case


def _sums(case: SoftmaxCase, scores: NDArray[np.int64], v: NDArray[np.int64]) -> SoftmaxSums:
    """Integer softmax of some of the tokens of a case."""
    weights = softmax_weights(scores, case.plan)
    return SoftmaxSums(scores.max(axis=1), weights.sum(axis=1).astype(np.uint64), weights @ v)


def _rho(bits: int, exponential: Exponential = "lut256_lerp") -> float:
    return RELATIVE_ERROR[exponential] + math.log(2) * (2.0**-17 + (bits + 2) * 2.0**-30)


def _share(case: SoftmaxCase, weight_sum: ArrayLike) -> Floats:
    """B-3 without R_v: rho + L * 2**-(P + 1) / l_hat, where l = l_hat * 2**P."""
    rho = _rho(case.plan.probability_bits, case.plan.exponential)
    return rho + len(case.v) / (2 * np.asarray(weight_sum, dtype=np.float64))
