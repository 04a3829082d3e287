"""The check of the claim about the functional AttAcc device (C1-16): answers, commands and time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import isclose
from typing import NamedTuple

from dpu_kernels.attention import DTypeName
from host.attacc.device.experiment import DeviceOutcome, run_on_device
from host.attention.answers import Answers
from host.attention.expected import expected_answers
from host.attention.workload import Method, Workload, synthetic_workload
from host.machines.hbm_pim import hbm_pims

from .evidence import answers, arrays_of
from .inventory import Operands
from .judging import Answer, Holds

__all__ = ["attacc_device_checks"]

PLACEMENTS = ("attacc-bank", "attacc-bank-group", "attacc-buffer")
DTYPES: tuple[DTypeName, ...] = ("int8", "int16")
ROUNDING = 1e-12  # of a time in float64, relative; cycles are integers


class _Size(NamedTuple):
    batch: int
    heads: int
    kv_heads: int
    tokens: int
    dim: int
    reuse_rows: int


SIZES = (
    _Size(batch=2, heads=3, kv_heads=3, tokens=1, dim=80, reuse_rows=1),
    _Size(batch=3, heads=4, kv_heads=2, tokens=100, dim=64, reuse_rows=1),
    _Size(batch=320, heads=4, kv_heads=2, tokens=17, dim=40, reuse_rows=2),
    _Size(batch=1, heads=8, kv_heads=2, tokens=513, dim=128, reuse_rows=4),
)
"""One token; tokens that fill no slot; K and V for all 640 channels; a second block of scores, shared by four."""


def attacc_device_checks() -> Mapping[str, Callable[[], Answer]]:
    """The check by claim id."""
    return {"C1-16": device_executes_attention}


def device_executes_attention() -> Answer:
    """C1-16: the device's integers against the DPU kernel's and the reference's; commands against S1-10, time S1-9."""
    wrong: list[str] = []
    runs = compared = times = 0
    for dtype, size in product(DTYPES, SIZES):
        workload = _workload(dtype, size)
        kernel = answers(Operands(workload.queries[0], workload.k, workload.v), workload.spec)
        for placement in PLACEMENTS:
            outcome = run_on_device(workload, hbm_pims().load(placement), reuse_rows=size.reuse_rows)
            differences = [*_other_answers(workload, kernel, outcome), *_other_counts(outcome)]
            wrong += [f"{placement}, {dtype}, {size}: {difference}" for difference in differences]
            runs, times = runs + 1, times + outcome.shares_as_stated
            compared += sum(array.size for array in outcome.answers)
    detail = f"{compared:,} integers of {runs} runs, their commands, and {times} times; {len(wrong)} differ"
    return Holds(passed=not wrong, detail="; ".join([detail, *wrong]))


def _workload(dtype: DTypeName, size: _Size) -> Workload:
    return synthetic_workload(
        Method(dtype=dtype, norm="softmax"),
        batch=size.batch,
        heads=size.heads,
        kv_heads=size.kv_heads,
        tokens=size.tokens,
        dim=size.dim,
        data="random",
        seed=size.tokens,
    )


def _other_answers(workload: Workload, kernel: Answers, outcome: DeviceOutcome) -> Iterator[str]:
    """Where the device's integers are not those of the kernel, or of the reference."""
    for name, ours, theirs in zip(outcome.answers._fields, outcome.answers, arrays_of(kernel), strict=True):
        if (ours != theirs).any():
            yield f"{name} of the kernel"
    for request, q in enumerate(workload.queries[0]):
        expected = expected_answers(workload.spec, q[None], workload.k[request], workload.v[request])
        for name, ours, theirs in zip(outcome.answers._fields, outcome.answers, arrays_of(expected), strict=True):
            if (ours[request] != theirs[0]).any():
                yield f"{name} of the reference, request {request}"


def _other_counts(outcome: DeviceOutcome) -> Iterator[str]:
    """Commands, and the time where query heads are shared out as the closed form does it."""
    executed = {mnemonic: outcome.activity.commands[mnemonic] for mnemonic in outcome.stated}
    if executed != outcome.stated:
        yield f"commands {executed}, by S1-10 {dict(outcome.stated)}"
    if outcome.shares_as_stated and not isclose(outcome.seconds, outcome.stated_s, rel_tol=ROUNDING):
        yield f"{outcome.seconds} s, by S1-9 {outcome.stated_s} s"
