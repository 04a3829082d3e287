"""Pruned attention for tests: one way to run it, and what must come out, by the host's thresholds and references."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpu_kernels.pruning import PrunedNorm
from host.attention.answers import Answers
from host.attention.attention_set import AttentionSet
from host.attention.kernel_traffic import Dmas, KernelTraffic, dense_traffic, pruned_traffic
from host.attention.partition import WHOLE, Partition
from host.attention.reference import div_d, exact_scores
from host.attention.spec import AttentionSpec
from host.sprint.dpu_selector import DpuSelector
from host.sprint.dpu_verification import zscore_over
from host.sprint.recompute import masked_softmax
from host.sprint.thresholding import Thresholder
from pim_runtime import EngineOptions, Machine
from pim_runtime.counters import Counter
from pim_runtime.hardware import Hardware

__all__ = ["INTERPRETED", "PrunedCase", "PrunedOutcome", "pruned_run"]

INTERPRETED = EngineOptions(engine="interpreted")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedCase:
    """Random int8 operands, -128 included, of one request; `theta` is for all queries, or one per head."""

    norm: PrunedNorm = "softmax"
    tokens: int = 43
    dim: int = 10
    kv_heads: int = 1
    queries: int = 1
    window: int | None = None
    theta: ArrayLike = 20_000.0
    thresholder: Thresholder = field(default_factory=Thresholder)
    seed: int = 0

    @property
    def spec(self) -> AttentionSpec:
        return AttentionSpec(
            heads=self.kv_heads * self.queries,
            kv_heads=self.kv_heads,
            dim=self.dim,
            max_tokens=self.tokens,
            dtype="int8",
            norm=self.norm,
            q_max=128,
            kv_max=128,
            logit_scales=(2.0**-12,) if self.norm == "softmax" else (),
            window=self.window,
            selector=DpuSelector(thresholder=self.thresholder),
        )

    def operands(self) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
        """q [1, heads, dim], k and v [1, kv_heads, tokens, dim]."""
        generator = np.random.default_rng(self.seed)
        q = generator.integers(-128, 128, (1, self.kv_heads * self.queries, self.dim), np.int8)
        k, v = (generator.integers(-128, 128, (1, self.kv_heads, self.tokens, self.dim), np.int8) for _ in "kv")
        return q, k, v

    def kept(self) -> NDArray[np.bool_]:
        """What the host's thresholds keep, [heads, tokens]."""
        q, k, _ = self.operands()
        theta = np.broadcast_to(np.asarray(self.theta, np.float64), (1, q.shape[1]))
        keys = k.repeat(self.queries, axis=1)
        kept: NDArray[np.bool_] = ~self.thresholder.prune(q[:, :, None], keys, theta[..., None])[0, :, 0]
        if self.window is not None:
            kept[:, : max(0, self.tokens - self.window)] = False
        return kept

    def expected(self, kept: NDArray[np.bool_]) -> tuple[NDArray[Any], ...]:
        """Arrays of the answers for these tokens, by the references."""
        q, k, v = self.operands()
        keys, values = (rows[0].repeat(self.queries, axis=0) for rows in (k, v))
        scores = exact_scores(q[0], keys, values, norm=self.norm).astype(np.int64)
        if self.norm == "div_d":
            weights = np.where(kept, div_d(scores, self.dim), 0)
            return ((weights[:, None] @ values.astype(np.int64))[:, 0],)
        if self.norm == "zscore":
            heads = [zscore_over(*head) for head in zip(scores[:, None], values, kept[:, None], strict=True)]
            return tuple(np.concatenate(parts) for parts in zip(*heads, strict=True))
        sums = masked_softmax(scores[:, None], values, kept[:, None], self.spec.plans[0])
        return tuple(part[:, 0] for part in sums)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrunedOutcome:
    """Arrays of the answers [heads, ...], kept [heads, tokens], counters of the launch, and their closed form."""

    answers: tuple[NDArray[Any], ...]
    kept: NDArray[np.bool_]
    counters: NDArray[np.int64]
    traffic: KernelTraffic
    decision: str

    @property
    def dmas(self) -> Dmas:
        """As counted."""
        sums = self.counters.sum(axis=(0, 1, 2))
        return Dmas(
            int(sums[[Counter.READS, Counter.WRITES]].sum()),
            int(sums[[Counter.READ_BYTES, Counter.WRITE_BYTES]].sum()),
        )


def pruned_run(
    case: PrunedCase,
    hardware: Hardware,
    *,
    selection: Literal["pruned", "dense"] = "pruned",
    nr_tasklets: int = 5,
    partition: Partition = WHOLE,
    paging: Any = "contiguous",
    options: EngineOptions = INTERPRETED,
) -> PrunedOutcome:
    """One decode step; dense: by the dense program."""
    spec = case.spec if selection == "pruned" else replace(case.spec, selector=None)
    q, k, v = case.operands()
    with AttentionSet(
        spec,
        batch=1,
        partition=partition,
        paging=paging,
        nr_tasklets=nr_tasklets,
        machine=Machine(hardware),
        options=options,
    ) as attention:
        attention.load_kv(k, v)
        attention.push_q(q, theta=case.theta if selection == "pruned" else None)
        (launch,) = attention.launch()
        answers: Answers = attention.pull_o()
        kept = attention.pull_kept()[0] if selection == "pruned" else np.ones((spec.heads, case.tokens), np.bool_)
        wram = attention.contexts.wram
    first = 0 if case.window is None else max(0, case.tokens - case.window)
    sizes = {"workers": nr_tasklets - 1, "columns": wram.columns, "paging": paging}
    if selection == "pruned":
        traffic = pruned_traffic(spec, kept[: case.queries], first=first, **sizes)
    else:
        traffic = dense_traffic(spec, first=first, end=case.tokens, **sizes)
    arrays = (answers,) if isinstance(answers, np.ndarray) else tuple(answers)
    return PrunedOutcome(
        answers=tuple(part[0] for part in arrays),
        kept=kept,
        counters=launch.counters.rows,
        traffic=traffic,
        decision=wram.decision,
    )
