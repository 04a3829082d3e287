"""Profiles that state what differs from a base, the machines that ship, and links of two kinds."""

from __future__ import annotations

from decimal import Decimal
from importlib.resources import files

import pytest

from pim_runtime.errors import ProfileError
from pim_runtime.hardware import LinkLine, LinkTable, available_profiles, load_profile
from pim_runtime.quantities import CallTimes

pytestmark = pytest.mark.quick

SHIPPED = files("pim_runtime").joinpath("profiles", "upmem-v1a.toml").read_text(encoding="utf-8")
V1A = load_profile("upmem-v1a")


@pytest.mark.parametrize(
    ("name", "ranks", "kinds", "launch_us"),
    [
        ("cnm-2025", 32, (LinkTable, LinkTable, LinkTable), 45),
        ("derf-2025", 40, (LinkLine, LinkLine, LinkTable), 45),
        ("prim-2021", 40, (LinkLine, LinkLine, LinkLine), 100),
        ("seed-2023", 16, (LinkLine, LinkLine, LinkLine), 100),
        ("upmem-v1a", 40, (LinkTable, LinkTable, LinkTable), 45),
    ],
)
def test_the_shipped_machines(name, ranks, kinds, launch_us):
    machine = load_profile(name)
    transfer = machine.transfer
    assert (machine.name, machine.geometry.ranks, machine.launch.setup_us) == (name, ranks, launch_us)
    assert tuple(map(type, (transfer.push, transfer.pull, transfer.broadcast))) == kinds
    assert (machine.dpu, machine.pipeline, machine.dma, machine.sync) == (V1A.dpu, V1A.pipeline, V1A.dma, V1A.sync)


def test_every_shipped_machine_is_tested():
    assert available_profiles() == ["cnm-2025", "derf-2025", "prim-2021", "seed-2023", "upmem-v1a"]


def entry(key, value, unit):
    return f'[{key}]\nvalue = {value}\nunit = "{unit}"\nprovenance = "assumed"\nsource = "made up for a test"\n'


@pytest.fixture
def written(tmp_path):
    """Writes a profile and gives its path."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_profile_states_what_differs_from_its_base(written):
    machine = load_profile(written("fast.toml", 'base = "upmem-v1a"\n' + entry("pipeline.clock_mhz", 400, "MHz")))
    assert (machine.name, machine.pipeline.clock_mhz) == ("fast", 400)
    changed = [after.key for before, after in zip(V1A.provenance, machine.provenance, strict=True) if before != after]
    assert changed == ["pipeline.clock_mhz"]
    assert machine.changes == ()  # stated by a profile, not set by a user


def test_a_base_may_have_a_base_and_lie_beside_its_profile(written):
    written("sub/fast.toml", 'base = "derf-2025"\n' + entry("pipeline.clock_mhz", 400, "MHz"))
    machine = load_profile(written("small.toml", 'base = "sub/fast.toml"\n' + entry("geometry.ranks", 2, "ranks")))
    assert (machine.geometry.ranks, machine.pipeline.clock_mhz) == (2, 400)
    assert machine.transfer == load_profile("derf-2025").transfer


LINE = {
    "setup_us": (1, "us"),
    "setup_us_per_rank": (2, "us"),
    "base_gb_per_s": (3, "GB/s"),
    "gb_per_s_per_rank": (4, "GB/s"),
    "knee_ranks": (5, "ranks"),
    "one_dpu_gb_per_s": (6, "GB/s"),
}


def line_entries(prefix, names=tuple(LINE)):
    return "".join(entry(f"{prefix}.{name}", *LINE[name]) for name in names)


def test_a_link_of_one_kind_takes_nothing_of_a_base_of_the_other(written):
    machine = load_profile(written("line.toml", 'base = "upmem-v1a"\n' + line_entries("transfer.pull")))
    assert machine.transfer.pull == LinkLine(**{name: Decimal(value) for name, (value, _) in LINE.items()})
    assert machine.transfer.push == V1A.transfer.push
    assert "transfer.pull.call_times" not in machine.quantities
    keys = [quantity.key for quantity in machine.provenance if quantity.key.startswith("transfer.pull.")]
    assert keys == [f"transfer.pull.{name}" for name in LINE]


def test_a_link_that_is_partly_of_another_kind_is_refused(written):
    names = [name for name in LINE if name != "knee_ranks"]
    path = written("part.toml", 'base = "upmem-v1a"\n' + line_entries("transfer.pull", names))
    with pytest.raises(ProfileError, match=r"part\.toml, transfer\.pull\.knee_ranks: is missing \(1 missing in all\)"):
        load_profile(path)


def test_a_link_of_two_kinds_is_refused(written):
    path = written("both.toml", SHIPPED + line_entries("transfer.pull"))
    with pytest.raises(ProfileError, match=r"both\.toml, transfer\.pull: states .*call_times.* exclude each other"):
        load_profile(path)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "b"), ("a", "b", "c")])
def test_a_profile_among_its_own_bases_is_refused(written, names):
    for name, base in zip(names, (*names[1:], names[0]), strict=True):
        path = written(f"{name}.toml", f'base = "{base}.toml"\n')
    with pytest.raises(ProfileError, match="is among its own bases"):
        load_profile(path)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ('"upmem-v9"', "no hardware profile 'upmem-v9'"),
        ('"absent.toml"', r"absent\.toml: cannot be read as TOML"),
        ("1", "base = 1: is not a name"),
        ('["upmem-v1a"]', "is not a name"),
    ],
)
def test_a_base_that_is_none_is_refused(written, base, message):
    with pytest.raises(ProfileError, match=message):
        load_profile(written("mine.toml", f"base = {base}\n"))


def test_a_link_changes_its_kind_with_all_values_of_the_other():
    values = {f"transfer.push.{name}": value for name, (value, _) in LINE.items()}
    line = V1A.with_values(values)
    assert line.transfer.push == LinkLine(**{name: Decimal(value) for name, (value, _) in LINE.items()})
    assert [change.key for change in line.changes] == list(values)
    with pytest.raises(ProfileError, match=r"transfer\.push\.setup_us: is missing \(5 missing in all\)"):
        V1A.with_values({"transfer.push.base_gb_per_s": 9})
    with pytest.raises(ProfileError, match="exclude each other"):
        line.with_values({**values, "transfer.push.call_times": V1A.transfer.push.call_times})
    back = line.with_values({"transfer.push.call_times": [["DPUs", 8, 16], [1, 0.5, 1]]})
    assert back.transfer.push.call_times == CallTimes((1,), (8, 16), ((Decimal("0.5"), Decimal(1)),))
