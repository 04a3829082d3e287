"""Checks of the claims about the arithmetic of document 3: weights, caches, roofline, operator classes, MUE (C3-*)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

from host.llm.attention_memory import AttentionMemory, SoftmaxNorm, attention_memory
from host.llm.catalogue import published_model
from host.llm.operator_classes import class_totals
from host.llm.operators import Extra, Step, layer_operators
from host.llm.parameters import kv_bytes_peak, printed_layer_parameters, weight_bytes
from host.llm.quantisation import FP16
from host.machines.gpus import gpu_servers
from host.machines.roofline import Roof, crossover_tokens, roof_of
from pim_runtime import EngineOptions, Machine, load_profile

from .judging import Answer, Holds

__all__ = ["inference_checks"]

GIB, TIB = 2**30, 2**40
FP16_BYTES = FP16.weight_bits // 8
MODEL = "opt-175b"  # of FlexGen, in document 3
BATCH, PROMPT, NEW_TOKENS = 512, 512, 32
ROUNDED_BYTES_PER_S = 1500e9  # of the article that document 3 takes its 208 tokens from
MACHINE = "upmem-v1a"
TOKENS, DIM = 4096, 96  # of the measured head
SHARP = 64.0  # times the usual deviation of logits: hardly any token has a weight


def inference_checks() -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id."""
    return {
        "C3-01": weights,
        "C3-02": weights_with_embedding,
        "C3-03": caches,
        "C3-04": caches_per_weights,
        "C3-05": crossovers,
        "C3-06": crossovers_by_bits,
        "C3-09": shares_of_classes,
        "C3-10": memory_use_of_softmax,
    }


def weights() -> Answer:
    """C3-01: bytes of the layers, and of one layer, which is what the printed formula gives."""
    model = published_model(MODEL)
    layers_bytes = weight_bytes(model, FP16, "layers")
    printed_bytes = FP16_BYTES * printed_layer_parameters(model)
    return {"bytes": layers_bytes, "GiB": layers_bytes / GIB, "printed_formula_bytes": printed_bytes}


def weights_with_embedding() -> Answer:
    """C3-02."""
    with_embedding = weight_bytes(published_model(MODEL), FP16, "matrices")
    return {"bytes": with_embedding, "GiB": with_embedding / GIB}


def caches() -> Answer:
    """C3-03."""
    kv_bytes = _peak_bytes()
    return {"bytes": kv_bytes, "TiB": kv_bytes / TIB}


def caches_per_weights() -> Answer:
    """C3-04."""
    model = published_model(MODEL)
    return {
        "without_embedding": _peak_bytes() / weight_bytes(model, FP16, "layers"),
        "with_embedding": _peak_bytes() / weight_bytes(model, FP16, "matrices"),
    }


def crossovers() -> Answer:
    """C3-05: of the A100's own bandwidth, and of the rounded one."""
    a100 = _a100()
    rounded = Roof(flops_per_s=a100.flops_per_s, bytes_per_s=ROUNDED_BYTES_PER_S)
    return {
        "bw_1555": crossover_tokens(a100, weight_bits=FP16.weight_bits),
        "bw_1500": crossover_tokens(rounded, weight_bits=FP16.weight_bits),
    }


def crossovers_by_bits() -> Answer:
    """C3-06."""
    fp16, int8, fp32 = (crossover_tokens(_a100(), weight_bits=bits) for bits in (16, 8, 32))
    return {"int8": int8 / fp16, "fp32": fp32 / fp16}


def shares_of_classes() -> Answer:
    """C3-09: percent of the operations of a layer, with all that the profiling paper counts."""
    step = Step(batch=8, context=512, new_tokens=512)
    operators = layer_operators(published_model("bert-large"), step, extras=get_args(Extra))
    return [float(100 * total.flops_share) for total in class_totals(operators, FP16)]


def memory_use_of_softmax() -> Answer:
    """C3-10: one head on one DPU, with logits of the usual deviation and with sharp ones.

    MUE takes the bandwidth that the DMAs reach while the engine moves them. Over the kernel's time, which instructions
    bound on this machine, it ranks kernels by their instructions; the relation then holds for very sharp logits only,
    where the online kernel skips nearly all tokens. Both are told, and asked for.
    """
    usual, sharp = _pair(1.0), _pair(SHARP)
    in_mram, online = usual
    detail = (
        f"with the bandwidth of the DMA engine {in_mram.whole.engine_mue:.1f} % and {online.whole.engine_mue:.1f} %, "
        f"for Q/D of {in_mram.whole.io_share:.3f} and {online.whole.io_share:.3f}; with that over the kernel's time, "
        f"which instructions bound, {in_mram.whole.kernel_mue:.2f} % and {online.whole.kernel_mue:.2f} % for usual "
        f"logits, {sharp[0].whole.kernel_mue:.2f} % and {sharp[1].whole.kernel_mue:.2f} % for ones {SHARP:g} times as "
        "sharp"
    )
    passed = all(first.whole.engine_mue < second.whole.engine_mue for first, second in (usual, sharp))
    return Holds(passed=passed and sharp[0].whole.kernel_mue < sharp[1].whole.kernel_mue, detail=detail)


def _pair(logit_deviation_factor: float) -> tuple[AttentionMemory, AttentionMemory]:
    """With scores in MRAM, and online."""
    in_mram, online = (_memory(norm, logit_deviation_factor) for norm in get_args(SoftmaxNorm))
    return in_mram, online


def _memory(norm: SoftmaxNorm, logit_deviation_factor: float) -> AttentionMemory:
    return attention_memory(
        norm,
        tokens=TOKENS,
        dim=DIM,
        logit_deviation_factor=logit_deviation_factor,
        machine=Machine(load_profile(MACHINE)),
        options=EngineOptions(),
    )


def _peak_bytes() -> int:
    return kv_bytes_peak(published_model(MODEL), FP16, batch=BATCH, prompt=PROMPT, new_tokens=NEW_TOKENS)


def _a100() -> Roof:
    return roof_of(gpu_servers().load("a100-40"))
