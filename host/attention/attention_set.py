"""Attention of a fixed batch on DPUs: requests of equally many tokens, K and V resident in MRAM (S0-1, S0-8).

One context per DPU, in the order of requests, KV heads and parts. A batch larger than the machine runs in waves, a
smaller one can be split to fill it (`Partition`, `parts_to_fill`). Operands are integers already (`quantise`); what
the answers mean in real numbers is said by `output`, how far off they are by `certificates`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pim_runtime import DpuSet, EngineOptions, Machine, default_machine
from pim_runtime.commands import LaunchResult
from pim_runtime.timeline import Timeline

from .answers import Answers, merge_parts
from .contexts import Contexts, Unit
from .layout import Paging
from .masks import visible
from .partition import WHOLE, Partition
from .runner import Calls, Runner, by_part, waves
from .spec import AttentionSpec
from .wram_plan import CapacityError

__all__ = ["AttentionSet", "parts_to_fill"]

Integers = NDArray[np.signedinteger[Any]]


def parts_to_fill(spec: AttentionSpec, *, batch: int, nr_dpus: int) -> int:
    """Parts per head with which a batch keeps as many DPUs busy as there are; 1 if it does anyway (S0-8).

    Raises ValueError for a batch below 1.
    """
    if batch < 1:
        raise ValueError(f"batch {batch}: at least one request")
    return max(1, nr_dpus // (batch * spec.kv_heads))


class AttentionSet:
    """`batch` requests on `batch` x KV heads x parts DPUs, or on as many as there are, one wave after the other.

    nr_dpus: how many may be used; default: all of the machine. nr_tasklets: 2 to 24, one master and the workers.
    paging: "contiguous", or "paged" in blocks of 16 tokens; results are the same bit for bit.

    Raises CapacityError at once when the contexts do not fit, ValueError for arguments that do not belong together.
    """

    def __init__(
        self,
        spec: AttentionSpec,
        *,
        batch: int,
        partition: Partition = WHOLE,
        paging: Paging = "contiguous",
        nr_dpus: int | None = None,
        nr_tasklets: int = 17,
        machine: Machine | None = None,
        options: EngineOptions | None = None,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch {batch}: at least one request")
        machine = machine or default_machine()
        available = machine.free_dpus if nr_dpus is None else nr_dpus
        heads, parts = batch * spec.kv_heads, partition.parts
        if parts > available:
            raise ValueError(f"{parts} parts per head on {available} DPUs: the parts of a head run at the same time")
        heads_per_wave = min(heads, available // parts)
        self.spec, self.batch, self.partition, self.tokens = spec, batch, partition, 0
        self._places = partition.over(spec.max_tokens)
        units = np.arange(heads * parts)
        self._dpus, self._slots = units % (heads_per_wave * parts), units // (heads_per_wave * parts)
        self._units = [Unit(*unit) for unit in zip(self._dpus.tolist(), self._slots.tolist(), strict=True)]
        self._kv_heads, self._parts = units // parts % spec.kv_heads, units % parts
        self.nr_waves = -(-heads // heads_per_wave)
        self.contexts = Contexts(
            spec,
            partition,
            nr_dpus=heads_per_wave * parts,
            slots=self.nr_waves,
            at_once=self.nr_waves,
            paging=paging,
            nr_tasklets=nr_tasklets,
            machine=machine,
            options=options,
        )
        self._runner, self._calls = Runner(self.contexts), self._calls_at(np.zeros(batch, np.int64))
        self._waves = waves(self._calls, parts)
        self._queries: NDArray[np.uint8] | None = None
        self._answers: list[Answers] = []
        self._state: Literal["asked", "answered"] = "asked"
        try:
            self.contexts.write_biases(self._units, self._kv_heads.tolist())
        except BaseException:
            self.free()
            raise

    def __enter__(self) -> AttentionSet:
        return self

    def __exit__(self, *exception: object) -> None:
        self.free()

    def free(self) -> None:
        """Give the DPUs back."""
        self.contexts.dpus.free()

    @property
    def dpus(self) -> DpuSet:
        """The DPUs."""
        return self.contexts.dpus

    @property
    def timeline(self) -> Timeline:
        """Every transfer and launch with its modelled time."""
        return self.contexts.dpus.timeline

    def load_kv(self, k: Integers, v: Integers) -> None:
        """Put the context into the DPUs: k, v [batch, kv_heads, tokens, dim], replacing what was there."""
        tokens = k.shape[2] if k.ndim == 4 else self.spec.max_tokens
        if not 1 <= tokens <= self.spec.max_tokens:
            raise ValueError(f"{tokens} tokens: this set was made for 1 to {self.spec.max_tokens}")
        self.spec.check_kv((self.batch, self.spec.kv_heads, tokens, self.spec.dim), k=k, v=v)
        for unit in self._units:
            self.contexts.release(unit)
        self._write(0, k, v)
        self._set_tokens(tokens)

    def append(self, k: Integers, v: Integers) -> None:
        """Add one token to every request: k, v [batch, kv_heads, dim]. Nothing changes when it is refused."""
        self.spec.check_kv((self.batch, self.spec.kv_heads, self.spec.dim), k=k, v=v)
        if not self.tokens:
            raise ValueError("append before load_kv: there are no tokens yet")
        if self.tokens == self.spec.max_tokens:
            raise CapacityError(
                f"append to {self.tokens} tokens: the longest context of this set is {self.spec.max_tokens}",
                self.spec.max_tokens,
            )
        self._write(self.tokens, k[:, :, None], v[:, :, None])
        self._set_tokens(self.tokens + 1)

    def push_q(self, q: Integers, *, positions: ArrayLike | None = None, theta: ArrayLike | None = None) -> None:
        """Send one query per head: q [batch, heads, dim]; with several waves, `launch` sends them.

        positions: of the queries of each request, which see the tokens up to there (causal); default: the newest token.
        theta: for pruning, the threshold in units of the score, a number or an array that broadcasts to [batch, heads];
        -inf keeps every token, inf none.
        """
        spec = self.spec
        spec.check_q((self.batch, spec.heads, spec.dim), q=q)
        if not self.tokens:
            raise ValueError("push_q before load_kv: there are no tokens to attend to")
        thresholds = self._checked_theta(theta).reshape(-1, spec.queries)
        per_head = self.contexts.queries_as_rows(q.reshape(-1, spec.queries, spec.dim), thresholds)
        self._state = "asked"
        self._queries = per_head.repeat(self.partition.parts, axis=0)
        self._calls = self._calls_at(self._checked_positions(self.tokens - 1 if positions is None else positions))
        if self.nr_waves == 1:
            self._runner.push_arguments(self._calls)
            self._runner.push_queries(self._calls, self._queries)

    def launch(self) -> tuple[LaunchResult, ...]:
        """Run attention on every DPU and wait, with several waves also their transfers; gives the counters."""
        if self._queries is None:
            raise ValueError("launch before push_q: there is nothing to attend with")
        self._state = "asked"  # a launch that fails leaves no answers
        if self.nr_waves == 1:
            launches = self._runner.launch(self._calls)
        else:
            self._answers, launches = self._runner.run(self._calls, self._queries, self._waves)
        self._state = "answered"
        return launches

    def pull_parts(self) -> Answers:
        """The answers of every part: the record's arrays are [parts, batch, heads, ...]."""
        if self._state != "answered":
            raise ValueError("pull before launch: there are no answers to these queries")
        answers = [self._runner.pull(self._calls)] if self.nr_waves == 1 else self._answers
        return by_part(self.spec, answers, self._waves, self.partition.parts)

    def pull_o(self) -> Answers:
        """The outputs [batch, heads, dim]: integers for norm "div_d", else the record of the norm (`sums`)."""
        return merge_parts(self.spec, self.pull_parts())

    def pull_kept(self) -> NDArray[np.bool_]:
        """The tokens that each query kept, bool [batch, heads, tokens]: the bits that the DPUs left (pruning only).

        Raises ValueError without a selector, before a launch, or with several waves, each of which overwrites them.
        """
        if self.spec.selector is None or self._state != "answered" or self.nr_waves > 1:
            raise ValueError(
                f"pull_kept: bits of kept tokens are there after a launch with a selector in one wave; this set has "
                f"{'no' if self.spec.selector is None else 'a'} selector and {self.nr_waves} waves, and was "
                f"{self._state}"
            )
        local = self._runner.pull_kept(self._calls)
        kept = np.zeros((self.batch, self.spec.kv_heads, self.spec.queries, self.tokens), np.bool_)
        by_part = local.reshape(self.batch, self.spec.kv_heads, self.partition.parts, *local.shape[1:])
        for part in range(self.partition.parts):
            places = self._places.positions(part, self.tokens)
            kept[..., places] = by_part[:, :, part, :, : len(places)]
        return kept.reshape(self.batch, self.spec.heads, self.tokens)

    def decode(self, q: Integers, *, positions: ArrayLike | None = None, theta: ArrayLike | None = None) -> Answers:
        """One decode step: push_q, launch, pull_o."""
        self.push_q(q, positions=positions, theta=theta)
        self.launch()
        return self.pull_o()

    def _checked_positions(self, positions: ArrayLike) -> NDArray[np.int64]:
        given = np.asarray(positions)
        if given.shape not in ((), (self.batch,)) or not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"positions {given.dtype} {given.shape}: one integer, or one per request [{self.batch}]")
        if given.min() < 0 or given.max() >= self.tokens:
            raise ValueError(f"positions from {given.min()} to {given.max()}: there are tokens 0 to {self.tokens - 1}")
        return np.broadcast_to(given, self.batch).astype(np.int64)

    def _checked_theta(self, theta: ArrayLike | None) -> NDArray[np.float64]:
        """Thresholds [batch, heads]; without a selector they mean nothing, and none is given."""
        if (theta is None) != (self.spec.selector is None):
            raise ValueError(
                "theta without a selector: this set attends to every token; make its spec with one"
                if self.spec.selector is None
                else "no theta: this set prunes, so say what score a token must reach; -inf keeps every token"
            )
        given = np.asarray(-np.inf if theta is None else theta, np.float64)
        shape = self.batch, self.spec.heads
        broadcasts = all(ours in (1, all_) for ours, all_ in zip(given.shape[::-1], shape[::-1], strict=False))
        if np.isnan(given).any() or given.ndim > 2 or not broadcasts:
            raise ValueError(f"theta of shape {given.shape}: numbers that broadcast to {shape}, without NaN")
        return np.broadcast_to(given, shape)

    def _write(self, first: int, k: Integers, v: Integers) -> None:
        """Rows [batch, kv_heads, n, dim] from token `first` on, to the parts that hold them."""
        keys, values = (self._places.split_rows(rows, first) for rows in (k, v))
        local = self._places.tokens_before(first + k.shape[2], self._parts)
        self.contexts.reserve(dict(zip(self._units, local.tolist(), strict=True)))
        heads = np.ndindex(self.batch, self.spec.kv_heads)
        rows = [(keys[part], values[part], head) for head in heads for part in range(self.partition.parts)]
        self.contexts.write_rows(
            self._units,
            [key.first for key, _, _ in rows],
            [key.rows[head] for key, _, head in rows],
            [value.rows[head] for _, value, head in rows],
        )

    def _set_tokens(self, tokens: int) -> None:
        self.tokens, self._queries, self._state = tokens, None, "asked"
        if self.nr_waves == 1:
            self._runner.push_arguments(self._calls_at(np.full(self.batch, tokens - 1)))

    def _calls_at(self, positions: NDArray[np.int64]) -> Calls:
        """Calls of all contexts, with the queries of each request at one position."""
        seen = visible(np.maximum(positions, 0), tokens=self.tokens, window=self.spec.window)
        per_request = len(self._units) // self.batch
        first, end = (side.repeat(per_request) for side in seen)
        local = self._places.local_range(first, end, self._parts)
        return Calls(
            dpu=self._dpus,
            slot=self._slots,
            kv_head=self._kv_heads,
            part=self._parts,
            first=local.first,
            end=local.end,
            position=np.asarray(positions, np.int64).repeat(per_request),
        )
