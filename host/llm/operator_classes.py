"""The three classes of operators and what each computes and moves (S3-5), after the profiling paper of document 3.

Ivanov et al., "Data Movement Is All You Need", MLSys 2021: contractions, statistical normalisations, element-wise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import get_args

from .operators import Operator, OperatorKind, minimal_bytes
from .quantisation import QuantConfig

__all__ = ["ClassTotal", "class_totals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTotal:
    """All operators of a class together.

    flops_share, bytes_share: of all classes, from 0 to 1. moved_bytes: inputs and outputs of every operator, once each.
    """

    kind: OperatorKind
    operators: int
    flops: int
    moved_bytes: Fraction
    flops_share: Fraction
    bytes_share: Fraction

    @property
    def intensity(self) -> float:
        """Operations per byte; 0 for a class without operators."""
        return float(self.flops / self.moved_bytes) if self.moved_bytes else 0.0


def class_totals(operators: Sequence[Operator], quant: QuantConfig) -> tuple[ClassTotal, ...]:
    """The three classes in the order of `OperatorKind`. Raises ValueError for no operators."""
    if not operators:
        raise ValueError("no operators: classes have shares of at least one")
    flops = sum(operator.flops for operator in operators)
    moved = sum((minimal_bytes(operator, quant) for operator in operators), Fraction())
    totals = []
    for kind in get_args(OperatorKind):
        chosen = [operator for operator in operators if operator.kind == kind]
        own_flops = sum(operator.flops for operator in chosen)
        own_bytes = sum((minimal_bytes(operator, quant) for operator in chosen), Fraction())
        totals.append(
            ClassTotal(
                kind=kind,
                operators=len(chosen),
                flops=own_flops,
                moved_bytes=own_bytes,
                flops_share=Fraction(own_flops, flops),
                bytes_share=own_bytes / moved,
            )
        )
    return tuple(totals)
