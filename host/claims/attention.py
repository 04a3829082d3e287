"""Checks of the claims about document 0: decode attention on 1024 UPMEM DPUs (C0-*).

Each function answers one claim: with numbers that `judging` compares, or with a relation that it found to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import get_args

import numpy as np

from dpu_kernels.attention import DTypeName
from host.attention.partition import Partition, PartitionLayout
from host.attention.published import (
    achieved_gb_per_s,
    baseline_us,
    cpu_threads,
    crossover,
    kv_bytes,
    pim_attention,
    speedup,
)
from host.attention.reference import attention_div_d
from pim_runtime.counters import Counter

from .evidence import DTYPES, AttentionEvidence, Step, decode, grown_outputs
from .inventory import Operands, random_operands
from .judging import Answer, Holds, Noted

__all__ = ["attention_checks"]

PUBLISHED_DPUS = 1024
DIM = 128
LAYOUTS: tuple[PartitionLayout, ...] = get_args(PartitionLayout)
FIRST_CELL = 10  # C0-10 to C0-24: three dtypes, five batches each
CELL_NOTE = (
    "on profile seed-2023: how its host calls grow with the ranks is read from these cells, nothing of the kernel is"
)


def attention_checks(evidence: AttentionEvidence) -> Mapping[str, Callable[[], Answer]]:
    """The checks by claim id. They share the runs in `evidence`, which are done when first needed."""
    cells = enumerate(product(DTYPES, pim_attention().batches), start=FIRST_CELL)
    return {
        "C0-01": partial(output_of_ones, evidence),
        "C0-02": kernels_equal_the_closed_form,
        "C0-03": split_heads_equal_whole_heads,
        "C0-04": traffic,
        "C0-05": paged_and_grown_contexts,
        **{f"C0-{number}": partial(step_us, evidence, dtype, batch) for number, (dtype, batch) in cells},
        "C0-25": speedups_at_full_batch,
        "C0-26": all_speedups,
        "C0-27": rates_at_full_batch,
        "C0-28": partial(predicted_split, evidence),
        "C0-29": partial(time_of_random_data, evidence),
        "C0-31": crossovers,
        "C0-32": heads_are_independent,
        "C0-33": partial(share_of_busy_dpus, evidence),
    }


def output_of_ones(evidence: AttentionEvidence) -> Answer:
    """C0-01: the value of every output element."""
    outputs = {dtype: evidence.cell(dtype, 2).outputs for dtype in DTYPES}
    return {dtype: values[0] if len(values) == 1 else f"several: {values}" for dtype, values in outputs.items()}


def kernels_equal_the_closed_form() -> Answer:
    """C0-02: wrapping kernels on full-range integers against the closed form, for many sizes and tasklet counts."""
    sizes, tasklets = (8, 64, 200, 4096), (2, 5, 12, 17, 24)
    different = compared = 0
    for dtype, tokens in product(DTYPES, sizes):
        operands = random_operands(dtype, seed=tokens, heads=2, tokens=tokens, dim=DIM)
        expected = attention_div_d(*operands, acc="wrap")
        for nr_tasklets in tasklets:
            outputs = decode(operands, nr_tasklets=nr_tasklets).outputs
            different += int(np.not_equal(outputs, expected).sum())
            compared += expected.size
    return _equal(compared, different, f"{len(DTYPES)} types, tokens {sizes}, tasklets {tasklets}")


def split_heads_equal_whole_heads() -> Answer:
    """C0-03: parts on several DPUs each, added up on the host, against a DPU per head and the closed form."""
    sizes, splits = (7, 200), (2, 3, 4, 16)  # 7 tokens leave some of 16 parts empty
    different = compared = 0
    for dtype, tokens in product(DTYPES, sizes):
        operands = random_operands(dtype, seed=tokens, heads=2, tokens=tokens, dim=DIM)
        whole, closed_form = decode(operands).outputs, attention_div_d(*operands, acc="wrap")
        for parts, layout in product(splits, LAYOUTS):
            outputs = decode(operands, partition=Partition(parts, layout)).outputs
            different += int((np.not_equal(outputs, whole) | np.not_equal(outputs, closed_form)).sum())
            compared += outputs.size
    return _equal(compared, different, f"{len(DTYPES)} types, tokens {sizes}, parts {splits}, {' and '.join(LAYOUTS)}")


def traffic() -> Answer:
    """C0-04: DMAs of the kernel and transfers of the host."""
    cases = list(product(DTYPES, (64, 200), (5, 17)))
    wrong = []
    for dtype, tokens, nr_tasklets in cases:
        step = decode(random_operands(dtype, seed=0, heads=3, tokens=tokens, dim=DIM), nr_tasklets=nr_tasklets)
        found, expected = _traffic_of(step), _stated_traffic(np.dtype(dtype).itemsize, tokens, nr_tasklets - 1, heads=3)
        wrong += [f"{dtype}, {tokens} tokens, {nr_tasklets} tasklets: {found}"] * (found != expected)
    detail = f"DMAs, DMA bytes, host bytes and transfers of {len(cases)} runs, {len(wrong)} differ from the formulas"
    return Holds(passed=not wrong, detail="; ".join([detail, *wrong]))


def paged_and_grown_contexts() -> Answer:
    """C0-05: blocks against contiguous rows, and contexts that grew token by token against loaded ones."""
    tokens, starts = 50, (1, 16, 49)
    different = compared = 0
    for dtype in DTYPES:
        operands = random_operands(dtype, seed=5, heads=2, tokens=tokens, dim=DIM)
        bulk = decode(operands).outputs
        others = [decode(operands, paging="paged").outputs]
        others += [grown_outputs(operands, loaded=n, paging="paged") for n in starts]
        others += [grown_outputs(operands, loaded=n, paging="contiguous") for n in starts]
        different += sum(int(np.not_equal(outputs, bulk).sum()) for outputs in others)
        compared += len(others) * bulk.size
    return _equal(compared, different, f"{len(DTYPES)} types, {tokens} tokens, grown from {starts}")


def step_us(evidence: AttentionEvidence, dtype: DTypeName, batch: int) -> Answer:
    """C0-10 to C0-24: modelled time of push, launch and pull."""
    return Noted(evidence.cell(dtype, batch).microseconds, note=CELL_NOTE)


def speedups_at_full_batch() -> Answer:
    """C0-25."""
    return {dtype: speedup(dtype, pim_attention().batches[-1]) for dtype in DTYPES}


def all_speedups() -> Answer:
    """C0-26."""
    return {dtype: [speedup(dtype, batch) for batch in pim_attention().batches] for dtype in DTYPES}


def rates_at_full_batch() -> Answer:
    """C0-27: bytes of K and V, and what the published times make of them."""
    fastest = max(achieved_gb_per_s("int32", 32, row) for row in cpu_threads("int32"))
    return {
        "kv_bytes": kv_bytes("int32", 32),
        "cpu_best_GB_s": fastest,
        "upmem_GB_s": achieved_gb_per_s("int32", 32, "upmem"),
    }


def predicted_split(evidence: AttentionEvidence) -> Answer:
    """C0-28: a prediction, T_kernel / 16 + t_x * 1024, with both constants fitted to the published row (S0-9).

    The emulator's own time stands beside it. It is longer, as one tasklet adds up the partial outputs of the others:
    that takes as long for 256 tokens as for 4096, and the formula divides it by 16.
    """
    table, parts = pim_attention(), 16
    modelled_ms = evidence.cell("int32", 2, Partition(parts)).microseconds / 1e3
    dpus = [batch * table.heads for batch in table.batches]
    us_per_dpu, kernel_us = np.polyfit(dpus, [table.cells["int32"]["upmem"][batch] for batch in table.batches], deg=1)
    predicted_us = float(kernel_us) / parts + float(us_per_dpu) * 2 * table.heads * parts
    return Noted(
        {"ms": predicted_us / 1e3, "speedup_over_best_cpu": baseline_us("int32", 2) / predicted_us},
        note=f"a prediction by the formula; the emulator models {modelled_ms:.3f} ms, since the master's merge of the "
        "workers' outputs takes as long for a part as for a whole head",
    )


def time_of_random_data(evidence: AttentionEvidence) -> Answer:
    """C0-29: int32 step of random signed operands / step of ones, at batch 2 of the published shape."""
    table = pim_attention()
    head = random_operands("int32", seed=29, heads=1, tokens=table.tokens, dim=table.dim)
    operands = Operands(*(np.broadcast_to(part, (2, table.heads, *part.shape[2:])) for part in head))
    return decode(operands).microseconds / evidence.cell("int32", 2).microseconds


def crossovers() -> Answer:
    """C0-31: -1 for a type that never wins."""
    return {dtype: crossover(dtype) or -1 for dtype in DTYPES}


def heads_are_independent() -> Answer:
    """C0-32: the output of a head when all others change, and alone: on one DPU, and in parts on several."""
    heads, kept, different, compared = 4, 2, 0, 0
    for dtype, partition in product(DTYPES, (Partition(), Partition(3))):
        first, second = (random_operands(dtype, seed=seed, heads=heads, tokens=200, dim=DIM) for seed in (1, 2))
        for mixed, theirs in zip(second, first, strict=True):
            mixed[:, kept] = theirs[:, kept]
        alone = Operands(*(part[:, kept : kept + 1] for part in first))
        before, after, single = (decode(each, partition=partition).outputs for each in (first, second, alone))
        different += int((before[:, kept] != after[:, kept]).sum()) + int((before[:, kept] != single[:, 0]).sum())
        compared += 2 * DIM
    return _equal(compared, different, f"head {kept} of {heads}, {len(DTYPES)} types, whole and in parts")


def share_of_busy_dpus(evidence: AttentionEvidence) -> Answer:
    """C0-33."""
    return evidence.cell("int32", 2).nr_dpus / PUBLISHED_DPUS


def _traffic_of(step: Step) -> dict[str, int]:
    """Of one DPU, on which all must agree, and of the host; a mean of unequal DPUs would not be a whole number."""
    push, launch, pull = step.rows
    events = step.events[:, [Counter.READS, Counter.READ_BYTES, Counter.WRITES, Counter.WRITE_BYTES]]
    agreed = events[0] if (events == events[0]).all() else np.full_like(events[0], -1)
    reads, read_bytes, writes, write_bytes = agreed.tolist()
    return {
        "dma_transfers": reads + writes,
        "dma_bytes": read_bytes + write_bytes,
        "host_push_bytes": push.nbytes,
        "host_pull_bytes": pull.nbytes,
        "host_transfers": sum(row.operation in ("write", "read") for row in step.rows),
        "launch_bytes": launch.nbytes,
    }


def _stated_traffic(itemsize: int, tokens: int, workers: int, *, heads: int) -> dict[str, int]:
    """S0-11 and S0-12 for one request."""
    row_bytes = DIM * itemsize
    return {
        "dma_transfers": 2 * tokens + 4 * tokens // 8 + 3 * workers + 1,
        "dma_bytes": 2 * tokens * row_bytes + 4 * tokens * itemsize + (3 * workers + 1) * row_bytes,
        "host_push_bytes": heads * row_bytes,
        "host_pull_bytes": heads * row_bytes,
        "host_transfers": 2,
        "launch_bytes": 0,
    }


def _equal(compared: int, different: int, where: str) -> Holds:
    return Holds(passed=not different, detail=f"{compared - different:,} of {compared:,} elements equal ({where})")
