"""Checks of the claims about models that really decode: the chip of document 2 on emulated banks, caches of document 3.

The model is a toy of two layers with made-up weights; integers are compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import get_args

import numpy as np

from host.chip.decode_experiment import ChipDecode, closed_form, prompt_weight_bytes, run_decode
from host.chip.document import banks_per_head, head_per_bank
from host.chip.emulated_chip import EmulatedChip
from host.chip.host_port import Message
from host.chip.traffic import Moved, Purpose
from host.llm.controller import Precision
from host.llm.engine import NumpyEngine
from host.llm.generation import Cache, Generation, generate
from host.llm.model import ModelConfig, toy
from host.llm.weights import DecoderWeights, random_weights
from host.machines.kv_placement import KvPlacement
from host.machines.weight_partition import WeightPartition, oned_in, oned_out
from pim_runtime import Machine, load_profile

from .judging import Answer, Holds

__all__ = ["DecodeEvidence", "functional_checks"]

NR_BANKS = 8
PROMPT = tuple(range(3, 20))  # a tile of 16 tokens and one more
NEW_TOKENS = 3
PARTITIONS = (oned_out(NR_BANKS), oned_in(NR_BANKS), WeightPartition(4, 2))
PLACEMENTS = (
    head_per_bank("own transfer"),
    *(banks_per_head(count, "own transfer") for count in (1, 3, 4)),
)
HEAD_PER_BANK, *_, FOUR_BANKS = PLACEMENTS
SHORT_PROMPT, SHORT_NEW_TOKENS = (1, 2, 3, 4), 3  # the example of C3-08


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One chip, what it decoded, and what 5.2 says of each of its steps."""

    decode: ChipDecode
    expected: tuple[Mapping[Purpose, Moved], ...]
    expected_prompt_bytes: int


class DecodeEvidence:
    """Decodes that several claims rest on, done when they are first asked for."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def runs(self) -> list[Run]:
        """Every way of cutting weights, each with every mode of K and V; once also token by token (S2-10)."""
        if not self._runs:
            weights = random_weights(toy(), seed=0)
            ways = [*product(PARTITIONS[:1], PLACEMENTS), *product(PARTITIONS[1:], (HEAD_PER_BANK, FOUR_BANKS))]
            self._runs = [_run(weights, *way, tile_tokens=16) for way in ways]
            self._runs.append(_run(weights, PARTITIONS[2], FOUR_BANKS, tile_tokens=1))
        return self._runs


def functional_checks(evidence: DecodeEvidence) -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id. They share the runs in `evidence`."""
    return {
        "C2-21": partial(chips_equal_the_reference, evidence),
        "C2-23": partial(only_ids_cross, evidence),
        "C3-07": caches_change_nothing,
        "C3-08": projected_tokens,
        "C3-11": reuses,
    }


def chips_equal_the_reference(evidence: DecodeEvidence) -> Answer:
    """C2-21: logits and tokens bit for bit, counters of every decode step, weights read for the prompt by tiles."""
    runs = evidence.runs()
    equal = sum(run.decode.is_bit_equal for run in runs)
    counters = [
        step.moved[purpose] == moved
        for run in runs
        for step, expected in zip(run.decode.steps, run.expected, strict=True)
        for purpose, moved in expected.items()
    ]
    tiles = sum(run.decode.prompt["weights"].read_bytes == run.expected_prompt_bytes for run in runs)
    logits = sum(run.decode.logits.size for run in runs)
    return Holds(
        passed=equal == tiles == len(runs) and all(counters),
        detail=f"{equal} of {len(runs)} chips have all bits of the reference ({logits:,} logits); {sum(counters)} of "
        f"{len(counters)} sets of counters are those of 5.2; {tiles} read their weights once per tile of the prompt",
    )


def only_ids_cross(evidence: DecodeEvidence) -> Answer:
    """C2-23: messages at the host port."""
    runs = evidence.runs()
    expected = [
        (Message("down", PROMPT), *(Message("up", (token,)) for token in run.decode.reference.tokens)) for run in runs
    ]
    equal = sum(run.decode.messages == messages for run, messages in zip(runs, expected, strict=True))
    return Holds(
        passed=equal == len(runs),
        detail=f"{equal} of {len(runs)} chips got {len(PROMPT)} ids in one message and gave {NEW_TOKENS}, one in each",
    )


def caches_change_nothing() -> Answer:
    """C3-07: with and without a cache, in NumPy for both networks and precisions, and once on emulated banks."""
    pairs = []
    for model, precision in product((toy(), _two_matrices()), get_args(Precision)):
        weights = random_weights(model, seed=0)
        pairs.append([_generated(weights, cache, precision) for cache in get_args(Cache)])
    weights = random_weights(_two_matrices(), seed=0)
    with _chip(weights, PARTITIONS[0], FOUR_BANKS, tile_tokens=16) as chip:
        pairs.append(
            [generate(weights, chip, SHORT_PROMPT, SHORT_NEW_TOKENS, cache=cache) for cache in get_args(Cache)]
        )
    equal = sum(np.array_equal(cached.logits, recomputed.logits) for cached, recomputed in pairs)
    return Holds(
        passed=equal == len(pairs), detail=f"all logits equal in {equal} of {len(pairs)} models, one on emulated banks"
    )


def projected_tokens() -> Answer:
    """C3-08: tokens through the K and V projections, counted."""
    weights = random_weights(_two_matrices(), seed=0)
    with_cache, without = (
        generate(weights, NumpyEngine(weights), SHORT_PROMPT, SHORT_NEW_TOKENS, cache=cache).projected_tokens
        for cache in get_args(Cache)
    )
    ratio = without / with_cache
    return Holds(
        passed=2 * without == 5 * with_cache,
        detail=f"{without} / {with_cache} = {ratio}",
        ours={"value": ratio, "without": without, "with": with_cache},
    )


def reuses() -> Answer:
    """C3-11: how often later steps read each cached pair, in every layer."""
    model, new_tokens = toy(), 20
    found = _generated(random_weights(model, seed=0), "cached", "integer", new_tokens).reuses
    steps = new_tokens - 1
    later = [steps] * len(SHORT_PROMPT) + list(range(steps - 1, -1, -1))
    equal = int((found == later).sum())
    return Holds(
        passed=found.shape == (model.layers, len(later)) and equal == found.size,
        detail=f"{equal} of {found.size} pairs are read once by every later step, of {steps}",
    )


def _run(weights: DecoderWeights, partition: WeightPartition, kv: KvPlacement, *, tile_tokens: int) -> Run:
    with _chip(weights, partition, kv, tile_tokens=tile_tokens) as chip:
        decode = run_decode(weights, chip, PROMPT, NEW_TOKENS)
        return Run(
            decode=decode,
            expected=tuple(closed_form(weights.model, chip, context=step.context) for step in decode.steps),
            expected_prompt_bytes=prompt_weight_bytes(chip, tokens=len(PROMPT)),
        )


def _chip(weights: DecoderWeights, partition: WeightPartition, kv: KvPlacement, *, tile_tokens: int) -> EmulatedChip:
    machine = Machine(load_profile("upmem-v1a"))
    return EmulatedChip(weights, partition=partition, kv=kv, machine=machine, tile_tokens=tile_tokens)


def _generated(weights: DecoderWeights, cache: Cache, precision: Precision, new_tokens: int = 20) -> Generation:
    return generate(weights, NumpyEngine(weights), SHORT_PROMPT, new_tokens, cache=cache, precision=precision)


def _two_matrices() -> ModelConfig:
    """The network of document 3: max(0, x W1 + b1) W2 + b2 (E3-5)."""
    return replace(toy(), ffn_matrices=2, activation="relu")
