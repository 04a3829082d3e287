"""Every check there is, and running them: findings for a choice of claims.

Owns the list of families; a further document brings a module of checks and is added here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from .attacc import attacc_checks
from .attacc_attention import attacc_attention_checks
from .attacc_device import attacc_device_checks
from .attacc_evidence import AttAccEvidence
from .attention import attention_checks
from .bounds import bound_checks
from .chip import chip_checks
from .claim import Claim
from .determinism import determinism_checks
from .evidence import AttentionEvidence
from .functional import DecodeEvidence, functional_checks
from .inference import inference_checks
from .judging import Answer, Finding, judge, unjudged
from .softmax_bounds import softmax_checks
from .sprint import sprint_checks
from .sprint_accelerator import sprint_accelerator_checks
from .sprint_comparators import sprint_comparator_checks
from .sprint_movement import sprint_movement_checks

__all__ = ["all_checks", "check_claims"]


def all_checks() -> Mapping[str, Callable[[], Answer]]:
    """Checks by claim id. Nothing is computed before a check is called; runs are shared within this mapping."""
    return {
        **attention_checks(AttentionEvidence()),
        **bound_checks(),
        **softmax_checks(),
        **determinism_checks(),
        **attacc_checks(AttAccEvidence()),
        **attacc_attention_checks(),
        **attacc_device_checks(),
        **inference_checks(),
        **chip_checks(),
        **functional_checks(DecodeEvidence()),
        **sprint_checks(),
        **sprint_movement_checks(),
        **sprint_accelerator_checks(),
        **sprint_comparator_checks(),
    }


def check_claims(claims: Sequence[Claim], checks: Mapping[str, Callable[[], Answer]]) -> Iterator[Finding]:
    """The finding of each claim, in order, one at a time as they are done."""
    for claim in claims:
        check = checks.get(claim.id)
        yield unjudged(claim) if check is None else judge(claim, check())
