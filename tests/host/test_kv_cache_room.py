"""KvCache short of memory: who still fits, how full it is, and that a refused or failed call changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_for_tests.kv_cache import (
    PAGINGS,
    PARTITIONS,
    SHAPE,
    Mirror,
    make_cache,
    spec_of,
    state_of,
)

from host.attention.kv_cache import KvCache
from host.attention.layout import CapacityError
from host.attention.partition import Partition
from pim_runtime import DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.errors import DpuFaultError, InvalidDpuSetError

INTERPRETED = EngineOptions(engine="interpreted")

every_paging = pytest.mark.parametrize("paging", PAGINGS)


# --- room ------------------------------------------------------------------------------------------------------------


@every_paging
@pytest.mark.quick
@pytest.mark.parametrize("partition", PARTITIONS, ids=str)
def test_the_longest_context_fits_and_one_token_more_does_not(paging, partition):
    with make_cache(spec_of(), paging=paging, partition=partition, options=INTERPRETED, slots=3) as cache:
        mirror, joined = Mirror(cache), 0
        while fits := cache.longest_context():
            if fits < SHAPE.max_tokens:
                before = state_of(cache)
                with pytest.raises(
                    CapacityError, match=f"longest context that can join now is {fits} tokens"
                ) as refusal:
                    mirror.join("too long", fits + 1)
                assert refusal.value.longest_context == fits
                assert state_of(cache) == before
            mirror.join(joined, max(1, fits - 7 * joined))
            joined += 1
        with pytest.raises(CapacityError, match="is 0 tokens"):
            mirror.join("too long", 1)
        assert joined >= 1


@pytest.mark.quick
@pytest.mark.parametrize("count", [0, -1])
def test_a_cache_has_a_slot(count):
    with pytest.raises(ValueError, match=f"{count} contexts per DPU: at least 1"):
        make_cache(spec_of(), options=INTERPRETED, slots=count)


@pytest.mark.quick
def test_slots_that_do_not_fit_are_refused_with_what_would():
    machine = Machine(load_profile("upmem-v1a").with_values({"dpu.mram_bytes": 7 << 10}))
    with pytest.raises(CapacityError, match="the longest context that fits is") as refusal:
        KvCache(spec_of(), nr_dpus=2, contexts_per_dpu=9, machine=machine, options=INTERPRETED)
    assert 0 < refusal.value.longest_context < SHAPE.max_tokens
    assert machine.free_ranks == 40


@pytest.mark.quick
def test_all_append_or_none_does():
    """A DPU has 13 blocks: three requests of 64 tokens take 12 of them, one of 16 the last."""
    with make_cache(spec_of(), paging="paged", nr_dpus=2, options=INTERPRETED) as cache:
        mirror = Mirror(cache)
        assert cache.contexts.layout.nr_blocks == 13
        for number in range(3):
            mirror.join(number, 63)
        mirror.join("short", 16)
        before = state_of(cache)
        for others in ((0, 1, 2, "short"), ("short", 0)):
            with pytest.raises(
                CapacityError, match=r"request 'short' of 16 tokens: DPU 0 has no free block"
            ) as refusal:
                mirror.append(others)
            assert refusal.value.longest_context == 16
            assert state_of(cache) == before
        mirror.append((0, 1, 2))
        with pytest.raises(CapacityError, match="the longest context of this cache is 64"):
            mirror.append((1,))
        mirror.leave(1)
        mirror.append(("short",))
        mirror.check()


@pytest.mark.quick
def test_two_requests_cannot_have_the_same_last_block():
    with make_cache(spec_of(), paging="paged", nr_dpus=2, options=INTERPRETED) as cache:
        mirror = Mirror(cache)
        for number, tokens in enumerate((64, 64, 32, 16, 16)):  # 12 of 13 blocks of both DPUs
            mirror.join(number, tokens)
        before = state_of(cache)
        with pytest.raises(CapacityError, match="request 4 of 16 tokens"):
            mirror.append((3, 4))
        assert state_of(cache) == before
        mirror.append((3,))
        mirror.check()


@pytest.mark.quick
def test_contexts_go_to_the_least_loaded_dpus():
    with make_cache(spec_of(), paging="paged", nr_dpus=3, options=INTERPRETED) as cache:
        mirror, seen = Mirror(cache), []
        for number, tokens in enumerate((40, 5, 5)):
            mirror.join(number, tokens)
            seen.append((cache.occupancy().busiest_dpu_contexts, cache.occupancy().dpus_in_use))
        assert seen == [(1, 2), (2, 3), (2, 3)]
        mirror.leave(0)
        mirror.join("replaces it", 64)
        assert cache.occupancy().busiest_dpu_contexts == 2


# --- occupancy -------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_occupancy_of_a_paged_cache():
    with make_cache(spec_of(), paging="paged", nr_dpus=2, slots=2, options=INTERPRETED) as cache:
        mirror, nr_blocks = Mirror(cache), cache.contexts.layout.nr_blocks
        empty = cache.occupancy()
        assert (empty.use, empty.internal_fragmentation, empty.free_space_fragmentation) == (0, 0, 0)
        mirror.join("a", 17)
        mirror.join("b", 1)
        full = cache.occupancy()
        assert (full.requests, full.contexts, full.nr_dpus, full.dpus_in_use) == (2, 4, 2, 2)
        assert (full.rows_stored, full.rows_reserved) == (36, 96)
        assert (full.blocks_used, full.blocks_free, full.rows_free) == (6, 2 * nr_blocks - 6, 32 * nr_blocks - 96)
        assert full.internal_fragmentation == 1 - 36 / 96
        assert (full.longest_context, full.longest_in_one_place) == (0, 64)  # no slot is free
        assert full.free_space_fragmentation == 1
        mirror.leave("a")
        mirror.leave("b")
        assert cache.occupancy() == empty


@pytest.mark.quick
def test_occupancy_of_a_contiguous_cache():
    with make_cache(spec_of(), nr_dpus=2, slots=2, options=INTERPRETED) as cache:
        Mirror(cache).join("a", 16)
        found = cache.occupancy()
        assert (found.rows_stored, found.rows_reserved, found.rows_free) == (32, 128, 128)
        assert (found.use, found.internal_fragmentation) == (32 / 256, 0.75)
        assert (found.blocks_used, found.blocks_free, found.longest_context) == (0, 0, 64)


# --- refused, and failed ---------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_mistakes_are_named_and_change_nothing():
    with make_cache(spec_of(), options=INTERPRETED) as cache:
        mirror = Mirror(cache)
        mirror.join("here", 5)
        k, v = mirror.prompt(3)
        q = mirror.queries(("here",))["here"]
        before = state_of(cache)
        for call, message in (
            (lambda: cache.join("here", k, v), "request 'here' is in the cache already, with 5 tokens"),
            (lambda: cache.join("new", k[:, :0], v[:, :0]), "joins without a token"),
            (lambda: cache.join("new", k[0], v[0]), r"k is int8 \(3, 8\)"),
            (lambda: cache.join("new", k, v[:, :2]), r"v is int8 \(2, 2, 8\)"),
            (lambda: cache.join("new", k.astype(np.int16), v), "k is int16"),
            (lambda: cache.append({"here": (k[:, 0], v[:, 0]), "gone": (k[:, 0], v[:, 0])}), "'gone' is not in the"),
            (lambda: cache.append({"here": (k, v)}), r"k is int8 \(2, 3, 8\)"),
            (lambda: cache.decode({"here": q, "gone": q}), "'gone' is not in the cache"),
            (lambda: cache.decode({"here": q[:2]}), r"q is int8 \(2, 8\)"),
            (lambda: cache.leave("gone"), "'gone' is not in the cache"),
            (lambda: cache.tokens("gone"), "'gone' is not in the cache"),
        ):
            with pytest.raises(ValueError, match=message):
                call()
            assert state_of(cache) == before
        mirror.check()


@pytest.mark.quick
def test_operands_beyond_what_was_proven_are_refused():
    spec = spec_of("div_d", dtype="int32")
    with make_cache(spec, options=INTERPRETED) as cache:
        mirror = Mirror(cache)
        k, v = mirror.prompt(3)
        with pytest.raises(ValueError, match="the accumulators were proven for"):
            cache.join("new", k + np.int32(2 * spec.kv_max), v)
        assert cache.requests == ()


@pytest.mark.quick
def test_more_parts_than_dpus():
    with pytest.raises(ValueError, match="4 parts per head on 3 DPUs"):
        make_cache(spec_of(), partition=Partition(4), options=INTERPRETED)


@every_paging
@pytest.mark.parametrize(
    ("call", "method"), [("join", "copy"), ("append", "copy"), ("decode", "copy"), ("decode", "exec")]
)
@pytest.mark.parametrize("arrives", [False, True])
def test_after_a_failure_everything_is_as_it_was(monkeypatch, paging, call, method, arrives):
    """Whichever of a call's commands fails, on its way or back: requests answer as before, and may call again."""
    with make_cache(spec_of("zscore"), paging=paging, partition=Partition(2), blocks=16) as cache:
        mirror = Mirror(cache)
        mirror.join("a", 16)
        mirror.join("b", 31)
        mirror.check()
        calls = {
            "join": lambda: mirror.join("c", 20),
            "append": lambda: mirror.append(("a", "b")),
            "decode": lambda: mirror.check(("b", "a")),
        }
        original = getattr(DpuSet, method)
        for survivors in range(100):
            commands = iter(range(survivors))

            def fails(*arguments, commands=commands, **options):
                failing = next(commands, None) is None
                result = original(*arguments, **options) if arrives or not failing else None
                if failing:
                    raise DpuFaultError("lost", ())
                return result

            with monkeypatch.context() as patched:
                patched.setattr(DpuSet, method, fails)
                try:
                    calls[call]()
                except DpuFaultError:
                    pass
                else:
                    break
            assert {request: cache.tokens(request) for request in cache.requests} == mirror.lengths
            mirror.check()
        assert 1 <= survivors < 99
        mirror.check()
        mirror.empty()


@pytest.mark.quick
def test_the_dpus_come_back():
    machine = Machine(load_profile("upmem-v1a"))
    with KvCache(spec_of(), machine=machine, nr_dpus=65, options=INTERPRETED) as cache:
        assert machine.free_ranks == 38
        Mirror(cache).join("r", 3)
    assert machine.free_ranks == 40
    with pytest.raises(InvalidDpuSetError):
        cache.free()
