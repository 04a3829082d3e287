"""`pim claims`: every claim of the design documents beside the number that this project computes for it."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, get_args

from .output import Cell, Check, Column, Report, Section, Table, Value
from .progress import progress

if TYPE_CHECKING:
    from host.claims.claim import Leaf
    from host.claims.judging import Finding
    from host.claims.registry import Registry

__all__ = ["HELP", "NAME", "add_arguments", "run"]

NAME = "claims"
HELP = "recompute the claims of the design documents and say which of them hold"

CLASSES_NOTE = (
    "Classes: A arithmetic, F functional, M modelled, T trend, R recorded and not produced here. Numbers of ours are "
    "modelled times for M and for trends of times, and exact otherwise."
)
CLOCK_NOTE = "Failed claims of class M compare modelled with published times: by so much is the clock off."
NOT_YET_NOTE = "NOT YET: claims about later systems, for which this version has no check."

_COLUMNS = (
    Column(name="id"),
    Column(name="class"),
    Column(name="part"),
    Column(name="expected"),
    Column(name="ours"),
    Column(name="deviation", unit="%"),
    Column(name="tolerance"),
    Column(name="document prints"),
    Column(name="verdict"),
    Column(name="errors"),
    Column(name="claim"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--id`: some of the claims instead of all."""
    parser.add_argument(
        "--id", nargs="+", action="extend", metavar="GLOB", help="only claims like this, such as 'C0-*' (default: all)"
    )


def run(arguments: argparse.Namespace) -> Report:
    """Check the chosen claims. Raises ValueError for a pattern without claims, and what the checks' programs raise."""
    from host.claims.checking import all_checks, check_claims
    from host.claims.registry import load_registry

    registry = load_registry()
    claims = registry.select(arguments.id or ["*"])
    findings = []
    with progress(f"{len(claims)} claims", total=len(claims)) as advance:
        for finding in check_claims(claims, all_checks()):
            findings.append(finding)
            advance(1)
    return claims_report(registry, findings)


def claims_report(registry: Registry, findings: list[Finding]) -> Report:
    """One section per document that has findings, then the count of verdicts. A check per claim that was judged."""
    titles: dict[int | str, str] = {n: f"Document {n}: {subject}" for n, subject in registry.subjects.items()}
    titles["common"] = "Bounds and determinism, which the documents share"
    sections = [
        _document_section(registry, title, chosen)
        for document, title in titles.items()
        if (chosen := [finding for finding in findings if finding.claim.document == document])
    ]
    return Report(title="Claims of the design documents", sections=(*sections, _summary(findings)))


def _document_section(registry: Registry, title: str, findings: list[Finding]) -> Section:
    cited = {error for finding in findings for error in finding.claim.errors}
    errors = [error for id_, error in registry.document_errors.items() if id_ in cited]
    return Section(
        title=title,
        tables=(Table(title="", columns=_COLUMNS, rows=tuple(row for finding in findings for row in _rows(finding))),),
        notes=tuple(f"{error.id}  wrong: {error.wrong}. Right: {error.right}." for error in errors),
        checks=tuple(
            Check(name=finding.claim.id, passed=finding.verdict == "PASS", detail=finding.detail)
            for finding in findings
            if finding.verdict in ("PASS", "FAIL")
        ),
    )


def _rows(finding: Finding) -> list[tuple[Cell, ...]]:
    """A row for each number, expected or ours, and one at least; the first row tells the claim in words."""
    from host.claims.judging import deviation

    claim = finding.claim
    expected = {path: leaf for path, leaf in claim.expected.items() if not isinstance(leaf, str)}
    paths = list(dict.fromkeys((*finding.ours, *expected))) or [""]
    rows: list[tuple[Cell, ...]] = []
    for index, path in enumerate(paths):
        wanted, ours = expected.get(path), finding.ours.get(path)
        ratio = deviation(wanted, ours)
        rows.append(
            (
                claim.id,
                claim.claim_class,
                path,
                wanted,
                ours,
                None if ratio is None else round(100 * ratio, 4),
                str(claim.tolerance),
                claim.document_says.get(path) if len(paths) > 1 or _is_short(claim.document_says.get(path)) else None,
                finding.verdict,
                " ".join(claim.errors),
                "" if index else _words(finding),
            )
        )
    return rows


def _is_short(leaf: Leaf | None) -> bool:
    return not isinstance(leaf, str) or len(leaf) <= 12


def _words(finding: Finding) -> str:
    claim = finding.claim
    parts = [claim.what, *(leaf for leaf in claim.expected.values() if isinstance(leaf, str))]
    parts += [f"the document says {leaf}" for leaf in claim.document_says.values() if not _is_short(leaf)]
    return "; ".join(parts)


def _summary(findings: list[Finding]) -> Section:
    from host.claims.judging import Verdict

    counts = Counter(finding.verdict for finding in findings)
    modelled_failed = any(finding.verdict == "FAIL" and finding.claim.claim_class == "M" for finding in findings)
    notes = [CLASSES_NOTE] + [CLOCK_NOTE] * modelled_failed + [NOT_YET_NOTE] * bool(counts["NOT YET"])
    return Section(
        title="Summary",
        values=tuple(Value(name=verdict, value=counts[verdict], origin="exact") for verdict in get_args(Verdict)),
        notes=tuple(notes),
    )
