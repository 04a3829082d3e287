"""What specs and AttentionSet refuse: sets that cannot work, whose ranks come back, and operands; nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from host.attention import contexts
from host.attention.attention_set import AttentionSet, parts_to_fill
from host.attention.partition import Partition
from host.attention.ranges import AccumulatorOverflow
from host.attention.spec import AttentionSpec
from host.attention.wram_plan import CapacityError
from pim_runtime import EngineOptions, Machine
from pim_runtime.errors import AllocationError

pytestmark = pytest.mark.quick

INTERPRETED = EngineOptions(engine="interpreted")  # nothing here needs a compiled kernel


# --- refused when it is said -----------------------------------------------------------------------------------------


def spec(**change):
    return AttentionSpec(
        **{
            "heads": 2,
            "kv_heads": 2,
            "dim": 4,
            "max_tokens": 8,
            "dtype": "int8",
            "norm": "div_d",
            "q_max": 127,
            "kv_max": 127,
            **change,
        }
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"heads": 0}, ValueError, "0 query heads on 2 KV heads"),
        ({"kv_heads": 0}, ValueError, "2 query heads on 0 KV heads"),
        ({"heads": 3}, ValueError, "3 query heads on 2 KV heads: each KV head serves equally many"),
        ({"heads": 66}, ValueError, "33 query heads on one KV head: a launch serves at most 32"),
        ({"window": 0}, ValueError, "window = 0: a query sees at least itself"),
        ({"dim": 0}, ValueError, "8 tokens x 0 dimensions"),
        ({"max_tokens": 0}, ValueError, "0 tokens x 4 dimensions"),
        ({"dtype": "int64"}, TypeError, "int4, int8, int16 or int32"),
        ({"dtype": "float32"}, TypeError, "int4, int8, int16 or int32"),
        ({"norm": "relu"}, ValueError, "relu"),
        ({"acc": "exact"}, ValueError, "exact"),
        ({"norm": "softmax"}, ValueError, "0 logit scales for 2 query heads with norm 'softmax'"),
        ({"norm": "softmax", "logit_scales": (0.1,) * 3}, ValueError, "3 logit scales for 2 query heads"),
        ({"alibi_slopes": (0.5, 0.5)}, ValueError, "0 logit scales for 2 query heads with norm 'div_d' and ALiBi"),
        ({"alibi_slopes": (0.5,), "logit_scales": (0.1,)}, ValueError, "1 ALiBi slopes for 2 query heads"),
        ({"norm": "softmax", "logit_scales": (0.1,), "acc": "wrap"}, ValueError, "softmax has no wrapping form"),
        ({"norm": "zscore", "acc": "wrap"}, ValueError, "zscore has no wrapping form"),
        ({"norm": "softmax", "logit_scales": (0.1,), "probability_bits": 31}, ValueError, "probability_bits = 31"),
        ({"norm": "div_d", "exponential": "poly4"}, ValueError, "exponential = 'poly4': choose one of"),
        ({"window": 2.5}, TypeError, "window = 2.5: give an integer"),
        ({"dim": 8.0}, TypeError, "dim = 8.0: give an integer"),
        ({"dim": 10**6, "q_max": np.int32(127), "kv_max": np.int32(127)}, AccumulatorOverflow, "reach 16129000000"),
        ({"q_max": 129}, ValueError, "q_max = 129"),
        ({"kv_max": -1}, ValueError, "k_max = -1"),
        ({"dtype": "int4", "kv_max": 9}, ValueError, "k_max = 9: a magnitude of int4 lies in 0 to 8"),
        (
            {"dtype": "int32", "q_max": 1 << 31, "kv_max": 1 << 31},
            AccumulatorOverflow,
            "Operands up to 1048575 fit",
        ),
        (  # a bias counts as part of the score
            {"alibi_slopes": (1.0, 1.0), "logit_scales": (1e-9,)},
            AccumulatorOverflow,
            r"\|bias\| <= 7000000000",
        ),
        (  # 64 tokens of 2**30 * 2**28 are too much, of 2**24 * 2**28 they would not be
            {
                "norm": "softmax",
                "dtype": "int32",
                "q_max": 1 << 28,
                "kv_max": 1 << 28,
                "max_tokens": 64,
                "probability_bits": 30,
                "logit_scales": (0.1,),
            },
            AccumulatorOverflow,
            "outputs of int32 softmax",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        spec(**change)


def test_sizes_may_be_numpy_integers():
    given = spec(norm="softmax", logit_scales=(0.1,), dim=np.int64(8), q_max=np.int8(127), kv_max=np.int8(127))
    assert given == spec(norm="softmax", logit_scales=(0.1,), dim=8, q_max=127, kv_max=127)
    assert given.plans == spec(norm="softmax", logit_scales=(0.1,), dim=8, q_max=127, kv_max=127).plans


# --- refused when it is made -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "how", "error", "message"),
    [
        ({}, {"batch": 0}, ValueError, "batch 0: at least one request"),
        ({}, {"nr_tasklets": 1}, ValueError, "1 tasklets: attention needs a master and at least one worker, 2 to 24"),
        ({}, {"nr_tasklets": 25}, ValueError, "25 tasklets"),
        ({}, {"partition": Partition(5), "nr_dpus": 4}, ValueError, "5 parts per head on 4 DPUs"),
        ({}, {"paging": "pages"}, ValueError, "paging = 'pages': choose one of contiguous, paged"),
        ({}, {"nr_dpus": 0}, ValueError, "1 parts per head on 0 DPUs"),
        ({}, {"batch": 2560, "nr_dpus": 2561}, AllocationError, "at most 2560 DPUs"),
        ({"max_tokens": 10**7}, {}, CapacityError, "the longest context that fits is 3355403 tokens"),
        ({"dim": 2049}, {}, CapacityError, "a DMA moves 2048"),
        ({"dtype": "int16", "heads": 64, "dim": 1000}, {}, CapacityError, "bytes of WRAM buffers for 17 tasklets"),
        ({"dtype": "int16", "norm": "zscore_linear", "heads": 64}, {}, CapacityError, "scores of 32 queries need 2112"),
    ],
)
def test_sets_that_cannot_work_are_refused_and_freed(hardware, change, how, error, message):
    machine = Machine(hardware)
    with pytest.raises(error, match=message):
        AttentionSet(spec(**change), **{"batch": 1, "machine": machine, "options": INTERPRETED, **how})
    assert machine.free_ranks == 40


@pytest.mark.parametrize(("owner", "what"), [(contexts.DpuSet, "load"), (contexts.Contexts, "write_biases")])
def test_whatever_goes_wrong_while_it_is_made_frees_the_dpus(hardware, monkeypatch, owner, what):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    machine = Machine(hardware)
    monkeypatch.setattr(owner, what, interrupted)
    with pytest.raises(KeyboardInterrupt):
        AttentionSet(spec(), batch=1, machine=machine, options=INTERPRETED)
    assert machine.free_ranks == 40


def test_wrapping_takes_any_operand(hardware):
    lowest = np.full((1, 2, 1, 4), -(1 << 31), np.int32)
    wrapping = spec(dtype="int32", acc="wrap", q_max=1 << 31, kv_max=1 << 31)
    with AttentionSet(wrapping, batch=1, machine=Machine(hardware), options=INTERPRETED) as attention:
        attention.load_kv(lowest, lowest)


# --- refused when it is used -----------------------------------------------------------------------------------------


@pytest.fixture(params=["contiguous", "paged"])
def attention(request, hardware):
    """2 heads of 4 dimensions with 3 of at most 4 tokens, all 1."""
    limited = spec(max_tokens=4, q_max=100, kv_max=100)
    with AttentionSet(limited, batch=1, paging=request.param, machine=Machine(hardware), options=INTERPRETED) as made:
        made.load_kv(ones(1, 2, 3, 4), ones(1, 2, 3, 4))
        yield made


def ones(*shape, dtype=np.int8, with_one=1):
    """All 1, but the last element."""
    values = np.ones(shape, dtype)
    values.flat[-1:] = with_one
    return values


def assert_unchanged(attention, rows, tokens):
    assert (len(attention.timeline.rows), attention.tokens) == (rows, tokens)
    np.testing.assert_array_equal(attention.decode(ones(1, 2, 4)), np.full((1, 2, 4), tokens))


BAD_VECTORS = [
    (ones(2, 4), r"int8 \(2, 4\), but this set takes int8 \(1, 2, 4\)"),
    (ones(1, 2, 5), r"int8 \(1, 2, 5\)"),
    (ones(1, 2, 1, 4), r"int8 \(1, 2, 1, 4\)"),
    (ones(1, 2, 4, dtype=np.int16), r"int16 \(1, 2, 4\)"),
    (ones(1, 2, 4, dtype=np.uint8), r"uint8 \(1, 2, 4\)"),
    (ones(1, 2, 4, dtype=np.float64), r"float64 \(1, 2, 4\)"),
    (ones(1, 2, 4, with_one=101), "reaches 101, but the accumulators were proven for 100"),
    (ones(1, 2, 4, with_one=-128), "reaches 128"),
]


@pytest.mark.parametrize(("vector", "message"), BAD_VECTORS)
def test_queries_that_do_not_belong_are_refused(attention, vector, message):
    rows = len(attention.timeline.rows)
    with pytest.raises(ValueError, match=message) as refusal:
        attention.push_q(vector)
    assert str(refusal.value).startswith("q ")
    assert_unchanged(attention, rows, 3)


@pytest.mark.parametrize("positions", [-1, 4, [0, 0]])
def test_positions_that_do_not_belong_are_refused(attention, positions):
    """Before the first token, beyond the longest context, or not one per request."""
    rows = len(attention.timeline.rows)
    with pytest.raises(ValueError, match=r"position|shape"):
        attention.push_q(ones(1, 2, 4), positions=positions)
    assert_unchanged(attention, rows, 3)


@pytest.mark.parametrize("operand", ["k", "v"])
@pytest.mark.parametrize(("vector", "message"), BAD_VECTORS)
def test_tokens_that_do_not_belong_are_refused(attention, operand, vector, message):
    rows = len(attention.timeline.rows)
    operands = {"k": ones(1, 2, 4), "v": ones(1, 2, 4), operand: vector}
    with pytest.raises(ValueError, match=message) as refusal:
        attention.append(**operands)
    assert str(refusal.value).startswith(f"{operand} ")
    assert_unchanged(attention, rows, 3)


@pytest.mark.parametrize("operand", ["k", "v"])
@pytest.mark.parametrize(
    ("context", "message"),
    [
        (ones(1, 2, 4), r"int8 \(1, 2, 4\), but this set takes int8 \(1, 2, \d, 4\)"),
        (ones(2, 1, 2, 4), r"int8 \(2, 1, 2, 4\), but this set takes int8 \(1, 2, 2, 4\)"),
        (ones(1, 2, 2, 8), r"int8 \(1, 2, 2, 8\)"),
        (ones(1, 2, 2, 4, dtype=np.int32), r"int32 \(1, 2, 2, 4\)"),
        (ones(1, 2, 2, 4, with_one=-101), "reaches 101, but the accumulators were proven for 100"),
    ],
)
def test_contexts_that_do_not_belong_are_refused(attention, operand, context, message):
    rows = len(attention.timeline.rows)
    operands = {"k": ones(1, 2, 2, 4), "v": ones(1, 2, 2, 4), operand: context}
    with pytest.raises(ValueError, match=message):
        attention.load_kv(**operands)
    assert_unchanged(attention, rows, 3)


@pytest.mark.parametrize("tokens", [0, 5])
def test_contexts_that_the_set_was_not_made_for_are_refused(attention, tokens):
    rows = len(attention.timeline.rows)
    with pytest.raises(ValueError, match=f"{tokens} tokens: this set was made for 1 to 4"):
        attention.load_kv(ones(1, 2, tokens, 4), ones(1, 2, tokens, 4))
    assert_unchanged(attention, rows, 3)


def test_a_full_set_takes_no_token(attention):
    attention.append(ones(1, 2, 4), ones(1, 2, 4))
    rows = len(attention.timeline.rows)
    with pytest.raises(CapacityError, match="append to 4 tokens: the longest context of this set is 4") as refusal:
        attention.append(ones(1, 2, 4), ones(1, 2, 4))
    assert refusal.value.longest_context == 4
    assert_unchanged(attention, rows, 4)


@pytest.mark.parametrize("value", [8, -9])
def test_nibbles_hold_nothing_else(hardware, value):
    """Wrapping arithmetic checks no magnitudes, but int4 rows have to be packed."""
    nibbles = spec(dtype="int4", acc="wrap", kv_max=8)
    with AttentionSet(nibbles, batch=1, machine=Machine(hardware), options=INTERPRETED) as attention:
        for operands in ({"k": ones(1, 2, 2, 4, with_one=value)}, {"v": ones(1, 2, 2, 4, with_one=value)}):
            with pytest.raises(ValueError, match="int4 holds -8 to 7"):
                attention.load_kv(**{"k": ones(1, 2, 2, 4), "v": ones(1, 2, 2, 4), **operands})
        assert attention.tokens == 0
        attention.load_kv(ones(1, 2, 2, 4), ones(1, 2, 2, 4))
        attention.push_q(ones(1, 2, 4, with_one=-128))


def test_an_empty_set_takes_contexts_only(hardware):
    with AttentionSet(spec(), batch=1, machine=Machine(hardware), options=INTERPRETED) as attention:
        with pytest.raises(ValueError, match="append before load_kv: there are no tokens yet"):
            attention.append(ones(1, 2, 4), ones(1, 2, 4))
        with pytest.raises(ValueError, match="push_q before load_kv: there are no tokens to attend to"):
            attention.push_q(ones(1, 2, 4))
        with pytest.raises(ValueError, match="launch before push_q"):
            attention.launch()
        rows = len(attention.timeline.rows)
        attention.load_kv(ones(1, 2, 1, 4), ones(1, 2, 1, 4))
        assert_unchanged(attention, rows + 3, 1)


def test_queries_do_not_outlive_their_context(attention):
    attention.push_q(ones(1, 2, 4))
    attention.append(ones(1, 2, 4), ones(1, 2, 4))
    with pytest.raises(ValueError, match="launch before push_q"):
        attention.launch()


def test_answers_are_pulled_after_a_launch_only(attention):
    """Before it, the DPUs hold the answers to other queries, or none."""
    for _ in range(2):
        attention.push_q(ones(1, 2, 4))
        with pytest.raises(ValueError, match="pull before launch"):
            attention.pull_o()
        attention.launch()
        assert (attention.pull_o() == attention.pull_parts()[0]).all()


def test_no_batch_fills_a_machine():
    with pytest.raises(ValueError, match="batch 0: at least one request"):
        parts_to_fill(spec(max_tokens=4, q_max=100, kv_max=100), batch=0, nr_dpus=64)
