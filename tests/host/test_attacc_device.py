"""The AttAcc device: its answers are the kernels' bit for bit, and what it executes is what S1-10 counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_for_tests.attacc import PLACEMENTS, load_device, make_device, step
from kernels_for_tests.attention import SOFTMAX, Case, Variant, assert_same, decode, make_case, prefix

from host.attacc.commands import head_commands
from host.attacc.device.activity import total_activity
from host.attacc.device.device import AttaccDevice
from host.attention.ranges import AccumulatorOverflow
from host.machines.capacity import MachineCapacityError
from pim_runtime import EngineOptions

quick = pytest.mark.quick
every_placement = pytest.mark.parametrize("placement", PLACEMENTS)
INT8, INT16 = (Variant(dtype=dtype, norm="softmax") for dtype in ("int8", "int16"))
INTERPRETED = EngineOptions(engine="interpreted")
EXPONENTIALS = [Variant(dtype="int8", norm="softmax", exponential=name) for name in ("poly2", "iexp")]


# --- answers ---------------------------------------------------------------------------------------------------------


@quick
@settings(max_examples=25)
@given(
    placement=st.sampled_from(PLACEMENTS),
    variant=st.sampled_from([*SOFTMAX, *EXPONENTIALS]),
    tokens=st.integers(1, 70),
    dim=st.integers(1, 40),
    batch=st.integers(1, 3),
    patterns=st.sampled_from([("random",), ("random", "all equal", "one hot"), ("all lowest", "alternating")]),
    queries=st.integers(1, 4),
    stacks=st.integers(1, 3),
    reuse_rows=st.integers(1, 5),
)
def test_answers_are_those_of_the_integer_reference(
    placement, variant, tokens, dim, batch, patterns, queries, stacks, reuse_rows
):
    case = make_case(variant, tokens=tokens, dim=dim, batch=batch, patterns=patterns, queries=queries, max_tokens=80)
    assert_same(step(case, placement, stacks=stacks, reuse_rows=reuse_rows).answers, case.expected())


@quick
@pytest.mark.parametrize("variant", SOFTMAX, ids=str)
def test_answers_are_those_of_the_interpreted_kernel(hardware, variant):
    case = make_case(variant, tokens=9, dim=5, queries=2)
    kernel = decode(case, hardware, nr_tasklets=3, options=INTERPRETED)
    for placement in PLACEMENTS:
        assert_same(step(case, placement, reuse_rows=2).answers, kernel, where=placement)


@pytest.mark.parametrize(("dim", "queries"), [(64, 2), (128, 4)])
@pytest.mark.parametrize("variant", [INT8, INT16], ids=str)
def test_answers_are_those_of_the_compiled_kernel(hardware, variant, dim, queries):
    """Sizes of models, for the program of any size: blocks of 16 slots, tokens that fill no slot, several rows."""
    for tokens in (256, 1003):
        case = make_case(variant, tokens=tokens, dim=dim, queries=queries, patterns=("random",) * 2, batch=2)
        kernel = decode(case, hardware)
        for placement in PLACEMENTS:
            assert_same(step(case, placement, reuse_rows=queries).answers, kernel, where=f"{placement}, {tokens}")


@quick
@every_placement
def test_appending_is_loading(placement):
    case = make_case(INT16, tokens=40, dim=20, batch=2, queries=2)
    device = make_device(dataclasses.replace(prefix(case, 15), q=case.q), placement)
    for token in range(15, 40):
        device.append(case.k[:, :, token], case.v[:, :, token])
        assert device.tokens == token + 1
        if token in (15, 16, 31, 39):
            assert_same(device.decode(case.q).answers, prefix(case, token + 1).expected())


@quick
@every_placement
def test_what_lay_in_the_banks_before_counts_for_nothing(placement):
    long = make_case(INT8, tokens=300, dim=30)
    short = Case(spec=long.spec, q=-(long.q // 2), k=long.k[:, :, 50:67], v=long.v[:, :, 50:67])
    device = make_device(long, placement)
    for case in (long, short, long):
        device.load_kv(case.k, case.v)
        assert_same(device.decode(case.q).answers, case.expected())


# --- commands, rows and cycles ---------------------------------------------------------------------------------------


def stated_commands(placement: str, tokens: int, dim: int, lanes: int) -> dict[str, int]:
    """S1-10, as it stands there; for the buffer die what the public generator of traces writes."""

    def ceil(number: int, divisor: int) -> int:
        return -(-number // divisor)

    slots = ceil(tokens, 16)
    if placement == "attacc-bank":
        columns = ceil(dim, 4 * lanes)
        moved = 8 * ceil(slots, 16) + 8 * columns
        return _by_mnemonic(4 * columns, 2 * slots * columns, moved, 8 * ceil(tokens, 16 * lanes))
    columns = ceil(dim, lanes)
    if placement == "attacc-bank-group":
        moved = 8 * ceil(slots, 16) + 2 * columns
        return _by_mnemonic(columns, 2 * slots * columns, moved, 8 * ceil(tokens, 16 * lanes))
    pairs = ceil(tokens, 2)
    return _by_mnemonic(columns, 2 * pairs * columns, ceil(pairs, 16) + columns, ceil(tokens, 2 * lanes))


def _by_mnemonic(wr_gb: int, mac: int, mv_sb: int, mv_gb: int) -> dict[str, int]:
    return {"WR_GB": wr_gb, "MAC_AB": mac, "MV_SB": mv_sb, "SFM": 1, "MV_GB": mv_gb}


@quick
@settings(max_examples=20)
@given(
    placement=st.sampled_from(PLACEMENTS),
    variant=st.sampled_from(SOFTMAX),
    tokens=st.one_of(st.integers(1, 600), st.sampled_from([16, 256, 512])),
    dim=st.one_of(st.integers(1, 200), st.sampled_from([64, 128, 160])),
)
def test_a_head_executes_the_stated_commands(placement, variant, tokens, dim):
    case = make_case(variant, tokens=tokens, dim=dim)
    ((_, activity),) = step(case, placement).activities.items()
    bits = case.spec.operands.bits
    stated = stated_commands(placement, tokens, dim, 256 // bits)
    assert {name: activity.commands[name] for name in stated} == stated
    counts = head_commands(load_device(placement).units, tokens=tokens, dim=dim, element_bits=bits)
    assert stated == _by_mnemonic(counts.wr_gb, counts.mac, counts.mv_sb, counts.mv_gb)
    assert activity.multiplies == {"adder tree": counts.mac_score, "accumulate": counts.mac_context}
    assert activity.commands.total() == sum(stated.values()) + 2 + activity.commands["RD"]  # SETM, SETH


@quick
@pytest.mark.parametrize("reuse_rows", [1, 2, 3, 8])
def test_a_row_that_is_read_once_serves_several_queries(reuse_rows):
    """S1-12: bytes of K and V per step are those of the cache, as often as the queries do not share a reading."""
    queries, tokens, dim = 8, 64, 64  # whole slots and whole columns, so that nothing is read in vain
    case = make_case(INT16, tokens=tokens, dim=dim, queries=queries, patterns=("random",) * 2)
    device = make_device(case, "attacc-bank", reuse_rows=reuse_rows)
    activity = total_activity(device.decode(case.q).activities.values())
    passes = -(-queries // reuse_rows)
    counts = head_commands(device.hardware.units, tokens=tokens, dim=dim, element_bits=16)
    assert device.passes_per_kv_head == passes
    assert device.kv_bytes == case.k.nbytes + case.v.nbytes
    assert activity.columns_read * device.hardware.units.command_bytes == passes * device.kv_bytes
    assert activity.commands["MAC_AB"] == 2 * passes * counts.mac
    for name, per_head in {"WR_GB": counts.wr_gb, "MV_SB": counts.mv_sb, "MV_GB": counts.mv_gb, "SFM": 1}.items():
        assert activity.commands[name] == 2 * queries * per_head, name


@quick
def test_heads_go_round_stacks_and_channels():
    case = make_case(INT8, tokens=3, dim=4, batch=7, patterns=("random",) * 5)
    activities = step(case, "attacc-bank", stacks=2).activities
    heads = {place: activity.commands["SETH"] for place, activity in activities.items()}
    assert heads == {(stack, channel): 1 + (channel * 2 + stack < 3) for stack in range(2) for channel in range(16)}
    assert_same(step(case, "attacc-bank", stacks=2).answers, case.expected())


# --- refusals --------------------------------------------------------------------------------------------------------


@quick
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch": 0}, "batch = 0: must be at least 1"),
        ({"reuse_rows": -1}, "reuse_rows = -1: must be at least 1"),
    ],
)
def test_sizes_below_one(sizes, message):
    spec = make_case(INT8, tokens=4, dim=4).spec
    with pytest.raises(ValueError, match=message):
        AttaccDevice(spec, load_device("attacc-bank"), **{"batch": 1, **sizes})


@quick
@pytest.mark.parametrize(
    ("variant", "how", "message"),
    [
        (Variant(dtype="int8", norm="div_d"), {}, "norm = 'div_d'"),
        (INT8, {"window": 3}, "window = 3"),
        (INT8, {"alibi": 0.5}, "alibi_slopes"),
    ],
)
def test_what_the_device_does_not_compute(variant, how, message):
    spec = make_case(variant, tokens=4, dim=4, **how).spec
    with pytest.raises(ValueError, match=message):
        AttaccDevice(spec, load_device("attacc-bank"), batch=1)


@quick
def test_contexts_that_do_not_fit():
    """A bank has 16384 rows: K and V of 2**18 tokens x 128 elements of int8 take 512 each, so 16 heads fit."""
    spec = dataclasses.replace(make_case(INT8, tokens=4, dim=128).spec, max_tokens=2**18)
    with pytest.raises(MachineCapacityError, match="17 heads of 262144 tokens x 128 per channel: its banks hold 16"):
        AttaccDevice(spec, load_device("attacc-bank"), batch=16 * 16 + 1)


@quick
def test_operands_that_do_not_belong_to_the_device():
    case = make_case(INT16, tokens=4, dim=6, max_tokens=5)
    device = AttaccDevice(case.spec, load_device("attacc-bank"), batch=1)
    with pytest.raises(ValueError, match="before load_kv"):
        device.decode(case.q)
    with pytest.raises(ValueError, match="before load_kv"):
        device.append(case.k[:, :, 0], case.v[:, :, 0])
    with pytest.raises(ValueError, match="before load_kv"):
        device.stream(case.q, stack=0, channel=0)
    device.load_kv(case.k, case.v)
    with pytest.raises(ValueError, match=r"q is int16 \(1, 2, 6\)"):
        device.decode(np.zeros((1, 2, 6), np.int16))
    with pytest.raises(ValueError, match="k is int8"):
        device.load_kv(case.k.astype(np.int8), case.v)
    with pytest.raises(ValueError, match="stack 0, channel 1: no head lives there"):
        device.stream(case.q, stack=0, channel=1)
    device.append(case.k[:, :, 0], case.v[:, :, 0])
    with pytest.raises(MachineCapacityError, match="append to 5 tokens"):
        device.append(case.k[:, :, 0], case.v[:, :, 0])
    assert_same(device.decode(case.q).answers, _with_first_again(case).expected())


def _with_first_again(case: Case) -> Case:
    k, v = (np.concatenate([rows, rows[:, :, :1]], axis=2) for rows in (case.k, case.v))
    return dataclasses.replace(case, k=k, v=v)


@quick
def test_operands_too_large_for_the_accumulators():
    with pytest.raises(AccumulatorOverflow, match="scores"):
        dataclasses.replace(make_case(Variant(dtype="int32", norm="softmax"), tokens=4, dim=4).spec, q_max=2**31)
