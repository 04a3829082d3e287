"""Profiles of GPU servers, HBM with PIM and CPUs: that all of them load, and what follows from them."""

from __future__ import annotations

import pytest

from host.machines.cpus import cpu_servers
from host.machines.gpus import gpu_servers
from host.machines.hbm_pim import hbm_pims

pytestmark = pytest.mark.quick

GIB = 2**30


@pytest.mark.parametrize("folder", [gpu_servers(), hbm_pims(), cpu_servers()], ids=lambda folder: folder.what)
def test_every_value_has_a_source(folder):
    for name in folder.available():
        machine = folder.load(name)
        assert machine.name == name
        assert machine.quantities
        assert all(quantity.source and quantity.unit for quantity in machine.provenance)


def test_memory_of_the_systems():
    servers = {name: gpu_servers().load(name).gpus.total_bytes / GIB for name in gpu_servers().available()}
    assert servers == {
        "a100-40": 40,
        "dgx-a100-hbm3": 640,
        "dgx-a100-hbm3-large": 1280,
        "dgx-a100-hbm3-2x": 1280,
    }
    assert hbm_pims().load("attacc-bank").stacks.total_bytes == 640 * GIB
    assert cpu_servers().load("dgx-cpus").sockets.total_bytes == 2048 * GIB


def test_a_larger_server_is_not_faster():
    server, large = (gpu_servers().load(name) for name in ("dgx-a100-hbm3", "dgx-a100-hbm3-large"))
    different = [key for key, quantity in server.quantities.items() if large.quantities[key].value != quantity.value]
    assert different == ["gpus.memory_bytes"]


@pytest.mark.parametrize(
    ("name", "published", "timed"),
    [
        ("attacc-bank", 9, 10.6),
        ("attacc-bank-group", 3, 2.65),
        ("attacc-buffer", 1, 0.99),
        ("attacc-bank-group-unlimited", 4, 3.97),
    ],
)
def test_peaks_and_what_the_timing_gives(name, published, timed):
    """E1-7: the table of bandwidths, and what the DRAM timing says, over that of a stack's interface."""
    pim = hbm_pims().load(name)
    assert float(pim.stacks.peak_gb_per_s / pim.stacks.stack_gb_per_s) == pytest.approx(published)
    ns = pim.timing.mac_cycles * pim.timing.clock_ps / 1000
    gb_per_s = pim.stacks.channels * pim.units.bytes_per_mac / ns
    assert gb_per_s / float(pim.stacks.stack_gb_per_s) == pytest.approx(timed, rel=0.01)
