"""Plans: every design point that fits is priced, ranked by the goal, and says what bounds it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.attacc.systems import attacc_system
from host.llm.catalogue import published_model
from host.llm.model import toy
from host.llm.operators import Step
from host.llm.quantisation import FP16, INT4, INT8, QuantConfig
from host.machines.bank_chip import bank_chips
from host.machines.capacity import MachineCapacityError
from host.machines.chip_memory import ChipMemory
from host.machines.cost import Cost, in_sequence
from host.machines.decode_step import decode_cost, spread_over_all
from host.machines.kv_placement import KvPlacement
from host.machines.weight_partition import weight_partitions
from host.planner.design import Design, ranked
from host.planner.hardware import Query, hardware_names, variants
from host.planner.memory_variants import kv_placements, memory_variants
from host.planner.plan import PlanError, batches_to_try, plan
from host.planner.variant import Variant
from pim_runtime.errors import ProfileError

pytestmark = pytest.mark.quick

LLAMA = published_model("llama-7b")
BOUNDS = ("compute", "unit bandwidth", "link bandwidth", "link latency", "controller")


def variant(name="v", *, most=8, step_s=lambda batch: 1.0, joules=lambda batch: 1.0, energy="modelled"):
    """A variant with times of its own."""

    def price(batch):
        return Cost(name="step", seconds=step_s(batch), bound_by="compute", joules=joules(batch))

    return Variant(machine="m", choices={"is": name}, largest_batch=lambda: most, price=price, energy=energy)


def refusing(reason="too large"):
    def largest():
        raise MachineCapacityError(reason)

    return replace(variant("refusing"), largest_batch=largest)


def name_and_batch(design):
    return design.variant.choices["is"], design.batch


# ---- which design points there are


@given(st.integers(0, 10**6))
def test_batches_are_powers_of_two_and_the_most_that_fit(most):
    tried = batches_to_try(most)
    assert tried == sorted(set(tried))
    assert tried[-1:] == ([most] if most else [])
    assert all(batch & (batch - 1) == 0 for batch in tried if batch != most)
    assert all(later <= 2 * earlier for earlier, later in pairwise(tried))


@given(st.integers(1, 3000))
def test_partitions_use_all_units_and_differ(units):
    partitions = list(weight_partitions(units))
    assert all(partition.units == units for partition in partitions)
    assert len(set(partitions)) == len(partitions) == sum(units % n == 0 for n in range(1, units + 1))
    placements = list(kv_placements(units))
    assert len(set(placements)) == len(placements)
    assert all(placement.units_per_head <= units for placement in placements)
    assert KvPlacement() in placements


def test_only_batches_that_fit_are_priced():
    found = plan([variant(most=5), variant("small", most=0), refusing()], goal="latency", batches=[4, 5, 6, 4])
    assert sorted(map(name_and_batch, found.designs)) == [("v", 4), ("v", 5)]
    assert [refusal.reason for refusal in found.refusals] == ["it takes 1 to 0 requests", "too large"]


def test_what_does_not_fit_is_an_error_with_the_reason():
    both = r"no design serves this\. m: fewer than 1 of such requests fit; .* m: too large"
    with pytest.raises(PlanError, match=both):
        plan([variant(most=0), refusing(), refusing()], goal="latency")
    with pytest.raises(PlanError, match="m: it takes 1 to 8 requests"):
        plan([variant()], goal="latency", batches=[9])
    with pytest.raises(PlanError, match="states neither energy nor power"):
        plan([variant(energy="unknown")], goal="energy")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"goal": "beauty"}, "choose one of latency, throughput, energy"),
        ({"slo_s": 0.0}, "SLO of 0.0 s: must be positive"),
        ({"slo_s": float("nan")}, "must be positive"),
        ({"batches": [2, 0]}, "batch 0: must be at least 1"),
        ({"batches": [-3]}, "batch -3"),
    ],
)
def test_questions_that_cannot_be(asked, message):
    with pytest.raises(PlanError, match=message):
        plan([variant()], **{"goal": "latency"} | asked)


# ---- ranks


designs = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9)).map(
        lambda drawn: Design(
            variant=variant(),
            batch=drawn[0],
            cost=Cost(name="step", seconds=drawn[1], bound_by="compute", joules=drawn[2]),
        )
    ),
    min_size=1,
    max_size=12,
)


@given(designs, st.sampled_from(("latency", "throughput", "energy")), st.none() | st.integers(1, 9))
def test_the_first_is_the_best_of_those_that_meet_the_slo(found, goal, slo_s):
    order = ranked(found, goal, slo_s)
    meeting = [design for design in found if slo_s is None or design.step_s <= slo_s]
    assert {id(design) for design in order[: len(meeting)]} == {id(design) for design in meeting}
    late = [design.step_s for design in order[len(meeting) :]]
    assert late == sorted(late)
    value = {
        "latency": lambda design: design.step_s,
        "throughput": lambda design: -design.tokens_per_s,
        "energy": lambda design: design.joules_per_token,
    }[goal]
    values = [value(design) for design in order[: len(meeting)]]
    assert values == sorted(values)


def test_an_slo_that_nothing_meets_leaves_the_fastest_first():
    found = plan(
        [variant("slow", step_s=lambda b: 3.0 * b), variant("fast", step_s=lambda b: 2.0 * b)],
        goal="throughput",
        slo_s=1.0,
    )
    assert found.meeting == 0
    assert name_and_batch(found.designs[0]) == ("fast", 1)
    assert not found.meets(found.designs[0])


@given(limit=st.integers(1, 100), most=st.integers(1, 100))
def test_the_largest_batch_that_keeps_the_slo_is_found(limit, most):
    """Steps take as long as their batch: the best throughput is that of a large fixed cost, shared by many."""
    found = plan([variant(most=most, step_s=lambda batch: 1000.0 + batch)], goal="throughput", slo_s=1000.0 + limit)
    assert found.designs[0].batch == min(limit, most)


def test_each_variant_is_shown_with_its_best_batch():
    found = plan([variant("a", step_s=lambda b: 1.0 / b), variant("b")], goal="throughput")
    assert list(map(name_and_batch, found.best_of_each_variant)) == [("a", 8), ("b", 8)]


def test_a_design_is_bound_by_what_most_of_its_time_goes_to():
    leaves = [("compute", 3.0), ("link latency", 2.0), ("link latency", 2.0)]
    cost = in_sequence("step", [Cost(name="x", seconds=s, bound_by=bound) for bound, s in leaves])
    design = Design(variant=variant(), batch=1, cost=cost)
    assert (design.bound_by, design.share_bound_by) == ("link latency", 4 / 7)
    nothing = Design(variant=variant(), batch=1, cost=Cost(name="step", seconds=0.0, bound_by="compute"))
    assert nothing.share_bound_by == 1.0
    assert replace(design, variant=variant(energy="unknown")).joules_per_token is None


# ---- machines with memory in their units


def test_a_planned_step_costs_what_the_latency_path_says():
    chip = ChipMemory(bank_chips().load("aim-8die"))
    wanted = {
        "weights": "1-D: outputs over 128 units",
        "products": "separate",
        "KV cache": "4 units per head, controller does the softmax",
    }
    (found,) = (v for v in memory_variants(chip, LLAMA, INT4, context=4096, scope="model") if v.choices == wanted)
    expected = decode_cost(
        chip, LLAMA, INT4, Step(batch=1, context=4096), spread_over_all(chip, KvPlacement(4, "scores"))
    )
    assert found.price(1) == expected
    assert found.price(1).transfers == 578


def test_full_banks_slow_the_weights_down():
    """E2-11: 4096 tokens with one bank per head move the weights to the other banks."""
    chip = ChipMemory(bank_chips().load("aim-8die"))
    one_bank = {"KV cache": "a unit per head, softmax there", "products": "separate"}
    (found,) = (
        v
        for v in memory_variants(chip, LLAMA, INT4, context=4096, scope="model")
        if one_bank.items() <= v.choices.items() and v.choices["weights"].startswith("1-D: outputs")
    )
    even = decode_cost(chip, LLAMA, INT4, Step(batch=1, context=4096), spread_over_all(chip))
    skewed, spread = (cost.part("weights", "units").seconds for cost in (found.price(1), even))
    assert skewed / spread == pytest.approx(1.1166, rel=1e-4)


@pytest.mark.parametrize("scope", ["model", "attention"])
@pytest.mark.parametrize("hardware", ["aim-8die", "aim-8die-costdown", "upmem-v1a", "seed-2023"])
def test_every_machine_can_be_planned_for(hardware, scope):
    query = Query(model=LLAMA, quant=INT4, context=1024, scope=scope)
    found = plan(variants(hardware, query), goal="latency", batches=[1])
    assert all(design.bound_by in BOUNDS for design in found.designs)
    assert all(design.step_s > 0 for design in found.designs)
    assert {name for design in found.designs for name in design.variant.choices} >= {"KV cache"}


@settings(max_examples=15)  # each prices every variant
@given(context=st.integers(1, 300), quant=st.sampled_from([INT4, INT8, QuantConfig(4, 8, 8)]))
def test_what_is_said_to_fit_can_be_priced(context, quant):
    """A toy whose caches, not its weights, fill the banks."""
    shipped = bank_chips().load("aim-8die")
    chip = ChipMemory(replace(shipped, banks=replace(shipped.banks, dies=1, banks_per_die=4, bank_bytes=60_000)))
    for found in memory_variants(chip, toy(), quant, context=context, scope="model"):
        most = found.largest_batch()
        for batch in batches_to_try(min(most, 64)):
            assert found.price(batch).seconds > 0


def test_a_query_has_hundreds_of_design_points():
    """Each is a partition of the weights, a placement of the caches, a way to send products, and a batch."""
    found = plan(variants("aim-8die", Query(model=LLAMA, quant=INT4, context=2048)), goal="throughput", slo_s=0.002)
    assert len(found.designs) > 500
    points = {(*design.variant.choices.values(), design.batch) for design in found.designs}
    assert len(points) == len(found.designs)
    assert 0 < found.meeting < len(found.designs)


@pytest.mark.parametrize("hardware", ["dgx", "dgx_large", "dgx+attacc", "dgx-cpu", "2xdgx", "a100-40"])
def test_systems_of_gpus_can_be_planned_for(hardware):
    query = Query(model=published_model("llama2-7b"), quant=FP16, context=2048)
    found = plan(variants(hardware, query), goal="throughput", batches=[1, 2, 4])
    assert all(design.bound_by in BOUNDS for design in found.designs)
    for design in found.designs:
        assert (design.joules_per_token is None) == (hardware == "dgx-cpu")
    with pytest.raises(PlanError, match="Take scope model"):
        variants(hardware, replace(query, scope="attention"))


def test_a_system_whose_energy_is_unknown_does_not_win_by_that():
    query = Query(model=published_model("llama2-7b"), quant=FP16, context=2048)
    asked = [variant for name in ("dgx", "dgx-cpu") for variant in variants(name, query)]
    found = plan(asked, goal="energy", batches=[1])
    assert [design.variant.machine for design in found.designs] == ["dgx"]
    assert [refusal.variant.machine for refusal in found.refusals] == ["dgx-cpu"]


def test_norms_are_compared_on_dpus():
    query = Query(model=LLAMA, quant=INT8, context=1024, scope="attention", norms=("softmax", "div_d"))
    found = plan(variants("upmem-v1a", query), goal="latency", batches=[8])
    steps = {design.variant.choices["norm"]: design.step_s for design in reversed(found.designs)}
    assert set(steps) == {"softmax", "div_d"}
    assert steps["div_d"] < steps["softmax"]


def test_a_planned_iteration_is_that_of_the_system():
    model, quant = published_model("gpt3-175b"), FP16
    (found,) = (
        v
        for v in variants("dgx+attacc", Query(model=model, quant=quant, context=3000))
        if v.choices == {"PIM": "attacc-bank", "schedule": "head_level", "feed-forward": "coprocessed"}
    )
    system = attacc_system("dgx+attacc", model, quant, schedule="head_level", ffn="coprocessed")
    assert found.price(48) == system.iteration(48, 3000)
    assert found.largest_batch() == system.most_requests(3000)


def test_two_half_batches_need_two_requests():
    query = Query(model=published_model("llama2-7b"), quant=FP16, context=2048)
    found = plan(variants("dgx+attacc", query), goal="latency", batches=[1, 2])
    halves = [design for design in found.designs if design.variant.choices["schedule"] == "batch_level"]
    assert {design.batch for design in halves} == {2}


def test_machines_are_planned_for_from_their_files(tmp_path):
    """A file is of the kind whose values it states, or whose profile is its base."""
    faster = '\n[{}]\nvalue = {}\nunit = "{}"\nprovenance = "assumed"\nsource = "a test"\n'
    files = {
        "chip": 'base = "aim-8die"' + faster.format("link.die_gb_per_s", 64, "GB/s"),
        "same": 'base = "aim-8die"',
        "dpus": 'base = "upmem-v1a"' + faster.format("pipeline.clock_mhz", 700, "MHz"),
        "gpus": 'base = "dgx-a100-hbm3"',
    }
    query = Query(model=LLAMA, quant=INT4, context=1024)
    fastest = {}
    for name, text in files.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        fastest[name] = plan(variants(str(path), query), goal="latency", batches=[1]).designs[0].step_s
    shipped = {
        name: plan(variants(name, query), goal="latency", batches=[1]).designs[0].step_s
        for name in ("aim-8die", "upmem-v1a", "dgx")
    }
    assert fastest["chip"] < shipped["aim-8die"] == fastest["same"]
    assert fastest["dpus"] < shipped["upmem-v1a"]
    assert fastest["gpus"] == shipped["dgx"]


@pytest.mark.parametrize("text", ["", "base = 5", 'base = "abacus"', "[abacus]\nvalue = 1"])
def test_a_file_of_no_machine_is_refused(tmp_path, text):
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match="no machine"):
        variants(str(path), Query(model=LLAMA, quant=INT4, context=1))
    with pytest.raises(ProfileError, match="cannot be read"):
        variants(str(tmp_path / "missing.toml"), Query(model=LLAMA, quant=INT4, context=1))


def test_unknown_machines_are_named_with_those_there_are():
    with pytest.raises(PlanError, match=r"no machine 'abacus'.*upmem-v1a.*aim-8die"):
        list(variants("abacus", Query(model=LLAMA, quant=INT4, context=1)))
    names = [name for kind in hardware_names().values() for name in kind]
    assert len(names) == len(set(names))
