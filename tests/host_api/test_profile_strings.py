"""SDK profile strings (upmem-sdk 2.9): accepted and refused as the SDK does, without effect on the machine."""

from __future__ import annotations

import pytest

from pim_runtime import DpuSet
from pim_runtime.api import dpu_alloc, dpu_alloc_ranks
from pim_runtime.errors import DpuErrorCode, InvalidProfileError
from pim_runtime.profile_string import check_profile_string

pytestmark = pytest.mark.quick

PUBLIC = [
    None, "", "backend=simulator", "backend=hw", "backend=simulator,nr_tasklets=16", "nrThreadPerPool=8",
    "nrThreadsPerRank=1", "sgXferEnable=true", "nrJobsPerRank=256,sgXferEnable=true",
    "cycleAccurate=true,nrJobsPerRank=64", "nrJobPerRank=64,dispatchOnAllRanks=true,cycleAccurate=true",
]  # fmt: skip


@pytest.mark.parametrize("profile", PUBLIC)
def test_profiles_of_public_programs(machine, interpreted, profile):
    with dpu_alloc(1, profile, machine=machine, options=interpreted):
        pass
    with dpu_alloc_ranks(1, profile, machine=machine, options=interpreted):
        pass
    with DpuSet(1, profile=profile, machine=machine, options=interpreted) as dpus:
        assert len(dpus) == 1


@pytest.mark.parametrize("backend", ["simulator", "cas", "model", "hw", "spi", "backup_spi", "scenario"])
def test_backends(backend):
    assert check_profile_string(f"backend={backend}") == {"backend": backend}


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ("simulator", "'simulator' is not key=value"),
        ("backend=hw,sgXferEnable", "'sgXferEnable' is not key=value"),
        ("backend=gpu", "backend 'gpu' is not one of simulator, cas, model, hw"),
        ("backend=", "backend '' is not one of"),
        ("nrJobsPerRank=many", "nrJobsPerRank=many is no number"),
        ("chipId=", "chipId= is no number"),
    ],
)
def test_invalid_profiles(machine, interpreted, profile, says):
    with pytest.raises(InvalidProfileError, match=f"^invalid profile: {says}") as caught:
        dpu_alloc(1, profile, machine=machine, options=interpreted)
    assert caught.value.code is DpuErrorCode.DPU_ERR_INVALID_PROFILE
    assert machine.free_ranks == 40


def test_separators_and_precedence():
    assert check_profile_string("backend=hw&a=1,b=2,", None, "", "a=3,backend=simulator") == {
        "backend": "simulator", "a": "3", "b": "2",
    }  # fmt: skip
    assert check_profile_string("chipId=0x42") == {"chipId": "0x42"}
    assert check_profile_string("key=a=b") == {"key": "a=b"}


def test_the_environment_is_joined_around_the_argument(machine, interpreted, monkeypatch):
    monkeypatch.setenv("UPMEM_PROFILE_BASE", "backend=gpu")
    with pytest.raises(InvalidProfileError, match="backend 'gpu'"):
        dpu_alloc(1, machine=machine, options=interpreted)
    with dpu_alloc(1, "backend=simulator", machine=machine, options=interpreted):
        pass
    monkeypatch.setenv("UPMEM_PROFILE", "nonsense")
    with pytest.raises(InvalidProfileError, match="'nonsense' is not key=value"):
        dpu_alloc(1, "backend=simulator", machine=machine, options=interpreted)
