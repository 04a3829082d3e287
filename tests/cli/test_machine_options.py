"""`--profile` and `--set`: which machine they choose, how reports name it, and what is refused."""

from __future__ import annotations

import argparse
from decimal import Decimal

import pytest

from pim_runtime.cli.machine_options import add_machine_options, chosen_hardware, machine_name
from pim_runtime.cli.main import main
from pim_runtime.errors import ProfileError
from pim_runtime.hardware import load_profile

pytestmark = pytest.mark.quick


def chosen(*argv):
    parser = argparse.ArgumentParser()
    add_machine_options(parser)
    return chosen_hardware(parser.parse_args(argv))


def test_without_options_it_is_the_default_machine():
    assert chosen() == load_profile("upmem-v1a")
    assert machine_name(chosen()) == "profile upmem-v1a"


def test_a_profile_by_name_and_by_file(tmp_path):
    assert chosen("--profile", "prim-2021") == load_profile("prim-2021")
    path = tmp_path / "mine.toml"
    path.write_text('base = "derf-2025"\n', encoding="utf-8")
    assert chosen("--profile", str(path)).transfer == load_profile("derf-2025").transfer


def test_values_by_full_key_by_the_end_of_a_key_and_as_lists():
    hardware = chosen(
        *("--set", "pipeline.clock_mhz=450"),
        *("--set", "read_stall.setup_cycles = 60.5"),
        *("--set", "barrier=[[1, 100], [24, 5000]]"),
        *("--set", "us_per_tasklet=1e0"),
    )
    assert hardware.pipeline.clock_mhz == 450
    assert hardware.dma.read_stall.setup_cycles == Decimal("60.5")
    assert hardware.sync.barrier == ((1, 100), (24, 5000))
    assert hardware.launch.us_per_tasklet == 1
    assert [change.key for change in hardware.changes] == [
        "pipeline.clock_mhz",
        "dma.read_stall.setup_cycles",
        "sync.barrier",
        "launch.us_per_tasklet",
    ]


def test_the_end_of_a_key_is_one_of_this_machine():
    assert chosen("--set", "setup_us=50").launch.setup_us == 50  # the links of this machine are tables
    with pytest.raises(ValueError, match=r"setup_us: is the end of launch\.setup_us, transfer\.push\.setup_us, "):
        chosen("--profile", "derf-2025", "--set", "setup_us=50")
    assert chosen("--profile", "derf-2025", "--set", "push.setup_us=50").transfer.push.setup_us == 50


def test_the_last_of_equal_keys_counts():
    assert chosen("--set", "clock_mhz=400", "--set", "pipeline.clock_mhz=450").pipeline.clock_mhz == 450


def test_reports_name_what_was_set():
    hardware = chosen("--profile", "cnm-2025", "--set", "clock_mhz=450", "--set", "launch.setup_us=10.5")
    name = "profile cnm-2025 with pipeline.clock_mhz = 450 MHz, launch.setup_us = 10.5 us"
    assert machine_name(hardware) == name


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("clok_mhz=1", ValueError, r"clok_mhz: no value of upmem-v1a has this key. Did you mean pipeline\.clock_mhz"),
        ("pipline.clock_mhz=1", ValueError, r"Did you mean pipeline\.clock_mhz"),
        ("zzzzzz=1", ValueError, "`pim info --profile NAME` has the keys"),
        ("mhz=1", ValueError, "no value of upmem-v1a has this key"),
        ("setup_cycles=1", ValueError, r"is the end of dma\.read_occupancy\.setup_cycles, .* Write more of the key"),
        ("clock_mhz", ValueError, "has no value. Write --set KEY=VALUE"),
        ("clock_mhz=", ValueError, "is not a value of a profile"),
        ("clock_mhz=fast", ValueError, "'fast' is not a value of a profile"),
        ("clock_mhz=350.5", ProfileError, r"pipeline\.clock_mhz: value 350\.5 .* must be an integer, not a decimal"),
        ("clock_mhz='350'", ProfileError, "must be an integer, not a string"),
        ("clock_mhz=0", ProfileError, "at least 1 MHz"),
        ("transfer.push.base_gb_per_s=9", ProfileError, r"transfer\.push\.setup_us: is missing"),
    ],
)
def test_what_is_no_value_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        chosen("--set", value)


def test_info_shows_what_was_set(capsys):
    assert main(["info", "--profile", "upmem-v1a", "--set", "clock_mhz=450"]) == 0
    text = capsys.readouterr().out
    assert "Hardware profile upmem-v1a with pipeline.clock_mhz = 450 MHz" in text
    (line,) = [line for line in text.splitlines() if line.strip().startswith("pipeline.clock_mhz")]
    assert line.split()[1:4] == ["450", "MHz", "assumed"]


def test_info_shows_the_tables_of_host_calls(capsys):
    assert main(["info", "--profile", "derf-2025"]) == 0
    text = capsys.readouterr().out
    assert text.count("Time of one call by DPUs and bytes per DPU, in ms: transfer.broadcast.call_times") == 1
    (line,) = [line for line in text.splitlines() if line.split()[:1] == ["2,048"]]
    assert line.split()[1:] == ["0.1525", "0.1831", "0.1727", "0.243", "0.5556", "1.806", "6.808", "26.82", "213.6"]


def test_info_sets_values_of_a_profile_only(capsys):
    assert main(["info", "--set", "clock_mhz=450"]) == 2
    assert "Give --profile NAME, too" in capsys.readouterr().err
