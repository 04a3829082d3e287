"""Saved states that cannot be what they are taken for: damaged, foreign, or of another program or set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dpu_kernels.hazards.broken_rules import breaking_rules
from dpu_kernels.hazards.endless_waiting import waiting
from pim_runtime import DpuContext, DpuSet

from .hazard import Hazard, HostProgram, Variant
from .stage import Stage

__all__ = ["HAZARDS"]


def _saved(stage: Stage) -> tuple[DpuSet, Path]:
    """A set, and the file of its state."""
    dpus, file = stage.allocate(2, breaking_rules), stage.folder / "run.checkpoint"
    dpus.copy("table", np.arange(1024).reshape(2, 512))
    dpus.checkpoint().save(file)
    return dpus, file


def _cut_off(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    if variant == "planted":
        file.write_bytes(file.read_bytes()[:-100])
    dpus.restore(DpuContext.open(file))  # planted


def _damaged(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= variant == "planted"
    file.write_bytes(content)
    dpus.restore(DpuContext.open(file))  # planted


def _foreign(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    if variant == "planted":
        np.savez(file.with_suffix(".npz"), mram=np.zeros(8))
        file = file.with_suffix(".npz")
    dpus.restore(DpuContext.open(file))  # planted


def _missing(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    if variant == "planted":
        file.unlink()
    dpus.restore(DpuContext.open(file))  # planted


def _other_program(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    dpus.load(waiting if variant == "planted" else breaking_rules)
    dpus.restore(DpuContext.open(file))  # planted


def _other_set(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    (dpus.dpus()[0] if variant == "planted" else dpus).restore(DpuContext.open(file))  # planted


def _no_json(stage: Stage, variant: Variant) -> None:
    dpus, file = _saved(stage)
    dpus.checkpoint().save(file, note={1, 2} if variant == "planted" else [1, 2])  # planted


def _refused(name: str, run: HostProgram, says: str) -> Hazard:
    return Hazard.of_host(name, "saved states", run, "CheckpointError", says, engines=("interpreted",))  # none runs


HAZARDS = (
    _refused("file cut off", _cut_off, "run.checkpoint"),
    _refused("one byte of the file changed", _damaged, "run.checkpoint"),
    _refused("file of another kind", _foreign, "run.npz"),
    _refused("no such file", _missing, "run.checkpoint"),
    _refused("state of another program", _other_program, "waiting"),
    _refused("state of another number of DPUs", _other_set, "2 DPUs"),
    _refused("note that is no JSON", _no_json, "JSON"),
)
