"""Checks of document 2: the PIM chip for LLaMA-7B, by the generic path of machines whose units have memory.

Times are of a token at 4096 tokens, in the document's units unless said otherwise. What the functional chip decides
is checked elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from host.chip.document import (
    PUBLISHED_BANKS_PER_HEAD,
    PUBLISHED_CONTEXT,
    PimChip,
    Term,
    banks_per_head,
    head_per_bank,
    lambda_threshold_s,
    total,
)
from host.chip.sizing import cmem_bytes, cram_bytes, dies_for, prefill_tokens_per_s
from host.chip.sweeps import SweepAxis, scaled, with_axes
from host.llm.catalogue import published_model
from host.llm.model import ModelConfig
from host.llm.parameters import parameters, weight_bytes
from host.llm.quantisation import INT4, QuantConfig
from host.machines.bank_chip import BankChip, bank_chips
from host.machines.chip_memory import ChipMemory
from host.machines.cost import Cost
from host.machines.placement import max_context, place
from host.machines.weight_partition import WeightPartition, oned_out, weight_traffic

from .judging import Answer, Holds

__all__ = ["chip_checks"]

HEAD_PER_BANK, FOUR_BANKS = head_per_bank(), banks_per_head(PUBLISHED_BANKS_PER_HEAD)
LONGEST_CONTEXT = 16 * 1024
OFF_CHIP_LAMBDA_S = Decimal("1e-5")
UPMEM_LAMBDA_S = Decimal("1e-4")
LAMBDA_STEP_S = Decimal("1e-12")  # of a profile


def chip_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "C2-01": lambda: parameters(_llama(), "gemv"),
        "C2-02": model_size,
        "C2-03": longest_contexts,
        "C2-04": weight_time,
        "C2-05": kv_time,
        "C2-06": weight_transfers,
        "C2-07": kv_transfers,
        "C2-08": lambda: _token().part("weights", "controller").seconds,
        "C2-09": controller_kv_time,
        "C2-10": lambda: _term(total(_token())),
        "C2-11": totals_of_four_banks,
        "C2-12": lambda: float(_chip().utilisation),
        "C2-13": rate_without_communication,
        "C2-14": rate_at_a_tenth,
        "C2-15": prefill_rates,
        "C2-16": rate_with_upmem_lambda,
        "C2-17": rate_of_the_cheaper_chip,
        "C2-18": controller_memories,
        "C2-19": partitions,
        "C2-20": skewed_placement,
        "C2-22": transfers_dominate,
    }


def model_size() -> Answer:
    """C2-02."""
    size, dies = weight_bytes(_llama(), INT4, "gemv"), dies_for(_llama(), INT4, _aim())
    return {
        "bytes": size,
        "GB": size / 1e9,
        "GiB": size / 2**30,
        "dies_weights_only": dies.weights_only,
        "dies_for_4GiB": dies.power_of_two,
    }


def longest_contexts() -> Answer:
    """C2-03."""
    memory = ChipMemory(_aim())
    return {
        "seed_formula": max_context(memory, _llama(), INT4, FOUR_BANKS, count_kv="seed"),
        "k_and_v": max_context(memory, _llama(), INT4, FOUR_BANKS),
        "kv_16bit": max_context(memory, _llama(), QuantConfig(4, 16, 4), FOUR_BANKS),
        "even_placement_head_per_bank": max_context(memory, _llama(), INT4, HEAD_PER_BANK, spread="even"),
        "k_and_v_full_params": max_context(memory, _llama(), INT4, FOUR_BANKS, counted="matrices"),
    }


def weight_time() -> Answer:
    """C2-04."""
    in_si = replace(_chip(), unit_system="si").token_latency(PUBLISHED_CONTEXT)
    return {
        "seconds": _token().part("weights", "units").seconds,
        "seconds_si": in_si.part("weights", "units").seconds,
    }


def kv_time() -> Answer:
    """C2-05."""
    return {name: cost.part("kv", "units").seconds for name, cost in _both(_aim()).items()}


def weight_transfers() -> Answer:
    """C2-06."""
    link = total(_token().part("weights", "link"))
    wider = replace(_chip(), quant=QuantConfig(4, 4, 16)).token_latency(PUBLISHED_CONTEXT)
    return {
        "lambda_count": link.transfers,
        "seconds": link.seconds,
        "elements": int(weight_traffic(_llama(), oned_out(128)).volume),
        "seconds_act16": total(wider.part("weights", "link")).seconds,
    }


def kv_transfers() -> Answer:
    """C2-07."""
    found = {name: _term(total(cost.part("kv", "link"))) for name, cost in _both(_aim()).items()}
    wider = replace(_chip(), kv=FOUR_BANKS, quant=QuantConfig(4, 4, 16)).token_latency(PUBLISHED_CONTEXT)
    found["four_banks"]["seconds_act16"] = total(wider.part("kv", "link")).seconds
    return found


def controller_kv_time() -> Answer:
    """C2-09."""
    chip = replace(_chip(), kv=FOUR_BANKS)
    corrected = replace(chip, seed_compat="none")
    return {
        name: one.token_latency(PUBLISHED_CONTEXT).part("kv", "controller").seconds
        for name, one in {"formula": chip, "corrected": corrected}.items()
    }


def totals_of_four_banks() -> Answer:
    """C2-11."""
    chip = replace(_chip(), kv=FOUR_BANKS)
    ways = {
        "formula": chip,
        "corrected": replace(chip, seed_compat="none"),
        "as_printed": replace(chip, seed_compat="as_printed"),
    }
    return {name: _term(total(one.token_latency(PUBLISHED_CONTEXT))) for name, one in ways.items()}


def rate_without_communication() -> Answer:
    """C2-13."""
    return {
        name: 1 / (cost.seconds - cost.part("weights", "link").seconds - cost.part("kv", "link").seconds)
        for name, cost in _both(_aim()).items()
    }


def rate_at_a_tenth() -> Answer:
    """C2-14."""
    return _rates(scaled(_aim(), Decimal("0.1")))


def prefill_rates() -> Answer:
    """C2-15: as many operations as 512 GB/s need at 2 and at 32 operations per byte."""
    return [
        prefill_tokens_per_s(_llama(), INT4, ops_per_s=512e9 * 2 * tokens, bytes_per_s=512e9, tile=16)
        for tokens in (1, 16)
    ]


def rate_with_upmem_lambda() -> Answer:
    """C2-16."""
    return _rates(with_axes(_aim(), {"lambda_s": UPMEM_LAMBDA_S}))


def rate_of_the_cheaper_chip() -> Answer:
    """C2-17."""
    chip = bank_chips().load("aim-8die-costdown")
    narrow: dict[SweepAxis, Decimal] = {"cbm_gb_per_s": Decimal(4)}
    return {**_rates(chip), "four_banks_cbm4": _rates(with_axes(chip, narrow))["four_banks"]}


def controller_memories() -> Answer:
    """C2-18."""
    return {
        "cram": cram_bytes(LONGEST_CONTEXT, INT4),
        "cram_32_heads": cram_bytes(LONGEST_CONTEXT, INT4, heads=_llama().heads),
        "cmem": cmem_bytes(LONGEST_CONTEXT, INT4),
    }


def partitions() -> Answer:
    """C2-19."""
    two_d = weight_traffic(_llama(), WeightPartition(16, 8)).volume
    one_d = weight_traffic(_llama(), oned_out(128)).volume
    return {"two_d": int(two_d), "one_d": int(one_d), "ratio": float(two_d / one_d)}


def skewed_placement() -> Answer:
    """C2-20."""
    memory = ChipMemory(_aim())
    placed = place(memory, _llama(), INT4, HEAD_PER_BANK, context=PUBLISHED_CONTEXT, spread="skewed")
    most = max(group.weight_bytes for group in placed.groups)
    return {"MiB": float(most / Fraction(2**20)), "slowdown": float(placed.slowdown)}


def transfers_dominate() -> Answer:
    """C2-22: from the smallest lambda of a controller off the chip on, transfers take longer than all the rest."""
    chip = replace(_chip(), kv=FOUR_BANKS)
    threshold_s = lambda_threshold_s(chip.token_latency(PUBLISHED_CONTEXT))
    shares = []
    for factor in (Decimal("0.99"), Decimal("1.01")):
        at = with_axes(chip.chip, {"lambda_s": (Decimal(threshold_s) * factor).quantize(LAMBDA_STEP_S)})
        shares.append(_latency_share(at))
    off_chip = _latency_share(with_axes(chip.chip, {"lambda_s": OFF_CHIP_LAMBDA_S}))
    return Holds(
        passed=shares[0] < 0.5 < shares[1] <= off_chip,
        detail=f"transfers take {off_chip:.1%} of a token at lambda {OFF_CHIP_LAMBDA_S} s",
        ours={"threshold_s": threshold_s},
    )


def _latency_share(chip: BankChip) -> float:
    cost = _both(chip)["four_banks"]
    return cost.seconds_by("link latency") / cost.seconds


def _llama() -> ModelConfig:
    return published_model("llama-7b")


def _aim() -> BankChip:
    return bank_chips().load("aim-8die")


def _chip() -> PimChip:
    """One bank per head, by the document's formulas."""
    return PimChip(_aim(), _llama(), unit_system="seed", seed_compat="formula")


def _token() -> Cost:
    return _chip().token_latency(PUBLISHED_CONTEXT)


def _both(chip: BankChip) -> dict[str, Cost]:
    """A token by where heads are."""
    return {
        name: replace(_chip(), chip=chip, kv=kv).token_latency(PUBLISHED_CONTEXT)
        for name, kv in {"head_per_bank": HEAD_PER_BANK, "four_banks": FOUR_BANKS}.items()
    }


def _rates(chip: BankChip) -> dict[str, float]:
    return {name: 1 / cost.seconds for name, cost in _both(chip).items()}


def _term(term: Term) -> dict[str, float]:
    return {"lambda_count": term.transfers, "seconds": term.seconds}
