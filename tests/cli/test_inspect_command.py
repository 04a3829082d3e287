"""`pim inspect`: what a saved state holds, without its program."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pim_runtime import DpuFaultError, DpuProgram, DpuSet, EngineOptions, Machine, load_profile
from pim_runtime.cli.main import main
from pim_runtime.device import barrier_wait, int16, int32, int64, me

pytestmark = pytest.mark.quick

program = DpuProgram("looked_at", nr_tasklets=3)
counts = program.host("counts", int32, (2, 3), initial=((1, 2, 3), (4, 5, -6)))
table = program.mram_noinit("table", int16, 1000)
which = program.host("which", int64)
gate = program.barrier("gate", 3)


@program.kernel
def stall(t):
    if me(t) >= which.load(t):
        yield barrier_wait(t, gate)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file: three DPUs, of which the last deadlocked."""
    path = tmp_path_factory.mktemp("saved") / "state"
    options = EngineOptions(engine="interpreted")
    with DpuSet(3, machine=Machine(load_profile("upmem-v1a")), options=options, binary=program) as dpus:
        dpus.copy("table", np.arange(3000, dtype=np.int16).reshape(3, 1000))
        dpus.copy("which", np.array([[0], [0], [1]]))
        with pytest.raises(DpuFaultError):
            dpus.exec()
        dpus.checkpoint().save(path, note={"step": "half way"})
        dpus.checkpoint(mram=False).save(path.with_name("no mram"))
    return path


@pytest.fixture
def shown(capsys):
    """`shown(arguments)`: what `pim inspect` prints, with single spaces."""

    def inspect(*arguments):
        assert main(["inspect", *map(str, arguments)]) == 0
        return "\n".join(" ".join(line.split()) for line in capsys.readouterr().out.splitlines())

    return inspect


@pytest.fixture
def refused(capsys):
    """`refused(arguments)`: what it complains of."""

    def inspect(*arguments):
        assert main(["inspect", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    return inspect


def test_the_whole_state(saved, shown):
    text = shown(saved)
    for part in (
        "machine upmem-v1a",
        "a whole set, DPUs 0 to 2",
        "internal, iram, mram, wram",
        'note: {"step": "half way"}',
        "1 load, 2 write, 1 launch",
        "looked_at 3 0-2",
        "counts host int32 2 x 3 0x30 24",
        "table mram_noinit int16 1000 0x0 2,000",
        "barrier 'gate'",
        "tasklet 0 has finished",
    ):
        assert part in text, text


def test_one_dpu(saved, shown):
    text = shown(saved, "--dpu", 2)
    assert "program 'looked_at' with 3 tasklets" in text
    assert "deadlock" in text
    assert "counts int32 1 2 3 4 5 -6" in text
    assert "table int16 2000 2001 2002 2003 2004 2005 2006 2007 ..." in text
    assert "deadlock" not in shown(saved, "--dpu", 1)


def test_elements_of_a_symbol(saved, shown):
    assert "elements 0 to 5 of 6" in shown(saved, "--dpu", 0, "--symbol", "counts")
    text = shown(saved, "--dpu", 1, "--symbol", "table", "--first", "0x10", "--count", 2)
    assert "16 1,016\n17 1,017" in text
    assert "elements 16 to 17 of 1000" in text
    text = shown(saved, "--dpu", 0, "--symbol", "counts", "--as", "uint8", "--first", 20)
    assert "20 250\n21 255\n22 255\n23 255" in text


def test_bytes(saved, shown):
    text = shown(saved, "--dpu", 1, "--mram", 4, "--count", 18)
    assert "0x00000004 ea 03 eb 03 ec 03 ed 03 ee 03 ef 03 f0 03 f1 03 ................" in text
    assert "0x00000014 f2 03" in text
    assert shown(saved, "--dpu", 1, "--wram", 40).count("0x00000") == 16


def test_json(saved, tmp_path, shown):
    shown(saved, "--dpu", 0, "--symbol", "counts", "--json", tmp_path / "report")
    report = json.loads((tmp_path / "report").read_text())
    assert report["command"] == "inspect"
    assert report["sections"][0]["tables"][0]["rows"] == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, -6]]


def test_refusals(saved, refused, tmp_path):
    foreign = tmp_path / "photo"
    foreign.write_bytes(b"\x89PNG" + bytes(200))
    assert "is no checkpoint but a PNG image" in refused(foreign)
    assert "cannot be read: No such file" in refused(tmp_path / "missing")
    assert "of which of the 3 DPUs? Give --dpu N" in refused(saved, "--symbol", "counts")
    assert "--dpu 3: the state has DPUs 0 to 2" in refused(saved, "--dpu", 3)
    assert "has no symbol 'count': it has" in refused(saved, "--dpu", 0, "--symbol", "count")
    assert "--first 6: counts has 6 elements of int32" in refused(saved, "--dpu", 0, "--symbol", "counts", "--first", 6)
    assert "--wram 0x10000: the WRAM ends at 0x10000" in refused(saved, "--dpu", 0, "--wram", 65536)
    assert "saved without MRAM: it has wram" in refused(saved.with_name("no mram"), "--dpu", 0, "--mram", 0)
    for option in (["--as", "int8"], ["--first", 8]):
        assert "give --symbol NAME, too" in refused(saved, "--dpu", 0, "--mram", 0, *option)
    assert "give --symbol, --mram or --wram, too" in refused(saved, "--dpu", 0, "--count", 8)
    with pytest.raises(SystemExit):
        main(["inspect", str(saved), "--mram", "-1"])
