"""`pim arith` as a user meets it: document 3's numbers by default, any model, pictures, one line for a mistake."""

from __future__ import annotations

import csv
import json
from functools import partial

import pytest

from host.llm import attention_memory
from pim_runtime import EngineOptions
from pim_runtime.cli.main import main

pytestmark = pytest.mark.quick


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim arith` and gives the sections of its JSON by title."""

    def run(*arguments):
        file = tmp_path / "report.json"
        assert main(["arith", *arguments, "--json", str(file)]) == 0
        assert capsys.readouterr().err == ""
        return {section["title"]: section for section in json.loads(file.read_text())["sections"]}

    return run


def rows(section, index=0):
    """Rows of a table by their first cell, as {column: cell}."""
    table = section["tables"][index]
    names = [column["name"] for column in table["columns"]]
    return {row[0]: dict(zip(names, row, strict=True)) for row in table["rows"]}


def values(section):
    return {value["name"]: value["value"] for value in section["values"]}


def text(sections):
    return "\n".join(note for section in sections.values() for note in section["notes"])


# --- weights ---------------------------------------------------------------------------------------------------------


def test_weights_of_document_3_with_its_errors(report):
    sections = report("weights")
    weights, caches = rows(sections["Weights"]), rows(sections["KV caches"])
    layers, printed = weights["all layers"], weights["the formula of document 3, which is of one layer"]
    assert (layers["bytes"], layers["GiB"], layers["document 3 says"]) == (347_892_350_976, 324.0, "325 GB")
    assert (printed["bytes"], printed["errors"]) == (3_623_878_656, "E3-1 E3-7")
    assert weights["all layers by that formula"]["bytes"] == layers["bytes"]
    assert weights["layers with these"]["GiB"] == pytest.approx(325.15, rel=1e-5)
    peak = caches["512 requests, at their peak"]
    assert (peak["bytes"], peak["document 3 says"], peak["errors"]) == (1_314_259_992_576, "1.2 TB", "E3-4")
    ratios = rows(sections["KV caches"], 1)
    assert ratios["layers"]["times"] == pytest.approx(3.7778, rel=1e-4)
    assert ratios["layers"]["document 3 says"] == "3.8x"
    for error in ("E3-1  wrong", "E3-4  wrong", "E3-7  wrong", "1.314 TB, which are 1.195 TiB"):
        assert error in text(sections)


def test_other_loads_and_bits_have_no_number_of_the_document(report):
    sections = report("weights", "--bits", "4", "--kv-bits", "8", "--batch", "1")
    weights, caches = rows(sections["Weights"]), rows(sections["KV caches"])
    assert weights["all layers"]["bytes"] == 347_892_350_976 // 4
    assert caches["a token"]["bytes"] == 4_718_592 // 2
    said = [row["document 3 says"] for row in (*weights.values(), *caches.values())]
    assert set(said) == {None}


@pytest.fixture
def small_model(tmp_path):
    """The path of a config.json: 2 layers of 64, 8 heads on 4 KV heads of 8."""
    entries = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4}
    entries |= {"model_type": "llama", "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 32}
    (tmp_path / "small.json").write_text(json.dumps(entries))
    return str(tmp_path / "small.json")


def test_weights_of_a_config_file(report, small_model):
    sections = report("weights", "--model", small_model, "--prompt", "30", "--new", "3")
    weights = rows(sections["Weights"])
    assert weights["attention of a layer"]["elements"] == 2 * 64 * 8 * (8 + 4)
    assert weights["feed-forward of a layer"]["elements"] == 3 * 64 * 96
    assert weights["output matrix"]["elements"] == 6400
    assert weights["norms"]["elements"] == 5 * 64
    assert " 33 tokens is longer than " in text(sections)
    assert "was trained for: 32" in text(sections)


def test_the_formulas_of_document_3_miss_gates_and_shared_heads(report):
    sections = report("weights", "--model", "llama2-70b")
    weights, caches = rows(sections["Weights"]), rows(sections["KV caches"])
    assert weights["all layers by that formula"]["elements"] == 80 * (4 * 8192**2 + 2 * 8192 * 28672)
    assert weights["all layers"]["elements"] == 80 * (2 * 8192 * (8192 + 1024) + 3 * 8192 * 28672)
    assert caches["a token by the formula of document 3"]["elements"] == 8 * caches["a token"]["elements"]


def test_a_model_without_a_vocabulary_has_its_layers(report):
    sections = report("weights", "--model", "mt-530b")
    assert "embedding is left out" in text(sections)
    assert rows(sections["Weights"])["all layers"]["elements"] == 528_482_304_000
    assert list(rows(sections["KV caches"], 1)) == ["layers"]


# --- roofline --------------------------------------------------------------------------------------------------------


def test_the_roofline_of_document_3(report):
    sections = report("roofline")
    balance = values(sections["Balance"])
    assert balance["crossover at 16 bits"] == pytest.approx(200.643, rel=1e-5)
    assert (balance["the same at 1500 GB/s"], balance["document 3 says"]) == (208, 208)
    times = rows(sections["K and V of new tokens"])
    assert times[200]["time"] == times[1]["time"] == pytest.approx(37.2875, rel=1e-5)
    assert [times[tokens]["bound by"] for tokens in (1, 200, 201, 1024)] == ["unit bandwidth"] * 2 + ["compute"] * 2
    assert times[1024]["time"] == pytest.approx(2 * times[512]["time"])
    assert "E3-2  wrong" in text(sections)
    assert "E3-3  wrong" in text(sections)
    assert "the model does not fit" in text(sections)
    assert "No batch is bound by compute" in text(sections)


def test_a_small_model_fits_and_can_be_bound_by_compute(report):
    sections = report("roofline", "--model", "llama2-7b", "--context", "16", "--batch", "300", "--bits", "8")
    steps = rows(sections["Decoding"])
    assert list(steps) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert (steps[1]["bound by"], steps[300]["bound by"]) == ("unit bandwidth", "compute")
    assert "document 3 says" not in values(sections["Balance"])
    assert "requests of 16 tokens fit the memory of a100-40" in text(sections)
    assert "requests on, a step is bound by compute" in text(sections)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_comes_with_its_numbers(report, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    file = tmp_path / f"plateau{suffix}"
    sections = report("roofline", "--plot", str(file), "--tokens", "300")
    assert file.stat().st_size > 5_000
    with (tmp_path / "plateau.csv").open(newline="") as numbers:
        heading, *table = csv.reader(numbers)
    assert heading[:2] == ["tokens", "time (ms, modelled)"]
    expected = [[str(cell) for cell in row] for row in sections["K and V of new tokens"]["tables"][0]["rows"]]
    assert table == expected
    assert sections["Files"]["notes"] == [f"picture: {file}", f"its numbers: {tmp_path / 'plateau.csv'}"]


# --- operators -------------------------------------------------------------------------------------------------------


def test_operators_of_the_profile_that_document_3_shows(report):
    sections = report("ops")
    classes = rows(sections["Classes"])
    shares = [classes[kind]["operations"] for kind in ("contraction", "normalisation", "element-wise")]
    assert shares == pytest.approx([99.69, 0.19, 0.12], abs=0.005)
    times = [row["time on a100-40"] for row in classes.values()]
    assert sum(times) == pytest.approx(100)
    assert times[0] == max(times)
    assert "Softmax alone takes 9.5 % of this time; document 3 says most of it." in text(sections)
    assert "E3-6  wrong" in text(sections)
    assert any(note.startswith("E3-5  wrong") for note in sections["Operators"]["notes"])
    operators = rows(sections["Operators"])
    assert operators["softmax"]["bound by"] == "unit bandwidth"
    assert operators["qkv"]["bound by"] == "compute"
    assert operators["softmax_dropout"]["class"] == "element-wise"


def test_decoding_counts_no_dropout_unless_asked(report):
    decoding = rows(report("ops", "--stage", "decode")["Operators"])
    profiled = rows(report("ops", "--stage", "decode", "--count", "profiled")["Operators"])
    assert "softmax_dropout" not in decoding
    assert "softmax_dropout" in profiled
    assert decoding["qkv"]["operations"] == 2 * 8 * 1024 * 3072


def test_use_of_memory_comes_from_the_emulator(report, small_model, monkeypatch):
    interpreted = partial(attention_memory.attention_memory, nr_tasklets=5)
    monkeypatch.setattr(
        attention_memory,
        "attention_memory",
        lambda norm, **shape: interpreted(norm, **(shape | {"options": EngineOptions(engine="interpreted")})),
    )
    arguments = ("--model", small_model, "--prompt", "16", "--set", "clock_mhz=450")
    section = report("ops", "--measure", *arguments)["Use of memory"]
    found = rows(section)
    assert list(found) == [
        "scores in MRAM: score",
        "scores in MRAM: softmax",
        "scores in MRAM: context",
        "scores in MRAM: all as one",
        "online: all as one",
    ]
    in_mram, online = found["scores in MRAM: all as one"], found["online: all as one"]
    assert in_mram["Q, least"] == online["Q, least"] == 8 + 2 * 16 * 8 + 8 * 8
    assert in_mram["MUE"] < online["MUE"] <= 100
    assert in_mram["MUE"] == pytest.approx(in_mram["Q/D"] * in_mram["engine"] / in_mram["peak"])
    assert in_mram["MUE, kernel time"] == pytest.approx(in_mram["Q/D"] * in_mram["kernel"] / in_mram["peak"])
    assert "profile upmem-v1a with pipeline.clock_mhz = 450 MHz" in section["notes"][0]


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["weights", "roofline", "ops"])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("mpt7b", "did you mean mpt-7b"),
        ("missing.json", "there is no such file"),
        ("a\0b/c", "there is no such file"),
    ],
)
def test_models_that_are_none_are_one_line(capsys, command, model, message):
    assert main(["arith", command, "--model", model]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert message in output.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("roofline", "--gpu", "h100"), "no GPU server 'h100'"),
        (("roofline", "--gpu", "missing.toml"), "missing.toml"),
        (("ops", "--set", "clock_mhz=450"), "only --measure runs on a DPU"),
        (("ops", "--set", "clock"), "has no value"),
    ],
)
def test_machines_that_are_none_are_one_line(capsys, arguments, message):
    assert main(["arith", *arguments]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert message in output.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "WHAT"),
        (("weights", "--batch", "0"), "'0': must be a whole number from 1 to 1,000,000,000"),
        (("weights", "--batch", "-3"), "'-3': must be a whole number"),
        (("weights", "--prompt", "1e3"), "'1e3': must be a whole number"),
        (("weights", "--new", "9" * 5000), "must be a whole number"),
        (("weights", "--bits", "5"), "invalid choice"),
        (("ops", "--prompt", "²"), "must be a whole number"),
        (("roofline", "--plot", "picture.pdf"), ".svg or .png"),
        (("roofline", "--plot", "missing/picture.png"), "folder does not exist"),
    ],
)
def test_wrong_arguments_are_usage_errors(capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_info:
        main(["arith", *arguments])
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


def test_json_may_be_named_before_the_inner_command(tmp_path, capsys):
    file = tmp_path / "report.json"
    assert main(["arith", "--json", str(file), "weights"]) == 0
    assert json.loads(file.read_text())["command"] == "arith"
    assert capsys.readouterr().err == ""
