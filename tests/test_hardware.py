"""Profiles: every number has a source, broken profiles are refused, overrides are checked and recorded."""

from __future__ import annotations

import pickle
import re
from decimal import Decimal
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pim_runtime.errors import ProfileError
from pim_runtime.hardware import available_profiles, load_profile

SHIPPED = files("pim_runtime").joinpath("profiles", "upmem-v1a.toml").read_text(encoding="utf-8")
V1A = load_profile("upmem-v1a")


@pytest.fixture
def edited(tmp_path):
    """Loads the shipped profile after one edit of the entry of `key`."""

    def load(key, old, new):
        head, entry = SHIPPED.split(f"[{key}]\n")
        assert old in entry
        path = tmp_path / "mine.toml"
        path.write_text(f"{head}[{key}]\n{entry.replace(old, new, 1)}", encoding="utf-8")
        return load_profile(path)

    return load


# --- the shipped profile --------------------------------------------------------------------------------------------


def test_v1a_is_the_machine_of_the_manual():
    assert (V1A.geometry.ranks, V1A.geometry.dpus_per_rank, V1A.geometry.dpus) == (40, 64, 2560)
    assert (V1A.dpu.mram_bytes, V1A.dpu.wram_bytes, V1A.dpu.mutex_bits) == (64 << 20, 64 << 10, 56)
    assert (V1A.pipeline.clock_mhz, V1A.pipeline.reissue_cycles, V1A.dpu.max_tasklets) == (350, 11, 24)
    assert V1A.dma.read_occupancy.cycles_per_byte == Decimal("0.5458")


@pytest.mark.parametrize("name", available_profiles())
def test_every_value_of_every_profile_has_a_unit_a_provenance_and_a_source(name):
    for quantity in load_profile(name).provenance:
        assert quantity.unit, quantity.key
        assert len(quantity.source) > 10, quantity.key
        assert quantity.provenance in ("measured", "published", "derived", "assumed"), quantity.key


def test_provenance_lists_every_value_once():
    keys = [quantity.key for quantity in V1A.provenance]
    assert sorted(keys) == sorted(re.findall(r"^\[(.+)\]$", SHIPPED, re.MULTILINE))
    assert len(set(keys)) == len(keys)
    assert next(q.value for q in V1A.provenance if q.key == "dma.write_stall.setup_cycles") == 34


def test_a_machine_is_a_value():
    assert load_profile("upmem-v1a") == V1A
    assert pickle.loads(pickle.dumps(V1A)) == V1A
    assert len({V1A, load_profile("upmem-v1a")}) == 1


# --- refusals -------------------------------------------------------------------------------------------------------

CLOCK_SOURCE = 'source = "SDK manual, chip version v1A; PrIM, system table; the slopes of the cnm runs imply 349.4 MHz"'


@pytest.mark.parametrize(
    ("key", "old", "new", "rule"),
    [
        ("pipeline.clock_mhz", CLOCK_SOURCE, 'source = "  "', "every value names where it comes from"),
        ("pipeline.clock_mhz", CLOCK_SOURCE, "source = 2021", "every value names where it comes from"),
        ("pipeline.clock_mhz", CLOCK_SOURCE, "", "has no source"),
        ("pipeline.clock_mhz", 'unit = "MHz"\n', "", "has no unit"),
        ("pipeline.clock_mhz", 'unit = "MHz"', 'unit = "GHz"', "the unit of this key is 'MHz'"),
        ("pipeline.clock_mhz", 'provenance = "published"', 'provenance = "guessed"', "not one of measured, published"),
        ("pipeline.clock_mhz", 'unit = "MHz"', 'unit = "MHz"\nbound = 1', "unknown key 'bound'"),
        ("pipeline.clock_mhz", "value = 350", "value = 0", "at least 1 MHz"),
        ("pipeline.clock_mhz", "value = 350", "value = 350.0", "must be an integer, not a decimal"),
        ("pipeline.clock_mhz", "value = 350", "value = true", "must be an integer, not a boolean"),
        ("pipeline.clock_mhz", "value = 350", 'value = "350"', "must be an integer, not a string"),
        ("geometry.chips_per_rank", "value = 8", "value = 0", "at least 1 chips"),
        ("dpu.mram_bytes", "value = 67108864", "value = 67108860", "multiple of 8 bytes"),
        ("dpu.reserved_atomic_bits", "value = 200", "value = 257", "must not exceed dpu.atomic_bits = 256"),
        ("dpu.max_tasklets", "value = 24", "value = 32", "must reach from 1 tasklet to dpu.max_tasklets = 32"),
        ("dma.min_bytes", "value = 8", "value = 12", "multiple of dma.granularity_bytes = 8"),
        ("dma.max_bytes", "value = 2048", "value = 0", "at least 1 bytes"),
        ("dma.read_stall.cycles_per_byte", "value = 0.535", "value = 0.53501", "at most 4 decimals"),
        ("dma.read_stall.cycles_per_byte", "value = 0.535", "value = -0.5", "finite and not negative"),
        ("dma.read_stall.cycles_per_byte", "value = 0.535", "value = inf", "finite and not negative"),
        ("dma.read_stall.cycles_per_byte", "value = 0.535", "value = nan", "finite and not negative"),
        ("dma.read_stall.cycles_per_byte", "value = 0.535", "value = []", "must be a number, not a list"),
        ("sync.barrier", "[1, 110], [2, 265]", "[2, 265], [1, 110]", "must be sorted"),
        ("sync.barrier", "[1, 110], ", "", "must reach from 1 tasklet"),
        ("sync.barrier", "[1, 110]", "[1]", "list of [x, y] pairs"),
        ("transfer.push.call_times", "0.01624", "0.0", "finite and positive"),
        ("transfer.push.call_times", "0.01624", "0.0162400001", "at most 9 decimals"),
        ("transfer.push.call_times", "0.01624", "9.0", "no time below the first of its row"),
        ("transfer.push.call_times", "8.753", "1.102", "a last one above the one before it"),
        ("transfer.push.call_times", "[     1, 0.01624", "[     2, 0.01624", "rising DPUs that start at 1"),
        ("transfer.push.call_times", "[     8, 0.01665", "[    64, 0.01665", "rising DPUs that start at 1"),
        ("transfer.push.call_times", "   8,     512,", "   8,       8,", "two rising sizes"),
        ("transfer.push.call_times", '"DPUs"', '"ranks"', 'must start with a row ["DPUs", bytes per DPU'),
        ("transfer.push.call_times", "0.01624, ", "", "all rows must be as long"),
        ("power.dpu_watts", "value = 0.15", "value = 0.2", "must not exceed power.dpu_watts_upper"),
    ],
)
def test_a_broken_entry_is_refused_by_file_key_and_rule(edited, key, old, new, rule):
    with pytest.raises(ProfileError, match=r"mine\.toml") as error:
        edited(key, old, new)
    message = str(error.value)
    assert rule in message
    assert key in message or "sync.barrier" in message


def test_a_bare_value_is_refused(tmp_path):
    path = tmp_path / "bare.toml"
    without_clock = re.sub(r"\[pipeline\.clock_mhz\]\n(.+\n)+", "", SHIPPED)
    path.write_text(f"pipeline.clock_mhz = 350\n{without_clock}", encoding="utf-8")
    with pytest.raises(ProfileError, match="a value without unit, provenance and source is refused"):
        load_profile(path)


def test_a_missing_key_is_refused(tmp_path):
    path = tmp_path / "short.toml"
    path.write_text(re.sub(r"\[pipeline\.clock_mhz\]\n(.+\n)+", "", SHIPPED), encoding="utf-8")
    with pytest.raises(ProfileError, match=r"short\.toml, pipeline\.clock_mhz: is missing \(1 missing in all\)"):
        load_profile(path)


def test_an_unknown_key_is_refused_with_the_nearest_one(edited):
    with pytest.raises(ProfileError, match=r"pipeline\.clock: .* Did you mean pipeline\.clock_mhz\?"):
        edited("geometry.ranks", "value = 40", "value = 40\n[pipeline.clock]\nvalue = 1")


@pytest.mark.parametrize("name", ["upmem", "upmem-v1a.json", "", "../profiles/upmem-v1a"])
def test_an_unknown_profile_is_refused_with_the_known_ones(name):
    with pytest.raises(ProfileError, match=r"Use one of .*upmem-v1a"):
        load_profile(name)


def test_a_file_that_is_absent_or_not_toml_is_refused(tmp_path):
    with pytest.raises(ProfileError, match="cannot be read as TOML"):
        load_profile(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("[pipeline", encoding="utf-8")
    with pytest.raises(ProfileError, match="cannot be read as TOML"):
        load_profile(str(tmp_path / "broken.toml"))


# --- overrides ------------------------------------------------------------------------------------------------------


def test_an_override_changes_one_value_and_says_so():
    faster = V1A.with_values({"pipeline.clock_mhz": 450})
    assert (faster.pipeline.clock_mhz, V1A.pipeline.clock_mhz) == (450, 350)
    changed = [after for before, after in zip(V1A.provenance, faster.provenance, strict=True) if before != after]
    assert [(q.key, q.value, q.unit, q.provenance, q.source) for q in changed] == [
        ("pipeline.clock_mhz", 450, "MHz", "assumed", "set by the user")
    ]
    assert faster.with_values({"pipeline.clock_mhz": 350}) != V1A  # the same value, but no longer the published one


def test_an_override_means_the_decimal_that_was_written():
    assert V1A.with_values({"dma.read_stall.cycles_per_byte": 0.1}).dma.read_stall.cycles_per_byte == Decimal("0.1")


def test_values_that_agree_only_together_are_set_together():
    curve = [[1, 110], [32, 9000]]
    wider = V1A.with_values({"dpu.max_tasklets": 32, "sync.barrier": curve})
    assert wider.sync.barrier == ((1, 110), (32, 9000))
    with pytest.raises(ProfileError, match=r"sync\.barrier"):
        V1A.with_values({"dpu.max_tasklets": 32})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("pipeline.clok_mhz", 1, "Did you mean pipeline.clock_mhz"),
        ("name", "x", "no value of a machine has this key"),
        ("geometry.ranks", 0, "at least 1 ranks"),
        ("geometry.ranks", 1.5, "must be an integer, not a decimal"),
    ],
)
def test_an_override_obeys_the_rules_of_a_profile(key, value, message):
    with pytest.raises(ProfileError, match=message):
        V1A.with_values({key: value})


def test_no_values_change_nothing():
    assert V1A.with_values({}) == V1A


@given(st.integers(0, 10**9))
def test_every_ten_thousandth_of_a_cycle_is_exact(ticks):
    line = V1A.with_values({"dma.read_stall.setup_cycles": Decimal(ticks).scaleb(-4)}).dma.read_stall
    assert line.setup_cycles * 10_000 == ticks
