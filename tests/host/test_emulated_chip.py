"""The chip on emulated banks: the bits of the reference and the counters of document 2, however weights and KV lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.attention.wram_plan import CapacityError
from host.chip.bank_memory import blocks_of, stored_blocks
from host.chip.decode_experiment import closed_form, prompt_weight_bytes, run_decode
from host.chip.document import banks_per_head, head_per_bank
from host.chip.emulated_chip import EmulatedChip
from host.chip.host_port import HostPort, Message
from host.chip.traffic import Moved
from host.llm.engine import NumpyEngine
from host.llm.generation import generate
from host.llm.model import toy
from host.llm.weights import random_weights
from host.machines.capacity import MachineCapacityError
from host.machines.kv_placement import KvPlacement
from host.machines.weight_partition import WeightPartition, oned_in, oned_out
from pim_runtime import EngineOptions, Machine, load_profile

INTERPRETED = EngineOptions(engine="interpreted")
TINY = toy(layers=1, hidden=8, heads=2, kv_heads=1, dim=4, ffn=12, vocabulary=11, max_tokens=12)
GROUPED = toy(layers=2, hidden=24, heads=4, kv_heads=2, dim=8, ffn=40, vocabulary=30, max_tokens=40)


def shared(count):
    return banks_per_head(count, "own transfer")


HEAD_PER_BANK = head_per_bank("own transfer")


def chip_of(weights, partition, kv, *, options=None, machine_values=(), **more):
    machine = Machine(load_profile("upmem-v1a").with_values(dict(machine_values)))
    return EmulatedChip(weights, partition=partition, kv=kv, machine=machine, options=options, **more)


def check_decode(model, partition, kv, prompt, new_tokens, *, options=None, precision="integer", **more):
    """Bits, messages and counters of a whole run; gives it."""
    weights = random_weights(model, seed=5)
    with chip_of(weights, partition, kv, options=options, **more) as chip:
        decode = run_decode(weights, chip, prompt, new_tokens, precision=precision)
        assert decode.is_bit_equal
        assert decode.messages == (Message("down", tuple(prompt)), *(Message("up", (t,)) for t in decode.tokens))
        assert decode.prompt["weights"].read_bytes == prompt_weight_bytes(chip, tokens=len(prompt))
        for step in decode.steps:
            expected = closed_form(model, chip, context=step.context)
            assert {purpose: step.moved[purpose] for purpose in expected} == expected
        check_timelines(chip)
    return decode


def check_timelines(chip):
    """Nothing crosses past the counters: each transfer behind the set-up is counted, once."""
    crossed = [
        row
        for timeline, first in zip(chip.timelines, chip.setup_rows, strict=True)
        for row in timeline.rows[first:]
        if row.operation != "launch"
    ]
    assert len(crossed) == sum(moved.transfers for moved in chip.traffic.now().values())


# --- bits and counters -----------------------------------------------------------------------------------------------


@settings(max_examples=6)
@given(
    parts=st.sampled_from([(4, 1), (1, 4), (2, 2), (3, 1), (1, 3)]),
    banks=st.integers(1, 3),
    fusion=st.sampled_from(["separate", "fused"]),
    prompt=st.lists(st.integers(0, 10), min_size=1, max_size=2),
    tile_tokens=st.integers(1, 2),
    kv_bits=st.sampled_from([4, 8]),
)
def test_shared_heads_with_any_cut(parts, banks, fusion, prompt, tile_tokens, kv_bits):
    """Sizes that do not divide, too: 12 rows in 3 x ..., 11 logits in 4."""
    partition = WeightPartition(*parts)
    more = {"fusion": fusion, "tile_tokens": tile_tokens, "kv_bits": kv_bits}
    check_decode(TINY, partition, shared(banks), prompt, 2, options=INTERPRETED, **more)


@pytest.mark.parametrize("kv_bits", [4, 8])
def test_a_bank_for_each_head_interpreted(kv_bits):
    check_decode(TINY, oned_out(2), HEAD_PER_BANK, [3, 1], 2, options=INTERPRETED, kv_bits=kv_bits)


@pytest.mark.parametrize("precision", ["integer", "float"])
@pytest.mark.parametrize(
    ("partition", "kv", "fusion"),
    [
        (oned_out(8), shared(4), "separate"),
        (oned_in(8), shared(3), "fused"),
        (WeightPartition(4, 2), shared(1), "fused"),
        (WeightPartition(2, 4), HEAD_PER_BANK, "separate"),
    ],
)
def test_grouped_heads_on_the_compiled_engine(partition, kv, fusion, precision):
    check_decode(GROUPED, partition, kv, list(range(18)), 4, fusion=fusion, precision=precision)


def test_two_matrices_with_biases():
    check_decode(replace(GROUPED, ffn_matrices=2, activation="relu"), oned_out(8), shared(2), [1, 2, 3], 3)


def test_tiles_read_the_weights_once_and_change_no_bit():
    weights, prompt = random_weights(GROUPED, seed=5), list(range(20))
    found = {}
    for tile_tokens in (16, 1, 7):
        with chip_of(weights, oned_out(8), shared(1), tile_tokens=tile_tokens) as chip:
            decode = run_decode(weights, chip, prompt, 1)
            layers, whole = chip.weight_bytes("layers"), chip.weight_bytes("gemv")
        tiles = -(-20 // tile_tokens)
        assert decode.prompt["weights"].read_bytes == tiles * layers + whole - layers
        assert decode.prompt["weights"].transfers == 2 * (tiles * 7 * GROUPED.layers + 1)
        found[tile_tokens] = decode.logits
    assert np.array_equal(found[16], found[1])
    assert np.array_equal(found[16], found[7])


def test_more_vectors_than_a_tile_take_several_passes():
    weights, prompt = random_weights(GROUPED, seed=5), list(range(20))
    expected = generate(weights, NumpyEngine(weights), prompt, 1)
    with chip_of(weights, oned_out(8), shared(1), tile_tokens=4) as chip:
        found = generate(weights, chip, prompt, 1, tile_tokens=20)
        assert chip.traffic.now()["weights"].read_bytes == prompt_weight_bytes(chip, tokens=20)
    assert np.array_equal(found.logits, expected.logits)


@pytest.mark.parametrize(("r", "c"), [(8, 1), (1, 8), (4, 2)])
def test_counters_are_the_formulas_of_document_2(r, c):
    """Written out: 2 (1 + 7 n_l) transfers, n_in down, c n_out up, (c - 1) n_out additions; S H + N_h L, twice."""
    m, banks, prompt = GROUPED, 4, [1, 2, 3]
    decode = check_decode(m, WeightPartition(r, c), shared(banks), prompt, 2)
    (step,) = decode.steps
    queries, kv_width, tokens = m.heads * m.dim, m.kv_heads * m.dim, len(prompt) + 1
    outputs = m.layers * (queries + 2 * kv_width + m.hidden + 2 * m.ffn + m.hidden) + m.vocabulary
    inputs = m.layers * (3 * m.hidden + queries + 2 * m.hidden + m.ffn) + m.hidden
    weights = step.moved["weights"]
    assert (weights.transfers, weights.down, weights.up) == (2 * (1 + 7 * m.layers), inputs, c * outputs)
    assert weights.controller_adds == (c - 1) * outputs
    attention = step.moved["kv"]
    assert attention.transfers == 4 * m.layers
    assert attention.volume == m.layers * 2 * (banks * queries + m.heads * tokens)
    assert attention.read_bytes == m.layers * 2 * tokens * kv_width
    assert step.moved["append"] == Moved(transfers=m.layers, down=m.layers * 2 * kv_width)


def test_a_bank_for_each_head_moves_queries_and_outputs():
    m = GROUPED
    (step,) = check_decode(m, oned_out(8), HEAD_PER_BANK, [1, 2, 3], 2).steps
    queries = m.heads * m.dim
    assert step.moved["kv"] == Moved(transfers=2 * m.layers, down=m.layers * queries, up=m.layers * queries)
    assert step.moved["append"].down == m.layers * 2 * m.kv_heads * m.dim


def test_a_second_prompt_starts_anew():
    weights = random_weights(GROUPED, seed=5)
    for kv in (shared(2), HEAD_PER_BANK):
        with chip_of(weights, oned_out(8), kv) as chip:
            runs = [run_decode(weights, chip, prompt, 3) for prompt in ([1, 2, 3], [9, 8], [1, 2, 3])]
        assert all(run.is_bit_equal for run in runs)
        assert runs[0].tokens == runs[2].tokens


# --- memory and input ------------------------------------------------------------------------------------------------


@pytest.mark.quick
@given(st.sampled_from([(1, 1), (3, 1), (1, 3), (2, 2), (8, 1), (1, 13)]), st.sampled_from(["separate", "fused"]))
def test_blocks_hold_every_weight_once(parts, fusion):
    weights = random_weights(TINY, seed=1)
    for block in blocks_of(TINY, WeightPartition(*parts), fusion):
        values = np.concatenate([weights.matrices[key].values for key in block.keys])
        assert [len(part) for part in (block.outputs, block.inputs)] == list(parts)
        assert sum(map(len, block.outputs)) == len(values) == sum(block.sizes)
        assert sum(map(len, block.inputs)) == values.shape[1]
        stored = stored_blocks(weights, block)
        assert stored.shape == (parts[0] * parts[1], block.nbytes)
        nonzero = sum(int((stored & nibble != 0).sum()) for nibble in (15, 240))
        assert nonzero == np.count_nonzero(values)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("partition", "kv", "more", "error", "message"),
    [
        (oned_out(4), shared(5), {}, ValueError, "5 banks for each of 1 KV heads: 4 banks allow 1 to 4"),
        (oned_out(4), KvPlacement(2, "parts", "own transfer"), {}, ValueError, "by its bank or by the controller"),
        (oned_out(4), head_per_bank(), {}, ValueError, 'have an "own transfer"'),
        (oned_in(4, "mesh"), shared(1), {}, ValueError, "DPUs have none, partial sums go to the controller"),
        (oned_out(4), shared(1), {"tile_tokens": 17}, ValueError, "tiles of 17 tokens: a bank multiplies 1 to 16"),
        (oned_out(4), shared(1), {"tile_tokens": 0}, ValueError, "tiles of 0 tokens"),
        (
            oned_out(4),
            shared(1),
            {"machine_values": {"dpu.mram_bytes": 512}},
            MachineCapacityError,
            "of weights and 192 of K and V are needed in a bank, which has 512. Take more banks",
        ),
        (
            oned_out(4),
            HEAD_PER_BANK,
            {"machine_values": {"dpu.mram_bytes": 2048}},
            CapacityError,
            "the longest context that fits is",
        ),
    ],
)
def test_what_a_chip_refuses(partition, kv, more, error, message):
    with pytest.raises(error, match=message):
        chip_of(random_weights(TINY, seed=0), partition, kv, options=INTERPRETED, **more)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("change", "partition", "message"),
    [
        (
            {"hidden": 2048},
            oned_out(4),
            "16 vectors for query of layer 0: 32,800 bytes .* into more parts",
        ),
        ({"max_tokens": 5000}, oned_out(4), "probabilities of 2 queries to 5000 tokens in a bank"),
        ({"heads": 12}, oned_out(4), "12 query heads on a KV head: a bank sums up for at most 8"),
        ({"layers": 64, "hidden": 2}, oned_out(4), "449 matrices and 128 of K and V"),
    ],
)
def test_models_that_do_not_fit(change, partition, message):
    weights = random_weights(replace(TINY, **change), seed=0)
    with pytest.raises(MachineCapacityError, match=message):
        chip_of(weights, partition, shared(1), options=INTERPRETED)


@pytest.mark.quick
def test_refused_chips_give_their_ranks_back():
    machine = Machine(load_profile("upmem-v1a"))
    with pytest.raises(ValueError, match="5 banks"):
        EmulatedChip(random_weights(TINY, seed=0), partition=oned_out(4), kv=shared(5), machine=machine)
    assert machine.free_ranks == machine.hardware.geometry.ranks


@pytest.mark.quick
def test_the_host_port_without_a_prompt_and_with_a_full_context():
    port = HostPort(lambda ids: iter([7]))
    with pytest.raises(ValueError, match="no prompt was sent, or its context is full"):
        port.next_token()
    port.send_prompt([1, 2])
    assert port.next_token() == 7
    with pytest.raises(ValueError, match="no token to come"):
        port.next_token()
    assert port.messages == [Message("down", (1, 2)), Message("up", (7,))]
