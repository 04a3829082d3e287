"""One latency path: document 2's chip and document 0's DPUs, and what all machines must obey (P-2, P-3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.attention.merge_traffic import bytes_up
from host.attention.published import baseline_us, crossover, first_win, pim_attention, upmem_us
from host.llm.catalogue import published_model
from host.llm.model import toy
from host.llm.operators import Step
from host.llm.parameters import kv_bytes_per_token
from host.llm.quantisation import INT4, QuantConfig
from host.machines.bank_chip import bank_chips
from host.machines.chip_memory import ChipMemory
from host.machines.decode_step import MemoryPlan, decode_cost, kv_cost, spread_over_all
from host.machines.dpu_server import DpuServer, dpu_works
from host.machines.kv_placement import KvPlacement, KvPruning, kv_parts, kv_work, utilisation
from host.machines.near_memory import LinkTime, Round, Work, work_cost
from host.machines.weight_partition import WeightPartition, oned_out, weight_work
from pim_runtime import load_profile
from pim_runtime.timing import transfer_costs

pytestmark = pytest.mark.quick

ALONE = KvPlacement(append="not counted")
SHARED = KvPlacement(4, "scores", "not counted")
BITS = {"int32": 32, "int16": 16, "int8": 8}

merges = st.sampled_from(("scores", "parts"))
appends = st.sampled_from(("not counted", "packed with q", "own transfer"))
placements = st.one_of(
    st.builds(KvPlacement, st.just(1), st.just("unit"), appends),
    st.builds(KvPlacement, st.integers(1, 8), merges, appends),
)
shapes = st.sampled_from([(1, 1), (4, 1), (4, 2), (4, 4), (6, 3)])
models = shapes.map(lambda heads: toy(heads=heads[0], kv_heads=heads[1]))
quants = st.builds(QuantConfig, *[st.sampled_from((4, 8, 16, 32))] * 3)
steps = st.builds(Step, batch=st.integers(1, 40), context=st.integers(1, 5000))


@dataclass(frozen=True)
class Machine:
    """Units whose every number can be chosen."""

    units: int = 16
    unit_bytes_per_s: float = 1e9
    macs_per_s: float = 1e9
    link_bytes_per_s: float = 1e9
    lambda_s: float = 1e-6
    controller_bytes_per_s: float = 1e9
    unit_rule: str = "overlapped"
    name: str = "any"
    unit_bytes: int = 1 << 30
    watts: float | None = None

    def unit_macs_per_s(self, operation, element_bits):
        return self.macs_per_s

    def link_time(self, direction, *, link_bytes, unit_bytes, units):
        return LinkTime(self.lambda_s, float(link_bytes) / self.link_bytes_per_s)

    def start_s(self, units):
        return 0.0


def published_server():
    """The DPUs of document 0 with its kernel."""
    work = dpu_works().load("pim-attention")
    return DpuServer(load_profile("seed-2023"), work, work)


@pytest.fixture(scope="module")
def aim():
    return ChipMemory(bank_chips().load("aim-8die"), "seed")


@pytest.fixture(scope="module")
def dpus():
    return published_server()


@pytest.fixture(scope="module")
def one_layer():
    return replace(published_model("llama2-7b"), layers=1)


def attention_us(dpus, model, dtype, batch, placement=ALONE):
    table, bits = pim_attention(), BITS[dtype]
    step = Step(batch=batch, context=table.tokens)
    return 1e6 * kv_cost(dpus, model, QuantConfig(8, bits, bits), step, placement).seconds


# ---- document 2 (C2-10, C2-11)


@pytest.mark.parametrize(("placement", "transfers", "seconds"), [(ALONE, 514, 1.2537e-3), (SHARED, 578, 9.2283e-4)])
def test_the_chip_of_document_2(aim, placement, transfers, seconds):
    model, step = published_model("llama-7b"), Step(batch=1, context=4096)
    cost = decode_cost(aim, model, INT4, step, spread_over_all(aim, placement))
    assert cost.transfers == transfers
    assert cost.seconds == pytest.approx(seconds, rel=1e-4)
    slow = replace(aim, chip=aim.chip.with_values({"link.transfer_us": 100}))
    cost = decode_cost(slow, model, INT4, step, spread_over_all(slow, placement))
    assert cost.seconds == pytest.approx(seconds + transfers * 1e-4, rel=1e-4)
    assert cost.bound_by == "link latency"


# ---- document 0


def test_the_published_cells_within_1_3_percent(dpus, one_layer):
    deviations = [
        attention_us(dpus, one_layer, dtype, batch) / upmem_us(dtype, batch) - 1
        for dtype in BITS
        for batch in pim_attention().batches
    ]
    assert len(deviations) == 15
    assert max(map(abs, deviations)) <= 0.013


@pytest.mark.parametrize("dtype", BITS)
def test_latency_hardly_grows_with_the_batch(dpus, one_layer, dtype):
    times = [attention_us(dpus, one_layer, dtype, batch) for batch in pim_attention().batches]
    assert times == sorted(times)
    assert times[-1] <= 1.04 * times[0]  # published: 1.01 to 1.04, for 16 times the work


@pytest.mark.parametrize("dtype", BITS)
def test_the_first_batch_that_beats_the_cpu(dpus, one_layer, dtype):
    batches = pim_attention().batches
    gains = {batch: baseline_us(dtype, batch) / attention_us(dpus, one_layer, dtype, batch) for batch in batches}
    assert first_win(gains) == crossover(dtype) == {"int32": 8, "int16": 8, "int8": 16}[dtype]


def test_splitting_heads_fills_the_machine(dpus, one_layer):
    assert utilisation(one_layer, 2, ALONE, dpus.units) == Fraction(1, 16)
    split = KvPlacement(16, "parts", "not counted")
    assert utilisation(one_layer, 2, split, dpus.units) == 1
    assert 4000 <= attention_us(dpus, one_layer, "int32", 2, split) <= 5000


def test_waves_follow_each_other(dpus, one_layer):
    once, twice = (attention_us(dpus, one_layer, "int8", batch) for batch in (32, 64))
    assert twice == pytest.approx(2 * once, rel=1e-12)
    cost = kv_cost(dpus, one_layer, QuantConfig(8, 8, 8), Step(batch=33, context=4096), ALONE)
    assert cost.transfers == 4
    assert once < 1e6 * cost.seconds < twice


def test_dpus_are_bound_by_their_instructions(dpus, one_layer):
    cost = kv_cost(dpus, one_layer, QuantConfig(8, 32, 32), Step(batch=32, context=4096), ALONE)
    assert cost.bound_by == cost.part("units").bound_by == "compute"
    assert cost.joules == pytest.approx(cost.seconds * 1024 * 0.15)


def test_host_calls_are_those_of_the_timing_model(dpus):
    time = dpus.link_time("scatter", link_bytes=Fraction(64 * 100), unit_bytes=Fraction(100), units=64)
    costs = transfer_costs(mode="push", nr_dpus=64, nr_ranks=1, bytes_per_dpu=104, hardware=dpus.hardware)
    assert time.latency_s + time.bandwidth_s == pytest.approx(sum(cost.duration_ps for cost in costs) * 1e-12)
    assert dpus.link_time("gather", link_bytes=Fraction(0), unit_bytes=Fraction(0), units=1) == LinkTime(0.0, 0.0)


def test_fewer_workers_than_the_pipeline_needs_are_slower(dpus):
    few = replace(dpus.attention, tasklets=replace(dpus.attention.tasklets, workers=8))
    slower = replace(dpus, attention=few)
    assert slower.unit_macs_per_s("product", 8) == dpus.unit_macs_per_s("product", 8)
    assert slower.unit_macs_per_s("attention", 8) == pytest.approx(dpus.unit_macs_per_s("attention", 8) * 8 / 11)


# ---- all machines


@given(model=models, quant=quants, step=steps, placement=placements, units=st.integers(8, 200))
def test_what_is_read_and_moved_for_attention(model, quant, step, placement, units):
    """Whatever the waves: K and V once, S copies of the query rows, and what each way of joining sends."""
    work = kv_work(model, quant, step, placement, units=units)
    heads, shares, act = (
        model.layers * step.batch * model.heads,
        placement.units_per_head,
        Fraction(quant.activation_bits, 8),
    )
    kv_bytes, waves = (
        step.batch * step.context * kv_bytes_per_token(model, quant),
        -(-kv_parts(model, step.batch, placement) // units),
    )
    scores, row = heads * step.context * act, heads * shares * model.dim * act
    sums = heads * shares * bytes_up("sums", parts=1, dim=model.dim, tokens=1, score_bytes=1)
    append = 0 if placement.append == "not counted" else step.batch * kv_bytes_per_token(model, quant)
    exchanged = {"unit": (row, 0), "scores": (2 * scores + row, scores + row), "parts": (sums, sums)}
    up, controller = exchanged[placement.merge]
    assert work.link_bytes == row + append + up
    assert work.controller_bytes == controller
    assert work.read_bytes == kv_bytes + (0 if placement.merge == "scores" else scores)
    calls = {"unit": 2, "parts": 2, "scores": 4}[placement.merge] + (placement.append == "own transfer")
    assert work.transfers == model.layers * waves * calls
    assert sum(one.times * one.macs for one in work.rounds) == 2 * heads * step.context * model.dim


@given(parts=st.integers(1, 64), batch=st.integers(1, 64), units=st.integers(1, 300))
def test_utilisation_is_parts_over_units_or_of_the_waves(parts, batch, units):
    model, placement = toy(), KvPlacement(parts, "parts")
    used, count = utilisation(model, batch, placement, units), kv_parts(model, batch, placement)
    assert 0 < used <= 1
    assert (used == Fraction(count, units)) == (count <= units)
    assert (used * units).denominator == 1 or count > units


@given(
    step=steps,
    placement=placements,
    field=st.sampled_from(("lambda_s", "unit_bytes_per_s", "link_bytes_per_s", "controller_bytes_per_s", "macs_per_s")),
    factor=st.floats(1.1, 100),
)
def test_a_better_part_never_costs_time(step, placement, field, factor):
    machine, model = Machine(), toy()
    change = 1 / factor if field == "lambda_s" else factor
    better = replace(machine, **{field: getattr(machine, field) * change})
    plan = MemoryPlan(oned_out(machine.units), placement)
    now, then = (decode_cost(one, model, INT4, step, plan) for one in (machine, better))
    assert then.seconds <= now.seconds
    assert (then.transfers, then.moved_bytes) == (now.transfers, now.moved_bytes)


@given(context=st.integers(1, 4000), more=st.integers(1, 4000), placement=placements)
def test_a_longer_context_costs_more(context, more, placement):
    """By whole tokens of the largest part."""
    parts = placement.units_per_head
    short, long = (
        kv_cost(Machine(), toy(), INT4, Step(batch=1, context=tokens), placement).seconds
        for tokens in (context, context + more)
    )
    assert short <= long
    assert short < long or -(-context // parts) == -(-(context + more) // parts)


@given(outputs=st.integers(1, 200), inputs=st.integers(1, 200), cut=st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_the_busiest_unit_has_the_largest_block(outputs, inputs, cut):
    """Against blocks that are laid out."""
    model = toy(hidden=inputs, ffn=outputs, vocabulary=1)
    work = weight_work(model, QuantConfig(8, 8, 8), WeightPartition(*cut))
    (up, *_) = (one for one in work.rounds if one.macs == inputs * outputs)
    largest = max(
        len(range(row, outputs, cut[0])) * len(range(column, inputs, cut[1]))
        for row in range(cut[0])
        for column in range(cut[1])
    )
    assert up.macs * up.imbalance / up.units == largest
    assert up.imbalance >= 1


@given(step=steps, placement=placements)
def test_units_that_read_before_they_multiply_take_both_times(step, placement):
    both = kv_cost(Machine(unit_rule="summed"), toy(), INT4, step, placement).part("units").seconds
    reading, computing = (
        kv_cost(Machine(**{field: 1e30}), toy(), INT4, step, placement).part("units").seconds
        for field in ("macs_per_s", "unit_bytes_per_s")
    )
    assert both == pytest.approx(reading + computing)
    assert kv_cost(Machine(), toy(), INT4, step, placement).part("units").seconds == pytest.approx(
        max(reading, computing)
    )


@given(keep=st.fractions(0, 1), load=st.fractions(0, 1), placement=placements)
def test_pruning_scales_its_own_terms(keep, load, placement):
    model, step = toy(), Step(batch=2, context=1000)
    whole, pruned = (
        kv_work(model, INT4, step, placement, units=64, pruning=one) for one in (KvPruning(), KvPruning(keep, load))
    )
    macs = [sum(one.times * one.macs for one in work.rounds) for work in (whole, pruned)]
    assert macs[1] == keep * macs[0]
    scores = Fraction(2 * model.layers * model.heads * 1000 * 4, 8) * (placement.merge != "scores")
    assert pruned.read_bytes == load * (whole.read_bytes - scores) + keep * scores
    assert pruned.transfers == whole.transfers


def test_both_readings_of_a_gigabyte():
    chip = bank_chips().load("aim-8die")
    times = [
        decode_cost(one, published_model("llama-7b"), INT4, Step(batch=1, context=4096), spread_over_all(one, SHARED))
        for one in (ChipMemory(chip, "si"), ChipMemory(chip, "seed"))
    ]
    assert times[0].seconds / times[1].seconds == pytest.approx(2**30 / 1e9)
    assert times[0].moved_bytes == times[1].moved_bytes


def test_query_heads_share_what_is_read(aim):
    """P-8: with 8 query heads per KV head, an eighth is read, and the multipliers become the limit."""
    grouped = published_model("llama2-70b")
    alone = replace(grouped, kv_heads=grouped.heads)
    step = Step(batch=1, context=4096)
    shared, own = (kv_work(model, INT4, step, ALONE, units=128) for model in (grouped, alone))
    scores = Fraction(grouped.layers * grouped.heads * 4096, 2)
    assert 8 * (shared.read_bytes - scores) == own.read_bytes - scores
    assert shared.link_bytes == own.link_bytes
    assert kv_cost(aim, grouped, INT4, step, ALONE).part("units").bound_by == "compute"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KvPlacement(0), "0 units per head"),
        (lambda: KvPlacement(4), 'merge "scores" or "parts"'),
        (lambda: KvPlacement(1, "tree"), "unit, scores, parts"),
        (lambda: KvPlacement(append="never"), "own transfer"),
        (lambda: KvPruning(keep=Fraction(-1)), "keep = -1"),
        (lambda: KvPruning(load=Fraction(2)), "load = 2"),
        (lambda: ChipMemory(bank_chips().load("aim-8die"), "metric"), "si, seed"),
        (lambda: kv_work(toy(), INT4, Step(batch=1, context=1), KvPlacement(9, "parts"), units=8), "there are 8"),
        (lambda: work_cost(Machine(), "weights", too_wide()), "16"),
        (
            lambda: replace(
                published_server(), hardware=load_profile("seed-2023").with_values({"dpu.max_tasklets": 16})
            ),
            "17 tasklets",
        ),
        (lambda: published_server().unit_macs_per_s("attention", 6), "6 bits"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def too_wide():
    zero = Fraction(0)
    one = Round(
        times=1,
        units=17,
        operation="product",
        element_bits=8,
        read_bytes=zero,
        macs=zero,
        down="scatter",
        down_bytes=zero,
        unit_down_bytes=zero,
        up_bytes=zero,
    )
    return Work(rounds=(one,), controller_bytes=zero)
