"""AttAcc devices for tests: every placement of the units, and one way to load and ask them."""

from __future__ import annotations

from dataclasses import replace

from host.attacc.device.device import AttaccDevice, Step
from host.machines.hbm_pim import HbmPim, hbm_pims

from .attention import Case

__all__ = ["PLACEMENTS", "load_device", "make_device", "step"]

PLACEMENTS = ("attacc-bank", "attacc-bank-group", "attacc-buffer")


def load_device(placement: str, *, stacks: int = 1) -> HbmPim:
    """A device of a placement, with so many stacks."""
    hardware = hbm_pims().load(placement)
    return replace(hardware, stacks=replace(hardware.stacks, devices=1, stacks_per_device=stacks))


def make_device(case: Case, placement: str, *, stacks: int = 1, reuse_rows: int = 1) -> AttaccDevice:
    """A device with K and V of a case."""
    device = AttaccDevice(case.spec, load_device(placement, stacks=stacks), batch=case.batch, reuse_rows=reuse_rows)
    device.load_kv(case.k, case.v)
    return device


def step(case: Case, placement: str, *, stacks: int = 1, reuse_rows: int = 1) -> Step:
    """One decode step of a case."""
    return make_device(case, placement, stacks=stacks, reuse_rows=reuse_rows).decode(case.q)
