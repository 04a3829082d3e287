"""Checks of document 1: batches under limits, throughput, memory and energy of GPUs beside HBM with PIM (AttAcc).

Attention itself, and the functional device, are checked elsewhere. Points are (prompt, new tokens, batch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise

from host.attacc.classes import seconds_by_class
from host.attacc.energy import total
from host.attacc.slo_grid import (
    Point,
    tokens_per_s,
)
from host.attacc.systems import SystemName
from host.llm.catalogue import published_model
from host.llm.operators import Step, layer_operators
from host.llm.parameters import kv_bytes_peak, kv_bytes_per_token
from host.llm.quantisation import FP16, INT8

from .attacc_evidence import LONG, SHORT_PROMPT, AttAccEvidence, best_attacc, gpt3, grid, system_named
from .judging import Answer, Holds, Noted

__all__ = ["attacc_checks"]

MS, GIB = 1e3, 2**30
SHARE_POINTS = (LONG, SHORT_PROMPT, (128, 128, 854), (2048, 2048, 48), (2048, 2048, 1), (2048, 128, 100))
FC = ("qkv", "projection", "ffn_up", "ffn_down")


def attacc_checks(evidence: AttAccEvidence) -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "C1-01": kv_of_a_request,
        "C1-02": best_fc_gain,
        "C1-03": batch_256,
        "C1-04": partial(gain_at_30_ms, evidence),
        "C1-05": lambda: evidence.gain(Point(2048, 128), None),
        "C1-05b": partial(range_of_gains, evidence),
        "C1-06": energy_ratios,
        "C1-12": kv_per_token,
        "C1-13": eight_bits,
        "C1-15": capacities,
        "C1-18": partial(alternatives, evidence),
        "C1-19": share_of_attention_and_fc,
        "C1-20": intensities,
    }


def kv_of_a_request() -> Answer:
    """C1-01."""
    size = kv_bytes_peak(gpt3(), FP16, batch=1, prompt=2048, new_tokens=2048)
    return {"bytes": size, "GiB": size / GIB}


def best_fc_gain() -> Answer:
    """C1-02."""
    system = system_named("dgx")

    def fc_per_s(batch: int) -> float:
        step = system.iteration(batch, 1)
        return batch / sum(step.part(name).seconds for name in FC)

    return max(fc_per_s(batch) for batch in range(128, 1025)) / fc_per_s(1)


def batch_256() -> Answer:
    """C1-03: a step, and K and V, of more requests than fit."""
    latency_ms = system_named("dgx").step_s(256, 2049) * MS
    kv_gib = kv_bytes_peak(gpt3(), FP16, batch=256, prompt=2048, new_tokens=1) / GIB
    return Holds(
        passed=latency_ms > 50 and kv_gib > 640,
        detail=f"{latency_ms:.1f} ms, {kv_gib:,.0f} GiB of K and V",
        ours={"golden_latency_ms": latency_ms, "kv_GiB": kv_gib},
    )


def gain_at_30_ms(evidence: AttAccEvidence) -> Answer:
    """C1-04: both limits on the batch of AttAcc are compared with the one that it chose."""
    cell = evidence.grid[Point(2048, 2048), 0.03]
    gpu, ours = cell["dgx_large"].choice, cell["dgx+attacc"].choice
    numbers = {
        "ratio": evidence.gain(Point(2048, 2048), 0.03),
        "gpu_batch": gpu.batch,
        "gpu_slo_violated": gpu.slo_violated,
        "attacc_batch_min": ours.batch,
        "attacc_batch_max": ours.batch,
    }
    return Noted(
        numbers, f"AttAcc decodes {ours.batch} requests, the GPU's one takes {gpu.step_s * MS:.1f} ms at the end"
    )


def range_of_gains(evidence: AttAccEvidence) -> Answer:
    """C1-05b: over the cells of the grid where the GPU meets the SLO."""
    gains = {
        key: evidence.gain(*key) for key, cell in evidence.grid.items() if not cell["dgx_large"].choice.slo_violated
    }
    least, most = min(gains.values()), max(gains.values())
    slow = max(gain for (_, slo_s), gain in gains.items() if slo_s is None or slo_s >= 0.05)
    return Holds(
        passed=least <= 2.81 <= most,
        detail=f"{least:.2f} to {most:.2f} in {len(gains)} cells, at most {slow:.2f} from 50 ms",
        ours={"min": least, "max": most, "max_for_slo_ge_50ms": slow},
    )


def energy_ratios() -> Answer:
    """C1-06: joules per token with the energies as the public simulator counts them."""
    point = (2048, 2048)

    def joules_per_token(name: SystemName, batch: int) -> float:
        system = replace(best_attacc() if name == "dgx+attacc" else system_named(name), energy_mode="public")
        return total(list(system.mean_energies(batch, *point).values())).joules / batch

    attacc = joules_per_token("dgx+attacc", 53)
    return {
        "vs_1280GiB_gpu": joules_per_token("dgx_large", 53) / attacc,
        "vs_640GiB_gpu": joules_per_token("dgx", 17) / attacc,
    }


def kv_per_token() -> Answer:
    """C1-12."""
    large = published_model("llama2-70b")
    models = {
        "llama2-70b_gqa": large,
        "llama2-70b_as_mha": replace(large, kv_heads=large.heads),
        "llama-7b": published_model("llama-7b"),
    }
    return {name: kv_bytes_per_token(model, FP16) for name, model in models.items()}


def eight_bits() -> Answer:
    """C1-13: with the batches that each system chooses at 8 bits."""
    gains = [cell["dgx+attacc"].tokens_per_s / cell["dgx_large"].tokens_per_s for cell in grid(INT8).values()]
    point, batch = Point(2048, 2048), 125
    same_batch = tokens_per_s(best_attacc(INT8), batch, point) / tokens_per_s(system_named("dgx", INT8), batch, point)
    return Holds(
        passed=min(gains) > 1 and same_batch > 1,
        detail=f"{min(gains):.2f} to {max(gains):.2f} in {len(gains)} cells",
        ours={"golden_2048_2048_125": same_batch},
    )


def capacities() -> Answer:
    """C1-15."""
    system, contexts = (
        system_named("dgx_large"),
        [prompt + new - 1 for prompt, new in ((2048, 2048), (128, 2048), (128, 128))],
    )
    return {
        "attacc_rule": [system.most_requests(context, "attacc") for context in contexts],
        "strict": [system.most_requests(context) for context in contexts],
    }


def alternatives(evidence: AttAccEvidence) -> Answer:
    """C1-18: at the batch that AttAcc chooses in each cell of the grid."""
    cpu, twice, once = system_named("dgx-cpu"), system_named("2xdgx"), system_named("dgx")
    cells = {
        (point, cell["dgx+attacc"].choice.batch): cell["dgx+attacc"].mean_step_s
        for (point, _), cell in evidence.grid.items()
    }
    slower = all(cpu.mean_step_s(batch, *point) > ours_s for (point, batch), ours_s in cells.items())
    scaling = [tokens_per_s(twice, batch, point) / tokens_per_s(once, batch, point) for point, batch in cells]
    prompt, new_tokens, batch = LONG
    numbers = {
        "dgx_cpu_ms": cpu.mean_step_s(batch, prompt, new_tokens) * MS,
        "attacc_ms": best_attacc().mean_step_s(batch, prompt, new_tokens) * MS,
        "tok_s_2xdgx_over_dgx": tokens_per_s(twice, batch, Point(prompt, new_tokens))
        / tokens_per_s(once, batch, Point(prompt, new_tokens)),
    }
    return Holds(
        passed=slower and max(scaling) < 2,
        detail=f"{len(cells)} points and batches; twice the GPUs decode {min(scaling):.2f} to {max(scaling):.2f} times "
        "as much",
        ours={"golden_2048_2048_54": numbers},
    )


def share_of_attention_and_fc() -> Answer:
    """C1-19."""
    shares = []
    for prompt, new_tokens, batch in SHARE_POINTS:
        step = system_named("dgx").generate(batch, prompt, new_tokens)
        seconds = seconds_by_class(step)
        shares.append((seconds["attention"] + seconds["FC"]) / step.seconds)
    detail = ", ".join(f"{share:.3f}" for share in shares)
    return Holds(passed=min(shares) >= 0.65, detail=detail, ours={"golden": shares})


def intensities() -> Answer:
    """C1-20: operations per byte that must be moved, of products with weights and of those with K and V."""
    model, batches, element_bytes = gpt3(), range(1, 1025), FP16.kv_bits // 8
    fc, attention = [], set()
    for batch in batches:
        operators = {operator.name: operator for operator in layer_operators(model, Step(batch=batch, context=2049))}
        weights = [operators[name] for name in FC]
        elements = sum(one.weight_elements + one.input_elements + one.output_elements for one in weights)
        fc.append(sum(one.flops for one in weights) / (elements * element_bytes))
        attention |= {
            operators[name].flops / (operators[name].kv_elements * element_bytes) for name in ("score", "context")
        }
    rises = all(before < after for before, after in pairwise(fc))
    return Holds(
        passed=rises and attention == {2 / element_bytes},
        detail=f"batch 1 to {len(batches)}: {fc[0]:.2f} to {fc[-1]:.0f}; attention {attention}",
    )
