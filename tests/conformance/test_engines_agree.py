"""Every kernel leaves the same bytes, logs, counters and timeline in both engines, on any number of threads and,
where its result does not depend on the order, in any order of its tasklets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from kernels_for_tests import control, memory, output
from kernels_for_tests import synchronisation as sync
from kernels_for_tests.running import run

from pim_runtime import DpuProgram, EngineOptions
from pim_runtime.device import COUNT_CYCLES, COUNT_INSTRUCTIONS, int16, uint32

NR_DPUS = 6
REFERENCE = EngineOptions(engine="interpreted")
COMPILED = [EngineOptions(engine="compiled", threads=threads) for threads in (1, 2, 5)]
SHUFFLED = [EngineOptions(engine="interpreted", tasklet_order="random", seed=seed) for seed in (1, 2, 3)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A program with its inputs, and what it must leave in some symbols.

    order: of its tasklets, for which that is true. "phases": any, except that tasklets that do not take part in a
    barrier count in the phase in which their turn comes.
    """

    program: DpuProgram
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    expected: dict[str, np.ndarray] = field(default_factory=dict)
    launches: int = 1
    order: Literal["any", "phases", "cyclic"] = "any"


def per_dpu(*numbers, dtype=np.int64):
    """One number for each DPU."""
    return np.resize(np.array(numbers, dtype), (NR_DPUS, 1))


def filled(nr_tasklets, numbers, width=24):
    """Rows of `width` numbers of which tasklets have written the first ones."""
    rows = np.zeros((NR_DPUS, width), np.int64)
    rows[:, :nr_tasklets] = numbers
    return rows


def scan(nr_tasklets):
    rounds = per_dpu(0, 1, 2, 3, dtype=np.int32)
    values = np.random.default_rng(1).integers(-9, 10, (NR_DPUS, 24))
    sums = values.copy()
    for row, (repeats,) in zip(sums, rounds, strict=True):
        for _ in range(repeats):
            row[:nr_tasklets] = np.cumsum(row[:nr_tasklets])
    steps = rounds * math.ceil(math.log2(nr_tasklets))
    return Case(
        program=sync.scan,
        inputs={"rounds": rounds, "values": values},
        expected={"values": sums, "steps_taken": filled(nr_tasklets, steps)},
    )


def produce_and_consume(nr_tasklets):
    items = per_dpu(0, 1, 7, dtype=np.int32)
    sums = [[sum(item * item for item in range(int(n) * (nr_tasklets - 1)))] for n in items[:, 0]]
    return Case(program=sync.produce_and_consume, inputs={"items": items}, expected={"sum_of_squares": np.array(sums)})


def count_under_a_mutex(nr_tasklets):
    rounds = per_dpu(0, 1, 5, dtype=np.int32)
    return Case(
        program=sync.count_together,
        inputs={"strategy": per_dpu(sync.LOCK, dtype=np.int32), "rounds": rounds},
        expected={"counter": nr_tasklets * rounds.astype(np.int64)},
    )


def count_with_trylock(nr_tasklets):
    rounds = per_dpu(1, 3, dtype=np.int32)
    return Case(
        program=sync.count_together,
        inputs={"strategy": per_dpu(sync.TRYLOCK, dtype=np.int32), "rounds": rounds},
        expected={"counter": nr_tasklets * rounds.astype(np.int64)},
        order="cyclic",  # who is refused how often depends on the order
    )


def pass_token(nr_tasklets):
    rounds, tokens = per_dpu(1, 2, 0, dtype=np.int32), []
    for repeats in rounds[:, 0]:
        token = 0
        for tasklet in list(range(nr_tasklets)) * repeats:
            token = 3 * token + tasklet + 1
        tokens.append([(token + (1 << 63)) % (1 << 64) - (1 << 63)])
    return Case(program=sync.pass_token, inputs={"rounds": rounds}, expected={"token": np.array(tokens)})


def reduction(nr_tasklets):
    limit, used = per_dpu(1 << 30, 100, dtype=np.int32), nr_tasklets * memory.BLOCK
    numbers = np.random.default_rng(2).integers(-(1 << 30), 1 << 30, (NR_DPUS, 24 * memory.BLOCK), dtype=np.int32)
    doubled = np.zeros_like(numbers)
    doubled[:, :used] = 2 * numbers[:, :used]
    total = np.clip(numbers, -limit, limit)[:, :used].sum(axis=1, dtype=np.int64)
    return Case(
        program=memory.reduction,
        inputs={"numbers": numbers, "limit": limit},
        expected={"doubled": doubled, "total": total[:, None]},
        launches=2,
    )


def some_return(nr_tasklets):
    last_phase = np.zeros((NR_DPUS, 24), np.int64)
    last_phase[:, :4] = (11, 11, 1, 1)
    expected = {"last_phase": last_phase * (np.arange(24) < nr_tasklets)}
    return Case(program=control.some_return, expected=expected, order="phases")


def scaling(kind, factor):
    def case(nr_tasklets):
        vector = np.random.default_rng(3).integers(-(1 << 15), 1 << 15, (NR_DPUS, 64)).astype(kind.dtype)
        scaled = (vector.astype(np.int64) * factor**2).astype(kind.dtype)
        program = control.scaling(kind, factor)
        return Case(program=program, inputs={"vector": vector}, expected={"vector": scaled}, launches=2)

    return case


def remember(nr_tasklets):
    return Case(
        program=memory.remember,
        inputs={"kept": per_dpu(1, 2, 3)},
        expected={"kept": per_dpu(1, 2, 3) + 3, "boots_seen": per_dpu(13)},
        launches=3,
    )


def measure(what):
    def case(nr_tasklets):
        return Case(program=output.measure, inputs={"what": per_dpu(what)}, order="cyclic", launches=2)

    return case


def printing(nr_tasklets):
    inputs = {"value": per_dpu(-1, 5, -(1 << 63), 1 << 40), "is_quiet": per_dpu(0, 0, 0, 0, 1)}
    return Case(program=output.printing, inputs=inputs, order="cyclic")


CASES = {
    "scan": (scan, (1, 2, 11, 16, 24)),
    "produce_and_consume": (produce_and_consume, (1, 2, 11, 24)),
    "count_under_a_mutex": (count_under_a_mutex, (1, 16, 24)),
    "count_with_trylock": (count_with_trylock, (1, 16)),
    "pass_token": (pass_token, (2, 11, 24)),
    "reduction": (reduction, (1, 11, 16, 24)),
    "some_return": (some_return, (2, 16)),
    "scaling_int16": (scaling(int16, 3), (2, 11)),
    "scaling_uint32": (scaling(uint32, -5), (2, 24)),
    "remember": (remember, (1,)),
    "measure_cycles": (measure(COUNT_CYCLES), (1, 16)),
    "measure_instructions": (measure(COUNT_INSTRUCTIONS), (1, 16)),
    "printing": (printing, (1, 16)),
}


@pytest.mark.parametrize(
    ("define", "nr_tasklets"),
    [pytest.param(define, n, id=f"{name}-{n}") for name, (define, counts) in CASES.items() for n in counts],
)
def test_same_outcome_everywhere(hardware, define, nr_tasklets):
    case = define(nr_tasklets)

    def outcome_with(options):
        return run(
            case.program,
            options,
            hardware,
            nr_dpus=NR_DPUS,
            nr_tasklets=nr_tasklets,
            inputs=case.inputs,
            launches=case.launches,
        )

    reference = outcome_with(REFERENCE)
    for symbol, expected in case.expected.items():
        np.testing.assert_array_equal(reference.of(symbol, expected.dtype), expected, err_msg=symbol)
    for options in COMPILED + (SHUFFLED if case.order != "cyclic" else []):
        outcome = outcome_with(options)
        for symbol, expected in reference.symbols.items():
            np.testing.assert_array_equal(outcome.symbols[symbol], expected, err_msg=f"{symbol} with {options}")
        assert outcome.logs == reference.logs, options
        if options in SHUFFLED and case.order == "phases":
            assert of_all_phases(outcome) == of_all_phases(reference), options
        else:
            assert outcome.counters == reference.counters, options
            assert outcome.timeline == reference.timeline, options


def of_all_phases(outcome):
    """Counters of every launch, DPU and tasklet."""
    return [(np.sum(rows, axis=1).tolist(), barriers) for rows, barriers in outcome.counters]
