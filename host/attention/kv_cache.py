"""A KV cache that lives in DPUs: requests of any length join, grow by a token at a time and leave (S0-14).

Owns the requests: which contexts they have, and how many tokens. Where contexts go is decided by `placement`, what they
are in memory by `contexts`, and they are attended to by `runner`. Nothing changes when a call is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pim_runtime import DpuSet, EngineOptions, Machine
from pim_runtime.timeline import Timeline

from .answers import Answers, merge_parts, rearrange
from .contexts import Contexts, Unit
from .layout import Paging
from .masks import visible
from .occupancy import Occupancy, occupancy_of
from .partition import WHOLE, Partition
from .placement import Room, place_heads
from .pools import Pool
from .runner import Calls, Runner, by_part, waves
from .spec import AttentionSpec
from .wram_plan import CapacityError

__all__ = ["KvCache"]

Integers = NDArray[np.signedinteger[Any]]
Request = TypeVar("Request", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Entry:
    """A request in the cache: its length, and the context of every part of every KV head, head by head."""

    tokens: int
    units: tuple[Unit, ...]


class KvCache:
    """K and V of many requests in `nr_dpus` DPUs, one context per KV head and part.

    contexts_per_dpu: how many slots a DPU has; default: what fits when contiguous, 64 when paged.
    paging: "contiguous" keeps room for spec.max_tokens for every context, "paged" takes blocks of 16 tokens as they are
    needed; results are the same bit for bit. nr_tasklets: 2 to 24, one master and the workers.

    Methods raise ValueError for unknown requests and for operands of another shape, type or size than `spec` says.
    After a transfer that failed, or a launch (DpuFaultError), requests are what they were before the call.
    Raises CapacityError when not even the slots fit, and what DpuSet raises.
    """

    def __init__(
        self,
        spec: AttentionSpec,
        *,
        nr_dpus: int,
        partition: Partition = WHOLE,
        paging: Paging = "contiguous",
        contexts_per_dpu: int | None = None,
        nr_tasklets: int = 17,
        machine: Machine | None = None,
        options: EngineOptions | None = None,
    ) -> None:
        if partition.parts > nr_dpus:
            raise ValueError(f"{partition.parts} parts per head on {nr_dpus} DPUs: they run at the same time")
        self.spec, self.partition = spec, partition
        self.contexts = Contexts(
            spec,
            partition,
            nr_dpus=nr_dpus,
            slots=contexts_per_dpu,
            at_once=1,
            paging=paging,
            nr_tasklets=nr_tasklets,
            machine=machine,
            options=options,
        )
        self._places = partition.over(spec.max_tokens)
        self._runner = Runner(self.contexts)
        self._slots = [Pool(self.contexts.layout.slots) for _ in range(nr_dpus)]
        self._entries: dict[Hashable, _Entry] = {}

    def __enter__(self) -> KvCache:
        return self

    def __exit__(self, *exception: object) -> None:
        self.free()

    def __len__(self) -> int:
        """Requests."""
        return len(self._entries)

    def free(self) -> None:
        """Give the DPUs back."""
        self.dpus.free()

    @property
    def dpus(self) -> DpuSet:
        """The DPUs."""
        return self.contexts.dpus

    @property
    def timeline(self) -> Timeline:
        """Every transfer and launch with its modelled time."""
        return self.dpus.timeline

    @property
    def requests(self) -> tuple[Hashable, ...]:
        """The requests in the order in which they joined."""
        return tuple(self._entries)

    def tokens(self, request: Hashable) -> int:
        """How many tokens a request has."""
        return self._entry(request).tokens

    def longest_context(self) -> int:
        """With how many tokens a new request could join now; with one more it could not. 0 if there is no room."""
        room, fits, too_long = self._room(), 0, self.spec.max_tokens + 1
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._place(room, middle) is None:
                too_long = middle
            else:
                fits = middle
        return fits

    def join(self, request: Hashable, k: Integers, v: Integers) -> None:
        """Take in a request with its prompt: k, v [kv_heads, tokens, dim], at least one token.

        The first request of an empty cache also states the kernel's instruction slots, from its rows.
        Raises CapacityError when there is no room, with the longest context that could join now.
        """
        if request in self._entries:
            raise ValueError(f"request {request!r} is in the cache already, with {self.tokens(request)} tokens")
        tokens = k.shape[1] if k.ndim == 3 else 1
        if not tokens:
            raise ValueError(f"request {request!r} joins without a token: a prompt has at least one")
        self.spec.check_kv((self.spec.kv_heads, tokens, self.spec.dim), k=k, v=v)
        dpus = self._place(self._room(), tokens)
        if dpus is None:
            fits = self.longest_context()
            raise CapacityError(
                f"request {request!r} of {tokens} tokens does not fit beside {len(self)} others on {len(self.dpus)} "
                f"DPUs: the longest context that can join now is {fits} tokens",
                fits,
            )
        units = (Unit(dpu, self._slots[dpu].take(1)[0]) for dpu in dpus.ravel().tolist())
        entry = _Entry(tokens=tokens, units=tuple(units))
        try:
            self._write_prompt(entry, k, v)
        except BaseException:
            self._release(entry)
            raise
        self._entries[request] = entry

    def append(self, rows: Mapping[Request, tuple[Integers, Integers]]) -> None:
        """Add one token to each of some requests: k, v [kv_heads, dim] of every one.

        Raises CapacityError when one of them has its longest length, or needs a block and its DPU has none: then no
        request has changed. `longest_context` is the length that this request has.
        """
        entries: dict[Hashable, _Entry] = {request: self._entry(request) for request in rows}
        for k, v in rows.values():
            self.spec.check_kv((self.spec.kv_heads, self.spec.dim), k=k, v=v)
        self._check_growth(entries)
        units = [unit for entry in entries.values() for unit in self._newest_units(entry)]
        local = [self._newest(entry)[1] for entry in entries.values() for _ in range(self.spec.kv_heads)]
        self.contexts.reserve({unit: token + 1 for unit, token in zip(units, local, strict=True)})
        keys, values = ([row[None] for pair in rows.values() for row in pair[side]] for side in (0, 1))
        self.contexts.write_rows(units, local, keys, values)
        self._entries |= {request: replace(entry, tokens=entry.tokens + 1) for request, entry in entries.items()}

    def leave(self, request: Hashable) -> None:
        """Forget a request; its slots and blocks are free again."""
        self._release(self._entry(request))
        del self._entries[request]

    def decode(self, queries: Mapping[Request, Integers]) -> dict[Request, Answers]:
        """Answers to one query per head of some requests, q [heads, dim] each, from their newest tokens.

        The arrays of each answer are [heads, ...]: integers for norm "div_d", else the record of the norm (`sums`).
        A DPU serves its contexts one after the other, so there are as many launches as the busiest DPU has contexts.
        """
        spec, parts = self.spec, self.partition.parts
        entries = [self._entry(request) for request in queries]
        for q in queries.values():
            spec.check_q((spec.heads, spec.dim), q=q)
        if not entries:
            return {}
        calls = self._calls(entries)
        in_waves = waves(calls, parts)
        rows = np.stack(list(queries.values())).reshape(-1, spec.queries, spec.dim).repeat(parts, axis=0)
        ran = self._runner.run(calls, self.contexts.queries_as_rows(rows), in_waves)
        answers = merge_parts(spec, by_part(spec, ran.answers, in_waves, parts))
        return {request: rearrange([answers], itemgetter(index)) for index, request in enumerate(queries)}

    def occupancy(self) -> Occupancy:
        """How full the cache is now."""
        tokens = sum(entry.tokens for entry in self._entries.values())
        return occupancy_of(
            self.contexts,
            self._room(),
            requests=len(self),
            rows_stored=self.spec.kv_heads * tokens,
            longest_context=self.longest_context(),
        )

    def _entry(self, request: Hashable) -> _Entry:
        entry = self._entries.get(request)
        if entry is None:
            raise ValueError(f"request {request!r} is not in the cache: it has not joined, or has left")
        return entry

    def _room(self) -> Room:
        return Room(*(np.array([len(pool) for pool in pools]) for pools in (self._slots, self.contexts.pools)))

    def _place(self, room: Room, tokens: int) -> NDArray[np.int64] | None:
        """DPUs [kv_heads, parts] for a request of so many tokens."""
        if tokens > self.spec.max_tokens:
            return None
        needs = [self.contexts.blocks_for(local) for local in self._part_tokens(tokens)]
        return place_heads(room, np.array(needs), heads=self.spec.kv_heads)

    def _part_tokens(self, tokens: int) -> list[int]:
        """Tokens of each part of a context of `tokens`."""
        return self._places.tokens_before(tokens, np.arange(self.partition.parts)).tolist()

    def _write_prompt(self, entry: _Entry, k: Integers, v: Integers) -> None:
        heads, parts = range(self.spec.kv_heads), range(self.partition.parts)
        local = self._part_tokens(entry.tokens) * len(heads)
        self.contexts.reserve(dict(zip(entry.units, local, strict=True)))
        keys, values = (self._places.split_rows(rows, 0) for rows in (k, v))
        self.contexts.write_rows(
            entry.units,
            [0] * len(entry.units),
            [keys[part].rows[head] for head in heads for part in parts],
            [values[part].rows[head] for head in heads for part in parts],
        )
        self.contexts.write_biases(entry.units, [head for head in heads for _ in parts])

    def _release(self, entry: _Entry) -> None:
        for unit in entry.units:
            self.contexts.release(unit)
            self._slots[unit.dpu].give([unit.slot])

    def _newest(self, entry: _Entry) -> tuple[int, int]:
        """(part, number in the part) of the next token of a request."""
        return int(self._places.owner(entry.tokens)), int(self._places.local(entry.tokens))

    def _newest_units(self, entry: _Entry) -> tuple[Unit, ...]:
        """The contexts that get the next token of a request, one per KV head."""
        part, _ = self._newest(entry)
        return entry.units[part :: self.partition.parts]

    def _check_growth(self, entries: Mapping[Hashable, _Entry]) -> None:
        """Raise CapacityError unless every request can have one more token, all at the same time."""
        free = [len(pool) for pool in self.contexts.pools]
        for request, entry in entries.items():
            if entry.tokens == self.spec.max_tokens:
                raise CapacityError(
                    f"append to request {request!r} of {entry.tokens} tokens: the longest context of this cache is "
                    f"{entry.tokens}",
                    entry.tokens,
                )
            _, local = self._newest(entry)
            for unit in self._newest_units(entry):
                free[unit.dpu] -= self.contexts.missing_blocks(unit, local + 1)
                if free[unit.dpu] < 0:
                    raise CapacityError(
                        f"append to request {request!r} of {entry.tokens} tokens: DPU {unit.dpu} has no free block "
                        f"for it; the longest context that fits is {entry.tokens} tokens",
                        entry.tokens,
                    )

    def _calls(self, entries: list[_Entry]) -> Calls:
        """Calls of all contexts of some requests, with queries at their newest tokens."""
        heads, parts = self.spec.kv_heads, self.partition.parts
        tokens = np.array([entry.tokens for entry in entries])
        seen = visible(tokens - 1, tokens=tokens, window=self.spec.window)
        dpu, slot = np.array([unit for entry in entries for unit in entry.units]).T
        part = np.tile(np.arange(parts), len(entries) * heads)
        first, end = (side.repeat(heads * parts) for side in seen)
        local = self._places.local_range(first, end, part)
        return Calls(
            dpu=dpu,
            slot=slot,
            kv_head=np.tile(np.arange(heads).repeat(parts), len(entries)),
            part=part,
            first=local.first,
            end=local.end,
            position=(tokens - 1).repeat(heads * parts),
        )
