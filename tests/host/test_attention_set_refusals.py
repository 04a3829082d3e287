"""What AttentionSet refuses: sets that cannot work, whose ranks it gives back, and operands, which change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from host.attention import attention_set
from host.attention.attention_set import AttentionSet
from host.attention.layout import CapacityError
from host.attention.ranges import AccumulatorOverflow
from host.attention.softmax_plan import softmax_plan
from pim_runtime import EngineOptions, Machine
from pim_runtime.errors import AllocationError

pytestmark = pytest.mark.quick

INTERPRETED = EngineOptions(engine="interpreted")  # nothing here needs a compiled kernel


# --- refused when it is made -----------------------------------------------------------------------------------------


def arguments(**change):
    return {
        "batch": 1,
        "heads": 2,
        "dim": 4,
        "max_tokens": 8,
        "dtype": "int8",
        "norm": "div_d",
        "acc": "wide",
        "operand_max": 127,
        "options": INTERPRETED,
        **change,
    }


PLAN = softmax_plan(logit_scale=0.1, score_bound=4 * 128 * 128)
WIDER_PLAN = softmax_plan(logit_scale=0.1, score_bound=4, probability_bits=30)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batch": 0}, ValueError, "batch 0 x heads 2"),
        ({"heads": -1}, ValueError, "batch 1 x heads -1"),
        ({"nr_tasklets": 1}, ValueError, "1 tasklets: attention needs a master and at least one worker, 2 to 24"),
        ({"nr_tasklets": 25}, ValueError, "25 tasklets"),
        ({"dim": 0}, ValueError, "8 tokens x 0 dimensions"),
        ({"max_tokens": 0}, ValueError, "0 tokens x 4 dimensions"),
        ({"dtype": "int64"}, TypeError, "int8, int16 or int32"),
        ({"dtype": "float32"}, TypeError, "int8, int16 or int32"),
        ({"norm": "zscore"}, ValueError, "zscore"),
        ({"acc": "exact"}, ValueError, "exact"),
        ({"norm": "softmax"}, ValueError, "0 softmax plans for 2 heads with norm 'softmax'"),
        ({"norm": "softmax", "plans": (PLAN,) * 3}, ValueError, "3 softmax plans for 2 heads"),
        ({"plans": (PLAN,)}, ValueError, "1 softmax plans for 2 heads with norm 'div_d'"),
        ({"norm": "softmax", "plans": (PLAN,), "acc": "wrap"}, ValueError, "softmax has no wrapping form"),
        ({"operand_max": 129}, ValueError, "q_max = 129"),
        ({"operand_max": -1}, ValueError, "q_max = -1"),
        ({"dtype": "int32", "operand_max": 1 << 31}, AccumulatorOverflow, "Operands up to 1048575 fit"),
        (
            {  # 64 tokens of 2**30 * 2**28 are too much, of 2**24 * 2**28 they are not
                "norm": "softmax",
                "dtype": "int32",
                "operand_max": 1 << 28,
                "max_tokens": 64,
                "plans": (PLAN, WIDER_PLAN),
            },
            AccumulatorOverflow,
            "outputs of int32 softmax",
        ),
        ({"max_tokens": 10**7}, CapacityError, "the longest context that fits is 3355403 tokens"),
        ({"dim": 2049}, CapacityError, "a DMA moves 2048"),
        ({"dim": 250}, CapacityError, "bytes of WRAM buffers per tasklet"),
        ({"heads": 3000}, AllocationError, "at most 2560 DPUs"),
    ],
)
def test_sets_that_cannot_work_are_refused_and_freed(hardware, change, error, message):
    machine = Machine(hardware)
    with pytest.raises(error, match=message):
        AttentionSet(**arguments(machine=machine, **change))
    assert machine.free_ranks == 40


def test_whatever_goes_wrong_while_it_is_made_frees_the_dpus(hardware, monkeypatch):
    def interrupted(**layout):
        raise KeyboardInterrupt

    machine = Machine(hardware)
    monkeypatch.setattr(attention_set, "plan_layout", interrupted)
    with pytest.raises(KeyboardInterrupt):
        AttentionSet(**arguments(machine=machine))
    assert machine.free_ranks == 40


def test_wrapping_takes_any_operand(hardware):
    machine = Machine(hardware)
    lowest = np.full((1, 2, 1, 4), -(1 << 31), np.int32)
    with AttentionSet(**arguments(machine=machine, dtype="int32", acc="wrap", operand_max=1 << 31)) as attention:
        attention.load_kv(lowest, lowest)


# --- refused when it is used -----------------------------------------------------------------------------------------


@pytest.fixture
def attention(hardware):
    """2 heads of 4 dimensions with 3 of at most 4 tokens, all 1."""
    with AttentionSet(**arguments(machine=Machine(hardware), max_tokens=4, operand_max=100)) as made:
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
    with pytest.raises(ValueError, match=r"append to 4 tokens: .* this set holds 4"):
        attention.append(ones(1, 2, 4), ones(1, 2, 4))
    assert_unchanged(attention, rows, 4)


def test_an_empty_set_takes_contexts_only(hardware):
    with AttentionSet(**arguments(machine=Machine(hardware))) as attention:
        with pytest.raises(ValueError, match="append to 0 tokens: load_kv comes first"):
            attention.append(ones(1, 2, 4), ones(1, 2, 4))
        with pytest.raises(ValueError, match="launch before load_kv"):
            attention.launch()
        rows = len(attention.timeline.rows)
        attention.load_kv(ones(1, 2, 1, 4), ones(1, 2, 1, 4))
        assert_unchanged(attention, rows + 3, 1)
