"""Trying hazards out: the mistake and then its twin, in the same process, on one engine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from pim_runtime import EngineOptions
from pim_runtime.hardware import Hardware

from .hazard import ENGINES, EngineName, Hazard, Outcome
from .stage import MAX_ITERATIONS, Stage

__all__ = ["trials", "try_out"]


def try_out(hazard: Hazard, engine: EngineName, hardware: Hardware) -> Outcome:
    """Run the mistake, then the twin: it also shows that the process is usable afterwards."""
    options = EngineOptions(engine=engine, max_iterations=MAX_ITERATIONS)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(hardware, options, Path(folder))
        planted = stage.play(partial(hazard.run, variant="planted"))
        mended = stage.play(partial(hazard.run, variant="mended"))
    return Outcome(hazard=hazard, engine=engine, planted=planted, mended=mended)


def trials(hazards: Iterable[Hazard], hardware: Hardware) -> Iterator[Outcome]:
    """Try every hazard on every engine that it applies to."""
    for hazard in hazards:
        for engine in ENGINES:
            if engine in hazard.engines:
                yield try_out(hazard, engine, hardware)
