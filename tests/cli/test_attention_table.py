"""`pim attention --table`: three kinds of numbers side by side, each under its own origin."""

from __future__ import annotations

import json

import pytest

from host.attention import published, tables
from host.attention.workload import Method
from pim_runtime.cli.main import main

SMALLEST = ("--table", "--dtype", "int8", "--batch", "2")


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim attention` and gives (exit code, its JSON, standard output)."""

    def run(*arguments):
        file = tmp_path / "report.json"
        code = main(["attention", *arguments, "--json", str(file)])
        output = capsys.readouterr()
        assert output.err == ""
        return code, json.loads(file.read_text()), output.out

    return run


@pytest.fixture
def small_shape(monkeypatch):
    """A workload of the published kind, two tokens long, so that many cells take little time."""

    def workload(dtype, batch):
        method = Method(dtype=dtype, norm="div_d", acc="wrap")
        return tables.synthetic_workload(method, batch=batch, heads=1, tokens=2, dim=8, data="ones", seed=0)

    monkeypatch.setattr(tables, "published_workload", workload)
    monkeypatch.setattr(tables, "local_thread_counts", lambda: (1, 2, 3))


def section(content, title):
    (found,) = [part for part in content["sections"] if part["title"] == title]
    return found


def columns(table):
    """{(name, origin): cells}."""
    return {
        (column["name"], column["origin"]): [row[index] for row in table["rows"]]
        for index, column in enumerate(table["columns"])
    }


def test_a_cell_of_the_published_shape(report):
    """Runs 64 DPUs with 4096 tokens each, and the same on this computer."""
    code, content, text = report(*SMALLEST)
    assert (code, content["passed"]) == (0, True)
    assert [part["title"] for part in content["sections"]] == ["int8", "About these numbers"]
    time, filling, gain, rate = map(columns, section(content, "int8")["tables"])
    assert time["batch", None] == [2]
    assert time["DPUs used", "exact"] == [64]
    assert time["CPU x 1", "published"] == [9792]
    assert time["CPU x 8", "published"] == [5016]
    assert time["UPMEM", "published"] == [28759]
    (modelled,) = time["DPUs", "modelled"]
    assert 1e4 < modelled < 1e5
    assert time["DPUs against UPMEM", "modelled"] == [pytest.approx(100 * (modelled / 28759 - 1))]
    (here,) = time["CPU here x 1", "measured here"]
    assert here > 0
    (split_us,) = filling["DPUs when split", "modelled"]
    assert filling["DPUs used", "exact"] == [64]
    assert filling["when split", "exact"] == [1024]
    assert filling["DPUs", "modelled"] == [modelled]
    assert filling["gain", "modelled"] == [modelled / split_us]
    assert filling["published CPU / DPUs when split", "modelled"] == [5016 / split_us]
    assert gain["published CPU / UPMEM", "published"] == [pytest.approx(0.1744, rel=1e-3)]
    assert gain["published CPU / DPUs", "modelled"] == [5016 / modelled]
    best = min(cells[0] for (name, _), cells in time.items() if name.startswith("CPU here"))
    assert gain["CPU here / DPUs", "modelled"] == [best / modelled]
    assert rate["K and V", "exact"] == [2**26]
    assert rate["UPMEM", "published"] == [2**26 / 28759e3]
    assert rate["best CPU here", "measured here"] == [2**26 / (best * 1e3)]
    assert "PASS  int8: bit-exact with the integer reference" in text
    for error in ("E0-3", "E0-4", "E0-5", "E0-6", "E0-8"):
        assert f"\n{error}  wrong: " in text
    assert "No published measurement splits heads, so nothing confirms it." in text


def test_splitting_heads_over_the_machine_is_a_prediction_of_5_ms(report):
    """C0-28: int32, batch 2, 16 parts per head on 1,024 DPUs.

    Its formula says 4.0 ms, as it divides the whole kernel by 16. Part of the modelled kernel gets no shorter by a
    split: one tasklet adds up what the workers of its DPU have summed.
    """
    code, content, text = report("--table", "--dtype", "int32", "--batch", "2", "--local-cpu", "off")
    assert code == 0
    filling = columns(section(content, "int32")["tables"][1])
    assert filling["when split", "exact"] == [1024]
    (split_us,) = filling["DPUs when split", "modelled"]
    assert 1.05 * 4000 < split_us == pytest.approx(4986, rel=0.05)
    assert filling["published CPU / DPUs when split", "modelled"] == [17562 / split_us]
    assert "Filling the machine: heads split by tokens over 1,024 DPUs" in text


def test_fewer_dpus_leave_fewer_to_fill(report, small_shape):
    _, content, text = report("--table", "--dtype", "int8", "--batch", "4", "--dpus", "130", "--local-cpu", "off")
    filling = columns(section(content, "int8")["tables"][1])
    assert filling["DPUs used", "exact"] == [4]
    assert filling["when split", "exact"] == [128]
    assert "heads split by tokens over 130 DPUs" in text


def test_all_dtypes_and_batches(report, small_shape):
    code, content, _ = report("--table")
    assert code == 0
    assert [part["title"] for part in content["sections"]] == ["int32", "int16", "int8", "About these numbers"]
    for dtype, crossover in (("int32", 8), ("int16", 8), ("int8", 16)):
        part = section(content, dtype)
        time, filling, gain, _ = map(columns, part["tables"])
        assert time["batch", None] == time["DPUs used", "exact"] == [2, 4, 8, 16, 32]
        assert {name for name, origin in time if origin == "measured here"} == {f"CPU here x {n}" for n in (1, 2, 3)}
        assert gain["published CPU / UPMEM", "published"] == [
            published.speedup(dtype, batch) for batch in (2, 4, 8, 16, 32)
        ]
        values = {value["name"]: (value["value"], value["origin"]) for value in part["values"]}
        assert values["first batch that wins, UPMEM"] == (crossover, "published")
        assert values["first batch that wins, DPUs"] == (2, "modelled")  # two tokens are no work
        assert filling["when split", "exact"] == [1024] * 5
        # Per batch, one output of 8 elements from the DPUs, whole and split, and from each of three thread counts.
        assert f"of {(2 + 4 + 8 + 16 + 32) * 8 * 5:,} elements" in part["checks"][0]["detail"]


def test_without_the_local_cpu_nothing_is_measured(report, small_shape):
    _, content, text = report("--table", "--dtype", "int16", "--batch", "8", "--local-cpu", "off")
    time, _, gain, rate = map(columns, section(content, "int16")["tables"])
    assert not [name for name, origin in time if origin == "measured here"]
    assert gain["CPU here / DPUs", "modelled"] == rate["best CPU here", "measured here"] == [None]
    assert "128 of 128 elements" in text


def test_every_number_of_a_table_has_an_origin(report, small_shape):
    _, content, _ = report("--table", "--dtype", "int8")
    for table in section(content, "int8")["tables"]:
        assert [column["name"] for column in table["columns"] if column["origin"] is None] == ["batch"]


def test_a_wrong_element_fails(report, small_shape, monkeypatch):
    exact = tables.cpu_div_d

    def off_by_one(q, k, v, **options):
        outputs = exact(q, k, v, **options)
        outputs[0, 0, 0] += 1
        return outputs

    monkeypatch.setattr(tables, "cpu_div_d", off_by_one)
    code, content, text = report(*SMALLEST)
    assert (code, content["passed"]) == (1, False)
    assert "FAIL  int8: bit-exact with the integer reference: 77 of 80 elements" in text


def test_thread_counts_are_powers_of_two_and_all_cores(monkeypatch):
    for cores, counts in ((1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))):
        monkeypatch.setattr(tables.os, "sched_getaffinity", lambda process, cores=cores: set(range(cores)))
        assert tables.local_thread_counts() == counts


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--batch", "3"), "--batch 3: published are 2, 4, 8, 16, 32"),
        (("--batch", "0"), "--batch 0: published are 2, 4, 8, 16, 32"),
        (("--kv", "a.npz"), "--table has its own data, all ones: leave out --kv"),
        (("--norm", "softmax"), "--norm softmax: the published program has --norm div_d"),
        (("--acc", "wide"), "--acc wide: the published program has --acc wrap"),
        (("--len", "128"), "--len 128: the published program has --len 4096"),
        (("--data", "random"), "--data random: the published program has --data ones"),
        (("--kv-heads", "8"), "--kv-heads 8: the published program has --kv-heads 32"),
        (("--window", "64"), "--window 64: the published program has no such choice"),
        (("--biases", "alibi"), "--biases alibi: the published program has no such choice"),
        (("--split", "2"), "--split 2: the published program has no such choice"),
        (("--layout", "interleave"), "--layout interleave: the published program has no such choice"),
        (("--seed", "3"), "--seed 3: the published program has no such choice"),
        (("--paging", "paged"), "--paging paged: the published program has no such choice"),
        (("--exponential", "poly2"), "--exponential poly2: the published program has no such choice"),
        (("--dtype", "int4"), "--dtype int4: published are int32, int16, int8"),
        (("--dpus", "1023"), "--table needs 1024 DPUs, --dpus allows 1023: give --batch, or allow more"),
        (("--profile", "upmem-v9"), "no hardware profile 'upmem-v9'"),
    ],
)
def test_arguments_that_do_not_belong_to_the_table(capsys, arguments, message):
    assert main(["attention", "--table", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("pim attention: ")
    assert message in output.err
    assert output.err.count("\n") == 1


@pytest.mark.quick
def test_the_local_cpu_is_on_or_off(capsys):
    with pytest.raises(SystemExit):
        main(["attention", "--table", "--local-cpu", "maybe"])
    assert "--local-cpu: invalid choice: 'maybe'" in capsys.readouterr().err
