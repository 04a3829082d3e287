"""Checks of the bounds of integer softmax (B-3 to B-6, K-8) and of the forbidden 8-bit probabilities (K6-neg).

As in `bounds`: inequalities as the claims state them, over the adversarial inventory, against float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import chain, product
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import Exponential
from host.attention.merge import join_softmax_float, merge_softmax, merge_softmax_float
from host.attention.online import attention_online
from host.attention.output import softmax_to_real
from host.attention.partition import Partition
from host.attention.reference import float_softmax, softmax_weights
from host.attention.softmax_plan import softmax_plan
from host.attention.sums import SoftmaxSums

from .evidence import WHOLE
from .inventory import values_inventory
from .judging import Answer, Holds
from .softmax_cases import (
    FLOAT64_SLACK,
    PROBABILITY_BITS,
    PUBLISHED_TOKENS,
    RESCALING_BITS,
    SoftmaxCase,
    device_runs,
    online_cases,
    rho,
    share_of_range,
    softmax_cases,
    vanishing_tokens,
)
from .worst_shares import WorstShares

__all__ = ["softmax_checks"]

MERGE_BITS = (20, 24, 30)
SPLITS = (Partition(3, "block"), Partition(3, "interleave"))


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
    variants = (softmax_cases((24,), exponential=exponential) for exponential in get_args(Exponential))
    for case in (*softmax_cases(PROBABILITY_BITS), *vanishing_tokens(), *chain.from_iterable(variants)):
        worst.add(case.plan.exponential, _shares(case, _sums(case, case.scores, case.v)))
    for run in device_runs(WHOLE):
        worst.add("on DPUs", _shares(run.case, SoftmaxSums(*(part[0] for part in run.sums))))
    formula = {bits: rho(bits) + PUBLISHED_TOKENS * 2.0 ** -(bits + 1) for bits in PROBABILITY_BITS}
    answer = worst.answer()
    return answer._replace(ours={"worst_case_L4096_per_Rv": formula, **answer.ours})


def merges_against_float64() -> Answer:
    """B-4: contexts in up to five parts, and such that DPUs computed, merged in float64 and in integers."""
    worst = WorstShares()
    for case, parts in product(softmax_cases(MERGE_BITS, octaves=RESCALING_BITS), (2, 5)):
        places = np.array_split(np.arange(len(case.v)), min(parts, len(case.v)))
        pieces = [_sums(case, case.scores[:, own], case.v[own]) for own in places]
        _add_merges(worst, case, SoftmaxSums(*map(np.stack, zip(*pieces, strict=True))), "merged")
    for run in chain.from_iterable(map(device_runs, SPLITS)):
        _add_merges(worst, run.case, run.sums, "parts of DPUs merged")
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
    for case in softmax_cases((24,)):
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
    for case, workers in product(online_cases(), (1, 3, 16)):
        plan, tokens = case.plan, len(case.v)
        q, k = np.zeros((1, 4), np.int32), np.zeros((*case.scores.shape, 4), np.int32)
        q[:, 0], k[..., 0] = 1, case.scores  # a score is the first element of its key
        sums = attention_online(q, k, case.v.astype(np.int32), plan, workers=workers)
        weight_sum = np.ldexp(sums.weight_sum.astype(np.float64), -plan.probability_bits)
        rounds = sums.rescales.astype(np.float64)
        share = share_of_range(case, sums.weight_sum) + rounds * (rho(RESCALING_BITS) + tokens * 2.0**-31 / weight_sum)
        rounded = rounds * 2.0 ** -(plan.probability_bits + 1) * (1 + np.abs(case.v).max()) / weight_sum
        worst.add("output", case.shares(softmax_to_real(sums, v_scale=1.0), share, rounding=rounded))
        most_rescales = max(most_rescales, int(sums.rescales.max()))
    return worst.answer(f"up to {most_rescales} rescales")


def eight_bit_probabilities() -> Answer:
    """K6-neg: uniform attention over 4096 tokens with probabilities of 8 bits, and whether plans refuse them."""
    probabilities = np.rint(2**8 * np.full(PUBLISHED_TOKENS, 1 / PUBLISHED_TOKENS)).astype(np.int64)
    v = np.where(np.arange(PUBLISHED_TOKENS) % 2, 100, 50)
    output = int(probabilities @ v) >> 8
    bound = np.ptp(v) * (rho(24) + PUBLISHED_TOKENS * 2.0**-25 / PUBLISHED_TOKENS)
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


def _sums(case: SoftmaxCase, scores: NDArray[np.int64], v: NDArray[np.int64]) -> SoftmaxSums:
    """Integer softmax of some of the tokens of a case."""
    weights = softmax_weights(scores, case.plan)
    return SoftmaxSums(scores.max(axis=1), weights.sum(axis=1).astype(np.uint64), weights @ v)


def _shares(case: SoftmaxCase, sums: SoftmaxSums) -> NDArray[np.float64]:
    """error / bound of B-3."""
    return case.shares(softmax_to_real(sums, v_scale=1.0), share_of_range(case, sums.weight_sum))


def _add_merges(worst: WorstShares, case: SoftmaxCase, sums: SoftmaxSums, name: str) -> None:
    """Both merges of parts [parts, rows, ...] against B-4."""
    weight_sum = join_softmax_float(sums, logit_scale=case.logit_scale).weight_sum
    share = share_of_range(case, weight_sum)
    in_float = merge_softmax_float(sums, logit_scale=case.logit_scale)
    in_integers = softmax_to_real(merge_softmax(sums, (case.plan,)), v_scale=1.0)
    extra = rho(RESCALING_BITS) + len(case.v) * 2.0**-31 / np.ldexp(weight_sum, -case.plan.probability_bits)
    worst.add(f"{name} in float64", case.shares(in_float, share))
    worst.add(f"{name} in integers", case.shares(in_integers, share + extra))
