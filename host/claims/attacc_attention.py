"""Checks of document 1 about attention on AttAcc: placements, cycles, shared heads, and what overlaps.

Points are (tokens of the prompt, new tokens, batch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from statistics import median

from host.attacc.classes import seconds_by_class
from host.attacc.schedules import BlockSeconds, Schedule, batch_level_s, exposed
from host.attacc.simulated_cycles import closed_form_cycles, simulated_stacks
from host.attacc.systems import HeteroSystem, attacc_system
from host.llm.model import ModelConfig
from host.llm.quantisation import FP16

from .attacc_evidence import LONG, SHORT_PROMPT, best_attacc, gpt3, scheduled, system_named
from .judging import Answer, Holds, Noted

__all__ = ["attacc_attention_checks"]

MS = 1e3
BATCH_LEVEL_POINTS = (LONG, SHORT_PROMPT, (512, 512, 213), (128, 128, 854))


def attacc_attention_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "C1-07": placements,
        "C1-08": attention_level_hides_softmax,
        "C1-09": lambda: [_gain("head_level", point) for point in (LONG, SHORT_PROMPT)],
        "C1-10": lambda: [_coprocessing_gain(point) for point in (LONG, SHORT_PROMPT)],
        "C1-11": batch_level,
        "C1-11b": batch_level_where_it_pays,
        "C1-14": shared_heads,
        "C1-17": cycles_of_the_simulator,
    }


def placements() -> Answer:
    """C1-07: products with K and V of the mean step."""

    def gemv_ms(system: HeteroSystem) -> float:
        prompt, new_tokens, batch = LONG
        return seconds_by_class(system.generate(batch, prompt, new_tokens))["attention"] * MS

    times = {
        "bank": gemv_ms(system_named("dgx+attacc")),
        "bank_group": gemv_ms(attacc_system("dgx+attacc", gpt3(), FP16, pim="attacc-bank-group")),
        "gpu": gemv_ms(system_named("dgx")),
        "buffer_die": gemv_ms(attacc_system("dgx+attacc", gpt3(), FP16, pim="attacc-buffer")),
    }
    order = " < ".join(sorted(times, key=lambda name: times[name]))
    return Noted(times, f"order {order}")


def attention_level_hides_softmax() -> Answer:
    """C1-08, at the ends of all lengths of the grid, for single requests and for many.

    Without overlap softmax takes its time, as it does not in the public simulator (E1-7f).
    """
    cases = list(product((129, 512, 2049, 4095), (1, 54, 101)))
    wrong = []
    for context, batch in cases:
        sequential, overlapping = (
            scheduled(name).iteration(batch, context) for name in ("sequential", "attention_level")
        )
        alone_s, left_s = (seconds_by_class(step)["softmax"] for step in (sequential, overlapping))
        hidden = alone_s > 0 == left_s
        wrong += [f"batch {batch}, {context} tokens"] * (not hidden or overlapping.seconds > sequential.seconds)
    return Holds(passed=not wrong, detail="; ".join([f"{len(cases)} steps, {len(wrong)} are not so", *wrong]))


def batch_level() -> Answer:
    """C1-11."""
    return [1 / _gain("batch_level", point) for point in BATCH_LEVEL_POINTS]


def batch_level_where_it_pays() -> Answer:
    """C1-11b: GPUs that take half as long for half a batch, and attention that takes as long as they do."""
    gpus_s, transfer_s, softmax_s = 1.0, 0.01, 0.01
    busy = BlockSeconds(qkv=gpus_s, projection=0.0, transfer=transfer_s, gemv=gpus_s - softmax_s, softmax=softmax_s)
    attention_level = exposed("attention_level", busy, head_share=8 / 96).seconds
    return {"ratio": batch_level_s((gpus_s + transfer_s) / 2, busy.attention / 2) / attention_level}


def shared_heads() -> Answer:
    """C1-14: heads that share K and V, on units without reuse and with enough of it."""
    prompt, new_tokens, batch = LONG
    one_kv_head = replace(gpt3(), kv_heads=1)

    def speedup(model: ModelConfig) -> float:
        steps = (
            attacc_system(name, model, FP16).mean_step_s(batch, prompt, new_tokens) for name in ("dgx", "dgx+attacc")
        )
        gpu_s, pim_s = steps
        return gpu_s / pim_s

    def attention_s(queries: int, rows: int) -> float:
        model = replace(gpt3(), kv_heads=gpt3().heads // queries)
        step = attacc_system("dgx+attacc", model, FP16, reuse_rows=rows).iteration(batch, prompt + new_tokens - 1)
        return seconds_by_class(step)["attention"]

    groups = (2, 4, 8, 96)
    worst = max(attention_s(g, rows) * g / attention_s(1, 1) for g in groups for rows in (g, 2 * g))
    mha, mqa = speedup(gpt3()), speedup(one_kv_head)
    return Holds(
        passed=mqa < mha and worst <= 1.1,
        detail=f"speed-up {mha:.2f} with a KV head each, {mqa:.2f} with one for all; attention with reuse, over what "
        f"unshared heads take by their number: {worst:.3f}",
    )


def cycles_of_the_simulator() -> Answer:
    """C1-17: S1-9 counts commands that multiply and rows they open."""
    sizes = [abs(closed_form_cycles(row) / row.cycles - 1) for row in simulated_stacks()]
    return Holds(
        passed=max(sizes) <= 0.06 and median(sizes) <= 0.03,
        detail=f"{len(sizes)} rows, worst {max(sizes):.2%}, median {median(sizes):.2%}",
    )


def _gain(schedule: Schedule, case: tuple[int, int, int]) -> float:
    """Of a schedule over attention_level."""
    prompt, new_tokens, batch = case
    before, after = (scheduled(name).mean_step_s(batch, prompt, new_tokens) for name in ("attention_level", schedule))
    return before / after


def _coprocessing_gain(case: tuple[int, int, int]) -> float:
    prompt, new_tokens, batch = case
    alone, shared = (
        system.mean_step_s(batch, prompt, new_tokens) for system in (scheduled("head_level"), best_attacc())
    )
    return alone / shared
