"""A seeded trace of requests to a serving system: when each arrives, how long its prompt is, how many tokens it wants.

Operands are made up, and belong to the request: what it must be answered does not depend on who else is served.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .spec import AttentionSpec

__all__ = ["Operands", "Trace", "TracedRequest", "random_trace"]

Integers = NDArray[np.signedinteger[Any]]


class Operands(NamedTuple):
    """Of one request: queries [new_tokens, heads, dim], k and v [kv_heads, longest, dim]."""

    queries: Integers
    k: Integers
    v: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRequest:
    """arrival: step from which on it waits. prompt: tokens it joins with. new_tokens: how many steps it decodes.

    Query i sees the prompt and i tokens more, itself included.
    """

    number: int
    arrival: int
    prompt: int
    new_tokens: int

    @property
    def longest(self) -> int:
        """Tokens that its last query sees."""
        return self.prompt + self.new_tokens - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Requests in the order of their arrival; their numbers are their places."""

    spec: AttentionSpec
    requests: tuple[TracedRequest, ...]
    seed: int

    @property
    def new_tokens(self) -> int:
        """Tokens that all requests want together."""
        return sum(request.new_tokens for request in self.requests)

    def operands(self, request: TracedRequest) -> Operands:
        """Random operands of a request, the same every time."""
        spec, generator = self.spec, np.random.default_rng([self.seed, request.number])
        rows = (spec.kv_heads, request.longest, spec.dim)
        return Operands(
            queries=_uniform(generator, spec, spec.q_max, (request.new_tokens, spec.heads, spec.dim)),
            k=_uniform(generator, spec, spec.kv_max, rows),
            v=_uniform(generator, spec, spec.kv_max, rows),
        )


def random_trace(spec: AttentionSpec, *, requests: int, new_tokens: int, arrivals_per_step: float, seed: int) -> Trace:
    """Requests that arrive at random times, on average `arrivals_per_step` in a step (a Poisson process).

    Each wants 1 to `new_tokens` tokens, uniformly. Prompts have 1 token to what is left of spec.max_tokens, uniform in
    the logarithm, so that there are as many short ones as long ones.

    Raises ValueError for less than one request, token or arrival, or more tokens than a context may have.
    """
    if requests < 1:
        raise ValueError(f"{requests} requests: a trace has at least 1")
    if not 1 <= new_tokens <= spec.max_tokens:
        raise ValueError(f"up to {new_tokens} new tokens in contexts of up to {spec.max_tokens}: choose 1 to that many")
    if not (math.isfinite(arrivals_per_step) and arrivals_per_step > 0):
        raise ValueError(f"{arrivals_per_step} arrivals per step: choose a positive number")
    if seed < 0:
        raise ValueError(f"seed {seed}: at least 0")
    generator = np.random.default_rng(seed)
    arrivals = np.floor(np.cumsum(generator.exponential(1 / arrivals_per_step, requests))).astype(np.int64)
    wanted = generator.integers(1, new_tokens, requests, endpoint=True)
    longest_prompts = spec.max_tokens - wanted + 1
    prompts = np.floor((longest_prompts + 1.0) ** generator.random(requests)).astype(np.int64)
    columns = zip(arrivals.tolist(), np.minimum(prompts, longest_prompts).tolist(), wanted.tolist(), strict=True)
    return Trace(
        spec=spec,
        requests=tuple(
            TracedRequest(number=number, arrival=arrival, prompt=prompt, new_tokens=count)
            for number, (arrival, prompt, count) in enumerate(columns)
        ),
        seed=seed,
    )


def _uniform(generator: np.random.Generator, spec: AttentionSpec, largest: int, shape: tuple[int, ...]) -> Integers:
    values: Integers = generator.integers(-largest, largest, shape, spec.operands.dtype, endpoint=True)
    return values
