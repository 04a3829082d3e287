"""KV caches for tests: small machines that run short of memory, and a mirror that knows what a cache must answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpu_kernels.attention import DTypeName, Norm
from host.attention.answers import Answers
from host.attention.batching_experiment import different_elements
from host.attention.expected import expected_answers
from host.attention.kv_cache import KvCache
from host.attention.layout import Paging, plan_layout
from host.attention.partition import Partition
from host.attention.spec import AttentionSpec
from host.attention.workload import Biases, HeadShape, Method, synthetic_spec
from pim_runtime import Machine, load_profile
from pim_runtime.symbols import HEAP_NAME

__all__ = ["NORMS", "PAGINGS", "PARTITIONS", "PATTERNS", "SHAPE", "Mirror", "make_cache", "spec_of", "state_of"]

Integers = NDArray[np.signedinteger[Any]]

NORMS: tuple[Norm, ...] = ("div_d", "zscore", "zscore_linear", "softmax", "softmax_online")
PAGINGS: tuple[Paging, ...] = ("contiguous", "paged")
PATTERNS = ("random", "all equal", "one hot", "alternating", "all lowest", "zero")
WHOLE = Partition()
PARTITIONS = (WHOLE, Partition(3, "interleave"), Partition(2, "block"))
SHAPE = HeadShape(heads=4, kv_heads=2, dim=8, max_tokens=64)
TASKLETS = 5
PLENTY = 1 << 22


def spec_of(
    norm: Norm = "div_d", *, dtype: DTypeName = "int8", window: int | None = None, biases: Biases = "none"
) -> AttentionSpec:
    """Four heads on two KV heads, with the largest operands."""
    return synthetic_spec(Method(dtype=dtype, norm=norm, window=window, biases=biases), SHAPE)


def make_cache(
    spec: AttentionSpec,
    *,
    paging: Paging = "contiguous",
    partition: Partition = WHOLE,
    slots: int = 6,
    blocks: int = 13,
    nr_dpus: int = 3,
    **arguments: Any,
) -> KvCache:
    """A cache on a machine of its own, whose DPUs have room for so many slots (and blocks when paged) and no more."""
    layout = plan_layout(spec, partition, paging=paging, slots=slots, at_once=1, heap_bytes=PLENTY)
    spare = max(0, layout.nr_blocks - blocks) * layout.block_bytes
    hardware = load_profile("upmem-v1a").with_values({"dpu.mram_bytes": layout.end - spare})
    return KvCache(
        spec,
        paging=paging,
        partition=partition,
        contexts_per_dpu=slots,
        nr_dpus=nr_dpus,
        nr_tasklets=TASKLETS,
        machine=Machine(hardware),
        **arguments,
    )


def state_of(cache: KvCache) -> tuple[Any, ...]:
    """All that a refused call must leave alone: lengths, room, and the memory of the DPUs."""
    memory = np.zeros((len(cache.dpus), cache.contexts.layout.end), np.uint8)
    cache.dpus.copy(memory, HEAP_NAME)
    return {request: cache.tokens(request) for request in cache.requests}, cache.occupancy(), memory.tobytes()


class Mirror:
    """What a cache should hold: `rows` has K and V of every request as plain arrays."""

    def __init__(self, cache: KvCache) -> None:
        self.cache, self.spec = cache, cache.spec
        self.rows: dict[Hashable, tuple[Integers, Integers]] = {}
        self._generator = np.random.default_rng(0)

    @property
    def lengths(self) -> dict[Hashable, int]:
        """Tokens of every request."""
        return {request: k.shape[1] for request, (k, _) in self.rows.items()}

    def prompt(self, tokens: int, pattern: str = "random") -> tuple[Integers, Integers]:
        """K and V that nobody has yet."""
        shape = (self.spec.kv_heads, tokens, self.spec.dim)
        return self._operand(self.spec.kv_max, shape, pattern), self._operand(self.spec.kv_max, shape, pattern)

    def queries(self, requests: Iterable[Hashable]) -> dict[Hashable, Integers]:
        """A random query for each."""
        shape = (self.spec.heads, self.spec.dim)
        return {request: self._operand(self.spec.q_max, shape, "random") for request in requests}

    def join(self, request: Hashable, tokens: int, pattern: str = "random") -> None:
        """A request joins; it is only mirrored if it was let in."""
        rows = self.prompt(tokens, pattern)
        self.cache.join(request, *rows)
        self.rows[request] = rows

    def append(self, requests: Iterable[Hashable], pattern: str = "random") -> None:
        """One token for each; mirrored only if there was room for all."""
        tokens = {request: self.prompt(1, pattern) for request in requests}
        self.cache.append({request: (k[:, 0], v[:, 0]) for request, (k, v) in tokens.items()})
        for request, (k, v) in tokens.items():
            keys, values = self.rows[request]
            self.rows[request] = np.concatenate([keys, k], axis=1), np.concatenate([values, v], axis=1)

    def leave(self, request: Hashable) -> None:
        """A request leaves."""
        self.cache.leave(request)
        del self.rows[request]

    def check(self, requests: Iterable[Hashable] | None = None) -> dict[Hashable, Answers]:
        """Decode (default: all), compare every answer with that of the request alone, and give the answers."""
        queries = self.queries(self.rows if requests is None else requests)
        answers = self.cache.decode(queries)
        assert list(answers) == list(queries)
        for request, q in queries.items():
            alone = expected_answers(
                self.spec, q[None], *self.rows[request], partition=self.cache.partition, nr_tasklets=TASKLETS
            )
            assert not different_elements(answers[request], alone), request
        return answers

    def empty(self) -> None:
        """Everybody leaves, and nothing stays behind."""
        for request in self.cache.requests:
            self.leave(request)
        left = self.cache.occupancy()
        assert (left.requests, left.contexts, left.rows_stored, left.rows_reserved) == (0, 0, 0, 0)

    def _operand(self, largest: int, shape: tuple[int, ...], pattern: str) -> Integers:
        values = self._generator.integers(-largest, largest, shape, np.int64, endpoint=True)
        if pattern == "all equal":
            values[...] = largest
        elif pattern == "one hot":
            values[...] = 0
            values[..., 0] = largest
        elif pattern == "alternating":
            values[...] = np.where(np.arange(values.size).reshape(shape) % 2, largest, -largest)
        elif pattern == "all lowest":
            values[...] = -largest
        elif pattern == "zero":
            values[...] = 0
        return values.astype(self.spec.operands.dtype)
