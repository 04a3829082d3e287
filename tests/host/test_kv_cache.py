"""KvCache: whoever joins, grows and leaves, every answer is that of the request alone, however K and V are kept."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from kernels_for_tests.kv_cache import (
    NORMS,
    PAGINGS,
    PARTITIONS,
    PATTERNS,
    SHAPE,
    Mirror,
    make_cache,
    spec_of,
)

from host.attention.batching_experiment import different_elements
from host.attention.layout import CapacityError
from host.attention.partition import Partition
from pim_runtime import EngineOptions

INTERPRETED = EngineOptions(engine="interpreted")

every_paging = pytest.mark.parametrize("paging", PAGINGS)


# --- answers ---------------------------------------------------------------------------------------------------------


def play(spec, paging, partition):
    """Requests of every awkward length and pattern join, grow, leave, and join where others were."""
    with make_cache(spec, paging=paging, partition=partition, nr_dpus=4, slots=12, blocks=40) as cache:
        mirror, answers = Mirror(cache), []
        for number, tokens in enumerate((1, 2, 15, 16, 17, 63)):
            mirror.join(number, tokens, PATTERNS[number])
        answers.append(mirror.check())
        mirror.append((4, 0, 5), "alternating")
        answers.append(mirror.check())
        mirror.leave(2)
        mirror.leave(5)
        mirror.append((3,), "all lowest")
        mirror.join("a new one", 30)
        answers.append(mirror.check())
        answers.append(mirror.check(("a new one", 1)))
        return answers


@pytest.mark.parametrize("partition", PARTITIONS, ids=str)
@pytest.mark.parametrize("norm", NORMS)
def test_every_answer_is_that_of_the_request_alone_in_both_pagings(norm, partition):
    contiguous, paged = (play(spec_of(norm), paging, partition) for paging in PAGINGS)
    for ours, theirs in zip(contiguous, paged, strict=True):
        assert list(ours) == list(theirs)
        assert not any(different_elements(ours[request], theirs[request]) for request in ours)


@every_paging
@pytest.mark.parametrize(
    "method",
    [{"window": 5}, {"biases": "alibi", "window": 20}, {"biases": "alibi"}],
    ids=lambda method: "-".join(method),
)
def test_masks_and_biases_follow_the_length_of_each_request(paging, method):
    for partition in PARTITIONS:
        play(spec_of("softmax", **method), paging, partition)


@every_paging
@pytest.mark.parametrize("dtype", ["int4", "int32"])
def test_types_of_other_widths(paging, dtype):
    play(spec_of("div_d", dtype=dtype), paging, Partition())


@every_paging
def test_a_prompt_of_one_token_grows_to_the_longest_context(paging):
    with make_cache(spec_of(), paging=paging, nr_dpus=2) as cache:
        mirror = Mirror(cache)
        mirror.join("r", 1)
        for _ in range(SHAPE.max_tokens - 1):
            mirror.append(("r",))
            mirror.check()
        with pytest.raises(CapacityError, match="'r' of 64 tokens: the longest context of this cache is 64"):
            mirror.append(("r",))


@pytest.mark.quick
def test_nobody_asked_nothing_happens():
    with make_cache(spec_of(), options=INTERPRETED) as cache:
        rows = len(cache.timeline)
        assert cache.decode({}) == {}
        cache.append({})
        assert len(cache.timeline) == rows


# --- any sequence of calls -------------------------------------------------------------------------------------------


class AnySequence(RuleBasedStateMachine):
    """Calls in any order, against a dictionary of arrays."""

    @initialize(
        norm=st.sampled_from(NORMS),
        paging=st.sampled_from(PAGINGS),
        partition=st.sampled_from(PARTITIONS),
        room=st.sampled_from([(2, 4), (4, 5), (6, 4), (6, 13)]),
    )
    def start(self, norm, paging, partition, room):
        slots, blocks = room
        self.cache = make_cache(spec_of(norm), paging=paging, partition=partition, slots=slots, blocks=blocks)
        self.mirror, self.joined = Mirror(self.cache), 0

    @rule(tokens=st.integers(1, SHAPE.max_tokens), pattern=st.sampled_from(PATTERNS))
    def join(self, tokens, pattern):
        self.joined += 1
        fits, before = self.cache.longest_context(), self.seen()
        try:
            self.mirror.join(self.joined, tokens, pattern)
        except CapacityError:
            # Of split contexts, one that is shorter than the longest may find no place (`placement`).
            assert tokens > fits or self.cache.partition.parts > 1
            assert tokens != fits
            assert self.seen() == before
        else:
            assert tokens <= fits

    @precondition(lambda self: self.mirror.rows)
    @rule(data=st.data(), pattern=st.sampled_from(PATTERNS))
    def append(self, data, pattern):
        chosen, before = data.draw(self.some()), self.seen()
        longest = any(self.mirror.lengths[request] == SHAPE.max_tokens for request in chosen)
        try:
            self.mirror.append(chosen, pattern)
        except CapacityError:
            assert longest or self.cache.contexts.paging == "paged"
            assert self.seen() == before
        else:
            assert not longest

    @precondition(lambda self: self.mirror.rows)
    @rule(data=st.data())
    def leave(self, data):
        self.mirror.leave(data.draw(st.sampled_from(list(self.mirror.rows))))

    @precondition(lambda self: self.mirror.rows)
    @rule(data=st.data())
    def decode(self, data):
        self.mirror.check(data.draw(self.some()))

    @precondition(lambda self: self.mirror.rows)
    @rule()
    def call_wrongly(self):
        before, (first, *_) = self.seen(), self.mirror.rows
        k, v = self.mirror.prompt(1)
        with pytest.raises(ValueError, match="already"):
            self.cache.join(first, k, v)
        with pytest.raises(ValueError, match="not in the cache"):
            self.cache.append({first: (k[:, 0], v[:, 0]), "unknown": (k[:, 0], v[:, 0])})
        assert self.seen() == before

    @invariant()
    def lengths_are_known(self):
        lengths, found = self.mirror.lengths, self.cache.occupancy()
        assert {request: self.cache.tokens(request) for request in self.cache.requests} == lengths
        contexts = len(lengths) * SHAPE.kv_heads * self.cache.partition.parts
        assert (found.requests, found.contexts) == (len(lengths), contexts)
        assert found.rows_stored == SHAPE.kv_heads * sum(lengths.values()) <= found.rows_reserved

    def some(self):
        return st.lists(st.sampled_from(list(self.mirror.rows)), min_size=1, unique=True)

    def seen(self):
        return {request: self.cache.tokens(request) for request in self.cache.requests}, self.cache.occupancy()

    def teardown(self):
        with self.cache:
            self.mirror.check()
            self.mirror.empty()


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
