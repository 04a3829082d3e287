"""Comparing a number of ours with a claim (spec 0.2 and 13): PASS, FAIL, RECORD, or NOT YET where there is no check.

Owns the verdict. A claim passes by a computed number that agrees, or by a relation that a check found to hold; nothing
here reads a number of the document for one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from .claim import Claim, Leaf, leaves

__all__ = ["Answer", "Finding", "Holds", "Noted", "Verdict", "deviation", "judge", "prints_as", "unjudged"]

STATED_DIGITS = 0.01
"""Claims give the size of a bound to two digits."""

Verdict = Literal["PASS", "FAIL", "RECORD", "NOT YET"]


class Holds(NamedTuple):
    """Answer of a check that decides by itself: of an equality, an inequality or a relation.

    detail: what was compared. ours: the numbers behind it, such as the worst ratio of error and bound.
    """

    passed: bool
    detail: str
    ours: Any = ()


class Noted(NamedTuple):
    """Numbers that are compared as ever, with something to say beside them."""

    ours: Any
    note: str


Answer: TypeAlias = Holds | Noted | Leaf | Mapping[str, Any] | list[Any]
"""What a check gives: numbers in the shape of the claim's `expected`, with or without a note, or Holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim, what we found instead of `expected` (by path, empty where nothing is compared), and the verdict."""

    claim: Claim
    verdict: Verdict
    ours: Mapping[str, Leaf] = field(default_factory=dict)
    detail: str = ""


def unjudged(claim: Claim) -> Finding:
    """The finding of a claim that is only recorded, or that no check exists for."""
    if claim.claim_class == "R":
        return Finding(claim=claim, verdict="RECORD", detail="stored with its source, not produced here")
    return Finding(claim=claim, verdict="NOT YET", detail="no check in this version")


def judge(claim: Claim, answer: Answer) -> Finding:
    """The verdict on what a check answered.

    "near" and "exact" compare numbers: every expected one must be there and agree; class A also with what the document
    prints, at its printed precision, unless an error of the document is on record. Class T compares a number with
    `min` and `max`. Everything else takes Holds; numbers that it shares with the claim must be those stated.

    Raises TypeError for an answer that the claim's tolerance does not take, which is a mistake in the check.
    """
    if isinstance(answer, Noted):
        finding = judge(claim, answer.ours)
        return replace(finding, detail=f"{finding.detail}; {answer.note}")
    if isinstance(answer, Holds):
        relations = any(isinstance(leaf, str) for leaf in claim.expected.values())
        if claim.tolerance.rule in ("near", "record") or (claim.tolerance.rule == "exact" and not relations):
            raise TypeError(f"claim {claim.id}: tolerance {claim.tolerance} compares numbers, the check gave Holds")
        numbers = leaves(answer.ours)
        stated = all(_agrees_as_stated(expected, numbers.get(path)) for path, expected in claim.expected.items())
        return _finding(claim, passed=answer.passed and stated, ours=numbers, detail=answer.detail)
    ours = leaves(answer)
    if claim.tolerance.rule == "holds" and {"min", "max"} <= claim.expected.keys():
        return _judge_range(claim, ours)
    if claim.tolerance.rule not in ("near", "exact") or any(isinstance(leaf, str) for leaf in claim.expected.values()):
        raise TypeError(f"claim {claim.id}: {dict(claim.expected)} is no number to compare with, give Holds")
    return _judge_numbers(claim, ours)


def deviation(expected: Leaf | None, ours: Leaf | None) -> float | None:
    """ours / expected - 1, or None where that says nothing."""
    if isinstance(expected, str | bool | None) or isinstance(ours, str | bool | None) or expected == 0:
        return None
    return ours / expected - 1


def prints_as(number: Leaf, printed: int | float) -> bool:
    """Whether `number`, rounded to as many places as `printed` shows, is `printed`.

    >>> prints_as(4.9725, 4.97), prints_as(4.5481, 4.54), prints_as(5.8711e-6, 5.87e-6)
    (True, False, True)
    """
    if isinstance(number, str | bool):
        return False
    shown = Decimal(str(printed))
    exponent = shown.as_tuple().exponent
    assert isinstance(exponent, int)  # it is a letter for infinity and NaN, which YAML numbers here are not
    return abs(Decimal(str(number)) - shown) <= Decimal(1).scaleb(exponent) / 2


def _agrees_as_stated(expected: Leaf, ours: Leaf | None) -> bool:
    """Whether a number that accompanies a relation is what the claim states, where both give it."""
    if isinstance(expected, str) or ours is None:
        return True
    off = deviation(expected, ours)
    return ours == expected if off is None else abs(off) <= STATED_DIGITS


def _judge_range(claim: Claim, ours: Mapping[str, Leaf]) -> Finding:
    ((_, number),) = ours.items()
    least, most = float(claim.expected["min"]), float(claim.expected["max"])
    passed = least <= float(number) <= most
    return _finding(claim, passed=passed, ours=ours, detail=f"{number:.4g}, must lie in {least} to {most}")


def _judge_numbers(claim: Claim, ours: Mapping[str, Leaf]) -> Finding:
    if ours.keys() != claim.expected.keys():
        raise TypeError(f"claim {claim.id}: expected are {list(claim.expected)}, the check gave {list(ours)}")
    wrong = [path for path, expected in claim.expected.items() if not _agree(claim, expected, ours[path])]
    details = [_agreement(claim, ours)]
    differently = [
        path
        for path, printed in claim.document_says.items()
        if not isinstance(printed, str) and path in ours and not prints_as(ours[path], printed)
    ]
    if claim.claim_class == "A" and differently:
        details += [f"the document prints {claim.document_says[path]} {path}".rstrip() for path in differently]
    unexplained = claim.claim_class == "A" and differently and not claim.errors
    return _finding(claim, passed=not wrong and not unexplained, ours=ours, detail="; ".join(details))


def _agree(claim: Claim, expected: Leaf, ours: Leaf) -> bool:
    if isinstance(expected, str | bool) or isinstance(ours, str | bool) or claim.tolerance.rule == "exact":
        return expected == ours
    return abs(ours - expected) <= claim.tolerance.relative * abs(expected) + claim.tolerance.absolute


def _agreement(claim: Claim, ours: Mapping[str, Leaf]) -> str:
    if claim.tolerance.rule == "exact":
        equal = sum(ours[path] == expected for path, expected in claim.expected.items())
        return f"{equal} of {len(claim.expected)} equal"
    found = {path: deviation(expected, ours[path]) for path, expected in claim.expected.items()}
    worst = max((value for value in found.values() if value is not None), key=abs, default=0.0)
    return f"deviation {worst:+.2%}" if len(found) == 1 else f"worst deviation {worst:+.3%}"


def _finding(claim: Claim, *, passed: bool, ours: Mapping[str, Leaf], detail: str) -> Finding:
    return Finding(claim=claim, verdict="PASS" if passed else "FAIL", ours=ours, detail=detail)
