"""The 15 cells of PIM attention: one decode step of the published program, run once and priced on several machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from host.attention.experiment import run_workload
from host.attention.tables import published_workload
from pim_runtime import EngineOptions, Machine
from pim_runtime.hardware import Hardware
from pim_runtime.timing import Clock, price

from .errors import ComparedPoint
from .points import Point

__all__ = ["attention_points"]

PS_PER_MS = 1_000_000_000


def attention_points(
    points: Sequence[Point],
    machines: Sequence[Hardware],
    *,
    options: EngineOptions,
    advance: Callable[[int], None],
    clock: Clock = "closed",
) -> Iterator[ComparedPoint]:
    """Push, run and pull of every point, on each of `machines`; `advance(1)` after each run.

    Runs on the first machine; the others price the same work. clock: the form of kernel time.
    Raises what `run_workload` raises.
    """
    dtypes = dict.fromkeys(point.dtype for point in points)
    for dtype in dtypes:
        cells = [point for point in points if point.dtype == dtype]
        request = published_workload(dtype, 1)  # all requests are alike: 64 of them would take gigabytes
        for point in cells:
            assert point.nr_tasklets is not None
            outcome = run_workload(
                request.repeated(point.size("batch")),
                nr_tasklets=point.nr_tasklets,
                machine=Machine(machines[0]),
                options=options,
                advance=lambda steps: None,
            )
            advance(1)
            step = outcome.timeline.rows[outcome.decode_rows :]
            for hardware in machines:
                duration_ps = sum(cost.duration_ps for row in step for cost in price(row.work, hardware, clock))
                yield ComparedPoint(point=point, model=hardware.name, modelled=duration_ps / PS_PER_MS)
