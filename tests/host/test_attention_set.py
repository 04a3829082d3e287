"""AttentionSet: contexts that grow and are replaced, and heads that know nothing of each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attention import VARIANTS, assert_same, make_case, make_set, run

from host.attention.layout import CapacityError
from host.attention.reference import attention_softmax
from host.attention.softmax_plan import softmax_plan
from host.attention.sums import SoftmaxSums
from pim_runtime import EngineOptions, Machine
from pim_runtime.errors import InvalidDpuSetError

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
INTERPRETED = EngineOptions(engine="interpreted")
INT32_WRAP, INT8_SOFTMAX = VARIANTS[2], VARIANTS[6]


def first_tokens(case, n):
    """The case with the first n tokens of its context only."""
    return dataclasses.replace(case, k=case.k[:, :, :n], v=case.v[:, :, :n])


def parts(outputs):
    return tuple(outputs) if isinstance(outputs, SoftmaxSums) else (outputs,)


# --- contexts --------------------------------------------------------------------------------------------------------


@every_variant
@settings(max_examples=5, deadline=None)
@given(loaded=st.integers(1, 20), dim=st.integers(1, 20))
def test_appending_one_by_one_is_loading_at_once(hardware, variant, loaded, dim):
    case = make_case(variant, tokens=20, dim=dim, patterns=("random", "random"))
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k[:, :, :loaded], case.v[:, :, :loaded])
        assert_same(attention.decode(case.q), first_tokens(case, loaded).expected())
        for token in range(loaded, 20):
            attention.append(case.k[:, :, token], case.v[:, :, token])
            assert attention.tokens == token + 1
            assert_same(attention.decode(case.q), first_tokens(case, token + 1).expected(), where=f"token {token}")


@every_variant
def test_a_loaded_context_replaces_what_was_there(hardware, variant):
    long, short = (make_case(variant, tokens=tokens, dim=9, seed=tokens) for tokens in (43, 3))
    short = dataclasses.replace(short, operand_max=long.operand_max, plans=long.plans)
    if variant.dtype == "int32":  # whose greatest operand depends on the number of tokens
        short = dataclasses.replace(short, q=long.q, k=long.k[:, :, 5:8], v=long.v[:, :, 5:8])
    with make_set(long, hardware) as attention:
        for case in (long, short, long):
            attention.load_kv(case.k, case.v)
            assert_same(attention.decode(case.q), case.expected())


@every_variant
def test_another_query_needs_no_new_context(hardware, variant):
    case = make_case(variant, tokens=30, dim=8)
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k, case.v)
        for query in (case.q, -(case.q // 2), case.q // 3, case.q):
            assert_same(attention.decode(query), dataclasses.replace(case, q=query).expected())


@every_variant
def test_launching_twice_changes_nothing(hardware, variant):
    case = make_case(variant, tokens=30, dim=8)
    with make_set(case, hardware) as attention:
        attention.load_kv(case.k, case.v)
        attention.push_q(case.q)
        for _ in range(2):
            attention.launch()
            assert_same(attention.pull_o(), case.expected())


def test_the_longest_context_runs(hardware):
    case = make_case(INT32_WRAP, tokens=1, dim=128)
    with pytest.raises(CapacityError) as refusal:
        make_set(case, hardware, max_tokens=1 << 20)
    case = make_case(INT32_WRAP, tokens=refusal.value.longest_context, dim=128)
    assert_same(run(case, hardware).outputs, case.expected())


# --- heads -----------------------------------------------------------------------------------------------------------


@every_variant
def test_a_head_does_not_see_the_others(hardware, variant):
    """C0-32: other heads' q, K and V may change; a head alone gives the same."""
    case = make_case(variant, tokens=25, dim=7, patterns=("random",) * 3, seed=1)
    others = make_case(variant, tokens=25, dim=7, patterns=("random",) * 3, seed=2)
    q, k, v = (theirs.copy() for theirs in (others.q, others.k, others.v))
    q[:, 1], k[:, 1], v[:, 1] = case.q[:, 1], case.k[:, 1], case.v[:, 1]
    alone = dataclasses.replace(case, q=case.q[:, 1:2], k=case.k[:, 1:2], v=case.v[:, 1:2])
    outcomes = [run(each, hardware).outputs for each in (case, dataclasses.replace(case, q=q, k=k, v=v), alone)]
    for among, among_others, single in zip(*map(parts, outcomes), strict=True):
        np.testing.assert_array_equal(among_others[0, 1], among[0, 1])
        np.testing.assert_array_equal(single[0, 0], among[0, 1])


@every_variant
def test_requests_are_rows_of_heads(hardware, variant):
    flat = make_case(variant, tokens=12, dim=5, patterns=("random",) * 6)
    folded = dataclasses.replace(
        flat, q=flat.q.reshape(2, 3, 5), k=flat.k.reshape(2, 3, 12, 5), v=flat.v.reshape(2, 3, 12, 5)
    )
    outputs = run(folded, hardware).outputs
    assert_same(outputs, folded.expected())
    for ours, theirs in zip(parts(outputs), parts(run(flat, hardware).outputs), strict=True):
        np.testing.assert_array_equal(ours.reshape(theirs.shape), theirs)


def test_every_head_has_its_own_plan(hardware):
    case = make_case(INT8_SOFTMAX, tokens=25, dim=7, patterns=("random",) * 3)
    bound = 7 * 128 * 128
    plans = tuple(
        softmax_plan(logit_scale=scale, score_bound=bound, probability_bits=bits)
        for scale, bits in ((1e-5, 24), (1e-3, 30), (1.0, 8))
    )
    outputs = run(dataclasses.replace(case, plans=plans), hardware).outputs
    for head, plan in enumerate(plans):
        expected = attention_softmax(case.q[:, head], case.k[:, head], case.v[:, head], plan)
        assert_same(SoftmaxSums(*(part[:, head] for part in outputs)), expected)


# --- the set and its caller ------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_leaving_the_block_frees_the_dpus(hardware):
    machine, case = Machine(hardware), make_case(INT32_WRAP, tokens=1, dim=4, patterns=("random",) * 150)
    with make_set(case, hardware, machine=machine, options=INTERPRETED) as attention:
        assert (machine.free_ranks, len(attention.dpus)) == (37, 150)
    assert machine.free_ranks == 40
    with pytest.raises(InvalidDpuSetError):
        attention.free()


@pytest.mark.quick
def test_operands_need_not_be_contiguous(hardware):
    case = make_case(INT32_WRAP, tokens=6, dim=3, patterns=("random",) * 4)
    strided = dataclasses.replace(case, q=case.q[:, ::-2], k=case.k[:, ::-2, ::2], v=case.v[:, ::-2, ::-2])
    assert_same(run(strided, hardware, options=INTERPRETED).outputs, strided.expected())


@pytest.mark.quick
def test_pulled_outputs_belong_to_the_caller(hardware):
    case = make_case(INT8_SOFTMAX, tokens=3, dim=4)
    with make_set(case, hardware, options=INTERPRETED) as attention:
        attention.load_kv(case.k, case.v)
        for _ in range(2):
            outputs = attention.decode(case.q)
            assert_same(outputs, case.expected())
            for part in outputs:
                part[...] = 0
