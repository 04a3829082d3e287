"""Checks of document 4's pruning: cut keys, thresholds with their certificate, attention over what survives.

Inputs are every int8 where that is few enough, and `sprint_cases`. What moves is checked in `sprint_movement`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from host.attention.certificates import Arithmetic
from host.attention.output import softmax_to_real
from host.attention.reference import attention_softmax, softmax_weights
from host.attention.reference import scores as reference_scores
from host.attention.softmax_plan import SoftmaxPlan, softmax_plan
from host.sprint.accuracy import certified_bound, dense_outputs, relative_error
from host.sprint.calibration import quantile_threshold
from host.sprint.nibbles import SplitMode, split_msb_lsb
from host.sprint.pruning import InMemoryPruning
from host.sprint.recompute import Recompute, attend
from host.sprint.scores import AnalogFormat, approximate_scores, exact_scores, recomputed_scores
from host.sprint.thresholding import Combine, Thresholder

from .judging import Answer, Holds, Noted
from .sprint_cases import KEEP_FRACTIONS, Case, cases, peaked_case, selections, shipped_case
from .sprint_dpu import dpu_identities
from .worst_shares import WorstShares

__all__ = ["sprint_checks"]

EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)
QUERY_BITS = (4, 8)
OPERAND_MAX = 128
ROUNDING = 1e-12  # of max|v|: float64 of both sides of an inequality


def sprint_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "C4-01": recombination,
        "C4-02": falsely_pruned,
        "C4-03": dense_identities,
        "C4-04": pruning_error,
        "C4-11": recomputation_helps,
        "C4-12": correlation,
        "C4-16": columns,
    }


def recombination() -> Answer:
    """C4-01: every int8 in every split, and scores from both parts against the reference's."""
    splits = list(product(range(1, 8), get_args(SplitMode)))
    whole = sum(np.array_equal(split_msb_lsb(EVERY_INT8, *split).recombined(), EVERY_INT8) for split in splits)
    compared = different = 0
    for case, split in product(cases(), splits):
        direct = reference_scores(case.queries, case.keys[:, None], acc="wide")
        ours = recomputed_scores(case.queries, split_msb_lsb(case.keys, *split))
        compared, different = compared + direct.size, different + int(np.count_nonzero(ours != direct))
    return Holds(
        passed=whole == len(splits) and not different,
        detail=f"all 256 values come back in {whole} of {len(splits)} splits; {compared - different:,} of "
        f"{compared:,} scores equal the direct dot product",
    )


def falsely_pruned() -> Answer:
    """C4-02: each token's own exact score as the threshold, the hardest there is, for all pairs of int8 and the cases.

    Scores and U(q) are sums over the dimensions, so that the pairs prove it for any number of them.
    """
    each_key = EVERY_INT8[:, None, None]
    pairs = Case(EVERY_INT8[:, None, None, None], each_key, each_key, np.ones(()))  # a head of one dimension each
    violations = compared = 0
    for mode, q_bits, case in product(get_args(SplitMode), QUERY_BITS, (pairs, *cases())):
        thresholder = Thresholder(analog=AnalogFormat(mode=mode, q_bits=q_bits), offset="conservative")
        exact = exact_scores(case.queries, case.keys)
        # A query for each token, so that its score is the threshold of one of them.
        queries, rows = (np.repeat(operand, exact.shape[-1], axis=-2) for operand in (case.queries, exact))
        theta = exact.reshape(*exact.shape[:-2], -1)
        pruned = thresholder.prune(queries, case.keys, theta)
        violations += int(np.count_nonzero(pruned & (rows >= theta[..., None])))
        compared += rows.size
    return Noted(violations, f"{compared:,} decisions: all pairs of int8, and the adversarial inventory")


def dense_identities() -> Answer:
    """C4-03: no threshold against the dense kernel's reference, and any threshold against it on the survivors.

    Then the same on emulated DPUs, against the dense program.
    """
    dense_different = sparse_different = queries = 0
    for case in cases():
        everything = InMemoryPruning(theta=-np.inf).select(case.queries, case.keys).keep
        dense_different += _different_from_reference(case, everything)
        for keep in selections(case):
            sparse_different += _different_from_reference(case, keep)
            queries += keep.shape[0] * keep.shape[1]
    on_dpus = dpu_identities()
    return Holds(
        passed=not dense_different and not sparse_different and on_dpus.passed,
        detail=f"{dense_different} queries differ from dense attention with theta = -infinity; {sparse_different} of "
        f"{queries:,} pruned queries from dense attention over their survivors; maxima, sums and outputs, all bits; "
        f"{on_dpus.detail}",
    )


def pruning_error() -> Answer:
    """C4-04, B-6: |o_sparse - o_dense| against pi R_v, in exact integers and in float64.

    exact: both averages with the integer weights of the dense kernel, pi of the same weights, cross-multiplied, so that
    nothing is rounded. float64: real softmax, beside rounding of 1e-12 max|v|. kernel: what it returns for survivors
    against dense float64, with its own arithmetic (B-3). certified: the same after conservative thresholds, against
    the bound that knows no more of pruned tokens than the threshold.
    """
    worst = WorstShares()
    for case in cases():
        dense = dense_outputs(case.queries, case.keys, case.values, logit_scale=case.logit_scales)
        for keep in selections(case):
            worst.add("exact", _exact_shares(case, keep))
            found = attend(case.queries, case.keys, case.values, keep, logit_scale=case.logit_scales)
            spread = np.ptp(case.values.astype(np.int64), axis=-2)[:, None]
            sparse = _float_outputs(case, keep)
            bound = found.pruned_mass[..., None] * spread + ROUNDING * OPERAND_MAX
            worst.add("float64", np.abs(sparse - dense) / bound)
            worst.add("kernel", np.abs(found.outputs - dense) / (found.bound + ROUNDING * OPERAND_MAX))
        theta = quantile_threshold(exact_scores(case.queries, case.keys), KEEP_FRACTIONS[0])
        pruning = InMemoryPruning(theta=theta, thresholder=Thresholder(offset="conservative"))
        keep = pruning.select(case.queries, case.keys).keep
        found = attend(case.queries, case.keys, case.values, keep, logit_scale=case.logit_scales)
        certified = certified_bound(
            found.sums, case.values, keep, theta=theta, logit_scale=case.logit_scales, arithmetic=Arithmetic()
        )
        worst.add("certified", np.abs(found.outputs - dense) / (certified + ROUNDING * OPERAND_MAX))
    return worst.answer("heads of the inventory, peaked ones and shipped tensors, each pruned to 2 to 50 %")


def recomputation_helps() -> Answer:
    """C4-11: relative errors with one global threshold on mid-rise levels, on peaked heads and on the shipped ones."""
    analog = AnalogFormat(levels="mid_rise")
    ratios: dict[str, list[float]] = {"peaked": [], "shipped": []}
    for name, case in {"peaked": peaked_case(), "shipped": shipped_case()}.items():
        dense = dense_outputs(case.queries, case.keys, case.values, logit_scale=case.logit_scales)
        levels = approximate_scores(case.queries, case.keys, analog)
        for fraction in KEEP_FRACTIONS:
            theta = quantile_threshold(levels, fraction, scope="all")
            pruning = InMemoryPruning(theta=theta, thresholder=Thresholder(analog=analog))
            keep = pruning.select(case.queries, case.keys).keep
            with_it, without = (_relative_error(case, keep, dense, how, analog) for how in get_args(Recompute))
            ratios[name].append(without / with_it)
    found = {name: {"least": min(each), "most": max(each)} for name, each in ratios.items()}
    shown = "; ".join(f"{name} {each['least']:.2f} to {each['most']:.2f}" for name, each in found.items())
    return Holds(
        passed=all(each["least"] > 1 for each in found.values()),
        detail=f"error without recomputation / with it, 2 to 50 % kept: {shown}",
        ours=found,
    )


def correlation() -> Answer:
    """C4-12: entries N(0, 40**2) rounded to int8, head dimension 64; over the tokens of a query, as thresholds compare.

    Truncation moves all scores of a query together, which a correlation over several queries would count as an error.
    """
    generator = np.random.default_rng(12)
    q, k = (
        np.clip(np.rint(generator.normal(0.0, 40.0, (rows, 64))), -128, 127).astype(np.int8) for rows in (400, 1000)
    )
    exact = exact_scores(q, k)
    within, over_all = {}, []
    for mode in get_args(SplitMode):
        approximate = approximate_scores(q, k, AnalogFormat(mode=mode))
        pairs = zip(approximate, exact, strict=True)
        within[mode] = float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
        over_all.append(f"{mode} {np.corrcoef(approximate.ravel(), exact.ravel())[0, 1]:.3f}")
    return Noted(within, f"mean of {len(q)} queries; over all queries together {', '.join(over_all)}")


def columns() -> Answer:
    """C4-16: 1 column against 2 to all, and a key whose score lies in the first of two columns."""
    compared = different = 0
    for case in cases():
        theta = np.median(approximate_scores(case.queries, case.keys), axis=-1)
        one = Thresholder().prune(case.queries, case.keys, theta)
        for count in range(2, case.keys.shape[-1] + 1):
            several = Thresholder(columns=count).prune(case.queries, case.keys, theta)
            compared, different = compared + one.size, different + int(np.count_nonzero(several != one))
    key = np.array([[127, 127, 0, 0]], np.int8)
    score = int(approximate_scores(key, key)[0, 0])
    planted = {how: Thresholder(columns=2, combine=how).prune(key, key, score).item() for how in get_args(Combine)}
    return Holds(
        passed=not different and planted == {"sum": False, "per_column_or": True},
        detail=f"{compared - different:,} of {compared:,} decisions equal those of one column; of a planted key at its "
        f"own score, the sum prunes {planted['sum']}, a comparator per column {planted['per_column_or']}",
    )


def _plan(case: Case, head: int) -> SoftmaxPlan:
    bound = case.keys.shape[-1] * OPERAND_MAX**2
    return softmax_plan(logit_scale=float(case.logit_scales[head]), score_bound=bound)


def _different_from_reference(case: Case, keep: NDArray[np.bool_]) -> int:
    """Queries whose integers or output are not those of the dense kernel's reference over what they keep."""
    found, different = attend(case.queries, case.keys, case.values, keep, logit_scale=case.logit_scales), 0
    for head, i in np.ndindex(keep.shape[:2]):
        kept = keep[head, i]
        alone = attention_softmax(
            case.queries[head, i], case.keys[head, kept], case.values[head, kept], _plan(case, head)
        )
        equal = all(np.array_equal(ours[head, i], theirs) for ours, theirs in zip(found.sums, alone, strict=True))
        different += not (equal and np.array_equal(found.outputs[head, i], softmax_to_real(alone, v_scale=1.0)))
    return different


def _exact_shares(case: Case, keep: NDArray[np.bool_]) -> list[float]:
    """|o_kept - o_all| / (pi R_v) of every output, 0 where pi is 0 and both are equal, as a quotient of integers."""
    scores, shares = exact_scores(case.queries, case.keys), []
    for head, i in np.ndindex(keep.shape[:2]):
        kept = keep[head, i]
        weights = softmax_weights(scores[head, i], _plan(case, head)).tolist()
        rest = sum(weight for weight, stays in zip(weights, kept, strict=True) if not stays)
        total = sum(weights)
        if rest == total:  # what is kept weighs less than a unit: there is no average of these weights
            continue
        for column in case.values[head].T.tolist():
            weighted = [weight * value for weight, value in zip(weights, column, strict=True)]
            some = sum(share for share, stays in zip(weighted, kept, strict=True) if stays)
            error = abs(some * total - sum(weighted) * (total - rest))  # times l_kept * l_all
            bound = rest * (max(column) - min(column)) * (total - rest)
            shares.append(error / bound if bound else float(error > 0) * 2)
    return shares


def _float_outputs(case: Case, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    scores = np.where(keep, exact_scores(case.queries, case.keys), np.iinfo(np.int64).min // 2)
    difference = (scores.max(axis=-1, keepdims=True) - scores).astype(np.float64)
    weights = np.exp(-case.logit_scales[:, None, None] * difference) * keep
    outputs: NDArray[np.float64] = weights @ case.values.astype(np.float64) / weights.sum(axis=-1)[..., None]
    return outputs


def _relative_error(
    case: Case, keep: NDArray[np.bool_], dense: NDArray[np.float64], recompute: Recompute, analog: AnalogFormat
) -> float:
    found = attend(
        case.queries, case.keys, case.values, keep, logit_scale=case.logit_scales, recompute=recompute, analog=analog
    )
    return relative_error(found.outputs - dense, dense, value_scales=np.ones(len(dense)))
