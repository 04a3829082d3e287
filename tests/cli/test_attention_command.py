"""`pim attention` as a user meets it: what it reports, its exit codes, and one clear line for every mistake."""

from __future__ import annotations

import json
import re
from typing import get_args

import numpy as np
import pytest

from dpu_kernels.attention import DTypeName, Exponential, Norm
from host.attention import verification
from pim_runtime.cli import attention
from pim_runtime.cli.main import main

SMALL = ("--batch", "2", "--heads", "3", "--len", "20", "--dim", "8")
TITLES = ["Workload", "Accuracy", "Time on hardware", "Emulation"]


@pytest.fixture
def report(tmp_path, capsys):
    """`report(*arguments)` runs `pim attention` and gives (exit code, its JSON, standard output)."""

    def run(*arguments):
        file = tmp_path / "report.json"
        code = main(["attention", *arguments, "--json", str(file)])
        output = capsys.readouterr()
        assert output.err == ""  # no progress bar off the terminal
        return code, json.loads(file.read_text()), output.out

    return run


@pytest.fixture
def refusal(capsys):
    """`refusal(*arguments)` gives the one line that `pim attention` refuses them with."""

    def run(*arguments):
        assert main(["attention", *arguments]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("pim attention: ")
        assert output.err.count("\n") == 1
        return output.err.removeprefix("pim attention: ").rstrip("\n")

    return run


def section(content, title):
    (found,) = [section for section in content["sections"] if section["title"] == title]
    return found


def values(content, title):
    return {value["name"]: value["value"] for value in section(content, title)["values"]}


def checks(content):
    return {check["name"]: check["passed"] for check in section(content, "Accuracy")["checks"]}


# --- reports ---------------------------------------------------------------------------------------------------------


def test_without_arguments_the_sample_is_run_and_checked_in_full(report):
    code, content, text = report()
    assert (code, content["command"], content["passed"]) == (0, "attention", True)
    assert [part["title"] for part in content["sections"]] == TITLES
    workload = values(content, "Workload")
    assert workload["operands"] == "shipped sample: all-MiniLM-L6-v2, layers 1 and 4"
    assert workload["shape"] == "24 heads x 384 tokens x 32"
    assert workload["decode steps"] == "12 of batch 32"
    assert workload["kernel"] == "int8 softmax, wide accumulators, 17 tasklets"
    assert workload["DPUs"] == 768
    assert checks(content) == {
        "bit-exact with the integer reference": True,
        "within the proven bound: float64 on the same integers": True,
        "within the proven bound: float64 on the unquantised tensors": True,
        "quantisation error of the sample": True,
    }
    assert "313,344 of 313,344 elements" in text  # 24 heads x 384 queries x (32 outputs, largest score, sum)
    assert text.endswith("all 4 checks passed\n")


def test_every_number_says_where_it_comes_from(report):
    _, content, text = report(*SMALL)
    for part in content["sections"]:
        modelled = part["title"] == "Time on hardware"
        allowed = ("modelled",) if modelled else ("exact", "measured here")
        assert all(value["origin"] in allowed for value in part["values"])
    assert {value["origin"] for value in section(content, "Workload")["values"]} == {"exact"}
    emulation = section(content, "Emulation")["values"]
    measured = {value["name"] for value in emulation if value["origin"] == "measured here"}
    assert measured == {"program load", "K and V into the DPUs", "decode steps", "K and V read by the kernels"}
    (error_table,) = section(content, "Accuracy")["tables"]
    assert [column["origin"] for column in error_table["columns"]] == [None, "exact", "exact", "exact"]
    (time_table,) = section(content, "Time on hardware")["tables"]
    assert [column["origin"] for column in time_table["columns"]] == [None, "modelled", "exact", "modelled"]
    assert "upmem-v1a" in section(content, "Time on hardware")["notes"][0]
    for origin in ("exact", "modelled", "measured here"):
        assert origin in text


def test_energy_is_the_power_of_the_allocated_ranks_over_a_step(report):
    _, content, _ = report(*SMALL)
    (energy,) = section(content, "Time on hardware")["values"]
    (table,) = section(content, "Time on hardware")["tables"]
    step_us = next(row[1] for row in table["rows"] if row[0] == "step")
    lower, upper = map(float, energy["value"].split(" to "))
    assert (lower, upper) == pytest.approx((64 * 0.15 * step_us / 1000, 64 * 0.18 * step_us / 1000), rel=1e-3)
    assert (energy["unit"], "20 % off at best" in energy["source"]) == ("mJ", True)


def test_another_machine_takes_another_time_for_the_same_answers(report):
    _, content, text = report(*SMALL)
    code, other, other_text = report(*SMALL, "--profile", "seed-2023", "--set", "clock_mhz=700")
    assert code == 0
    assert values(other, "Workload") == values(content, "Workload")
    assert "Modelled on profile seed-2023 with pipeline.clock_mhz = 700 MHz." in other_text
    assert "Modelled on profile upmem-v1a." in text
    costs = [
        dict(re.findall(r"(\w+) ([\d.]+)", section(one, "Time on hardware")["tables"][0]["rows"][1][3]))
        for one in (content, other)
    ]
    assert float(costs[0]["compute"]) == pytest.approx(2 * float(costs[1]["compute"]), abs=0.2)
    assert float(costs[1]["launch"]) == 100  # of seed-2023; the upmem-v1a has 1.9 us per tasklet, too


def test_a_step_is_push_run_and_pull(report):
    _, content, _ = report(*SMALL, "--norm", "div_d", "--acc", "wrap")
    (table,) = section(content, "Time on hardware")["tables"]
    rows = {row[0]: row[1:] for row in table["rows"]}
    assert list(rows) == ["push", "run", "pull", "step"]
    assert rows["step"][0] == pytest.approx(sum(rows[part][0] for part in ("push", "run", "pull")))
    assert [rows[part][1] for part in rows] == [6 * 8, 0, 6 * 8, 2 * 6 * 8]
    for part in ("push", "run", "pull"):
        reasons = re.findall(r"(\w+) ([\d.]+)", rows[part][2])
        assert sum(float(us) for _, us in reasons) == pytest.approx(rows[part][0], abs=0.2)
    assert [reason for reason, _ in re.findall(r"(\w+) ([\d.]+)", rows["run"][2])] == [
        "launch",
        "compute",
        "dma",
        "barrier",
    ]


@pytest.mark.parametrize("norm", ["div_d", "softmax"])
@pytest.mark.parametrize("dtype", ["int4", "int8", "int16", "int32"])
@pytest.mark.parametrize("data", ["ones", "random"])
def test_made_up_operands(report, dtype, norm, data):
    code, content, _ = report(*SMALL, "--dtype", dtype, "--norm", norm, "--data", data, "--tasklets", "5")
    assert code == 0
    workload = values(content, "Workload")
    assert workload["operands"] == {"ones": "made up: all 1", "random": "made up: random, seed 0"}[data]
    assert workload["shape"] == "3 heads x 20 tokens x 8"
    assert workload["decode steps"] == "1 of batch 2"
    assert workload["DPUs"] == 6
    assert checks(content) == {
        "bit-exact with the integer reference": True,
        "within the proven bound: float64 on the same integers": True,
    }


def test_first_outputs_of_ones(report):
    """Scores 8 give quotients 1, and 20 tokens of them 20; as weights they are 2**24 each."""
    _, content, _ = report(*SMALL, "--data", "ones", "--norm", "div_d")
    assert values(content, "Workload")["first outputs"] == "20 20 20 20 ..."
    _, content, _ = report(*SMALL, "--data", "ones")
    assert values(content, "Workload")["first outputs"] == " ".join([str(20 << 24)] * 4) + " ..."


def test_one_argument_of_the_shape_is_enough_to_ask_for_made_up_operands(report):
    _, content, _ = report("--batch", "1", "--dim", "8")
    assert values(content, "Workload")["shape"] == "32 heads x 4096 tokens x 8"


def test_wrapped_outputs_are_compared_with_integers_only(report):
    code, content, text = report(*SMALL, "--norm", "div_d", "--acc", "wrap", "--seed", "3")
    assert code == 0
    assert checks(content) == {"bit-exact with the integer reference": True}
    assert section(content, "Accuracy")["tables"] == []
    assert text.endswith("the check passed\n")


@pytest.mark.parametrize("kernel", [("--norm", "softmax"), ("--norm", "div_d", "--acc", "wrap")])
def test_both_engines_report_the_same_but_for_what_is_measured(report, kernel):
    compiled, interpreted = (report(*SMALL, *kernel, "--engine", engine) for engine in ("compiled", "interpreted"))
    assert compiled[0] == interpreted[0] == 0
    for ours, theirs in zip(compiled[1]["sections"], interpreted[1]["sections"], strict=True):
        assert ours["title"] == theirs["title"]
        if ours["title"] != "Emulation":
            assert ours == theirs
    assert values(interpreted[1], "Emulation")["engine"] == "interpreted"


def test_a_users_own_tensors(report, tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "mine.npz"
    np.savez(file, **{name: rng.standard_normal((2, 3, 12, 4)).astype(np.float32) for name in "qkv"})
    code, content, _ = report("--kv", str(file), "--batch", "5", "--dtype", "int16")
    assert code == 0
    workload = values(content, "Workload")
    assert workload["operands"] == str(file)
    assert workload["shape"] == "6 heads x 12 tokens x 4"
    assert workload["decode steps"] == "3 of batch 5"
    assert "within the proven bound: float64 on the unquantised tensors" in checks(content)
    assert "quantisation error of the sample" not in checks(content)


def test_a_users_own_tensors_with_shared_keys_and_values(report, tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "mine.npz"
    q, k, v = (rng.standard_normal((2, heads, 12, 4)) for heads in (6, 3, 3))
    np.savez(file, q=q, k=k, v=v)
    code, content, _ = report("--kv", str(file))
    assert code == 0
    assert values(content, "Workload")["shape"] == "12 heads on 6 KV heads x 12 tokens x 4"


# --- options of the kernel and the machine ---------------------------------------------------------------------------


def dpus_line(content):
    """What the report says about the DPUs."""
    (value,) = [value for value in section(content, "Workload")["values"] if value["name"] == "DPUs"]
    return value["value"], value["source"]


@pytest.mark.quick
def test_choices_are_those_of_the_library():
    """They are written out, since the command does not import the kernels before it runs."""
    assert get_args(DTypeName) == attention.DTYPES == tuple(attention.SAMPLE_ERROR_LIMITS)
    assert get_args(Norm) == attention.NORMS
    assert get_args(Exponential) == attention.EXPONENTIALS


@pytest.mark.parametrize("norm", ["zscore", "zscore_linear", "softmax_online"])
def test_the_other_norms(report, norm):
    code, content, _ = report(*SMALL, "--norm", norm, "--tasklets", "5")
    assert code == 0
    assert values(content, "Workload")["kernel"] == f"int8 {norm}, wide accumulators, 5 tasklets"
    assert list(checks(content)) == [
        "bit-exact with the integer reference",
        "within the proven bound: float64 on the same integers",
    ]


@pytest.mark.parametrize("norm", ["div_d", "zscore", "softmax"])
def test_masks_biases_and_shared_heads(report, norm):
    options = ("--norm", norm, "--heads", "4", "--kv-heads", "2", "--window", "7", "--biases", "alibi")
    code, content, _ = report("--batch", "2", "--len", "20", "--dim", "8", *options, "--tasklets", "5")
    assert code == 0
    workload = values(content, "Workload")
    assert workload["shape"] == "4 heads on 2 KV heads x 20 tokens x 8"
    assert workload["kernel"] == f"int8 {norm}, wide accumulators, 5 tasklets, window of 7 tokens, ALiBi"
    assert dpus_line(content) == (4, "1 rank, one KV head each")


def test_another_exponential_is_named(report):
    code, content, _ = report(*SMALL, "--exponential", "poly3", "--tasklets", "5")
    assert code == 0
    assert values(content, "Workload")["kernel"] == "int8 softmax, wide accumulators, 5 tasklets, poly3"


@pytest.mark.parametrize(
    ("options", "nr_dpus", "source"),
    [
        ((), 6, "1 rank, one head each"),
        (("--dpus", "6"), 6, "1 rank, one head each"),
        (("--dpus", "5"), 5, "1 rank, one head each, 2 waves"),
        (("--dpus", "1"), 1, "1 rank, one head each, 6 waves"),
        (("--paging", "paged"), 6, "1 rank, one head each, paged"),
        (("--split", "3"), 18, "1 rank, one of 3 parts of a head each, block"),
        (("--split", "2", "--layout", "interleave"), 12, "1 rank, one of 2 parts of a head each, interleave"),
        (("--split", "fill", "--dpus", "70"), 66, "2 ranks, one of 11 parts of a head each, block"),
        (("--split", "fill", "--dpus", "5"), 5, "1 rank, one head each, 2 waves"),
        (("--split", "2", "--dpus", "7", "--paging", "paged"), 6, "one of 2 parts of a head each, block, paged, 2 wav"),
    ],
)
@pytest.mark.parametrize("norm", ["softmax", "div_d"])
def test_where_heads_go(report, options, nr_dpus, source, norm):
    code, content, _ = report(*SMALL, *options, "--norm", norm, "--tasklets", "5")
    assert code == 0
    found = dpus_line(content)
    assert found[0] == nr_dpus
    assert source in found[1]


def test_first_outputs_are_the_same_however_the_heads_are_split(report):
    """Integers add up to the same in any order (B-10)."""
    runs = [
        report(*SMALL, "--norm", "div_d", "--tasklets", "5", *options)[1]
        for options in ((), ("--split", "3"), ("--split", "4", "--layout", "interleave", "--paging", "paged"))
    ]
    assert len({values(content, "Workload")["first outputs"] for content in runs}) == 1


@pytest.mark.parametrize("options", [("--dtype", "int4"), ("--norm", "softmax_online", "--split", "2")])
def test_the_sample_in_other_ways(report, options):
    code, content, _ = report(*options)
    assert (code, len(checks(content))) == (0, 4)


@pytest.mark.parametrize("options", [("--window", "100"), ("--biases", "alibi")])
def test_error_limits_of_the_sample_are_those_of_plain_attention(report, options):
    code, content, _ = report(*options)
    assert code == 0
    assert list(checks(content)) == [
        "bit-exact with the integer reference",
        "within the proven bound: float64 on the same integers",
        "within the proven bound: float64 on the unquantised tensors",
    ]


# --- failed checks ---------------------------------------------------------------------------------------------------


def test_one_wrong_element_fails(report, monkeypatch):
    exact = verification.expected_answers

    def off_by_one(*operands, **options):
        sums = exact(*operands, **options)
        sums.weighted_values[0, :, 3] += 1
        return sums

    monkeypatch.setattr(verification, "expected_answers", off_by_one)
    code, content, text = report(*SMALL)
    assert (code, content["passed"]) == (1, False)
    assert checks(content)["bit-exact with the integer reference"] is False
    assert "FAIL  bit-exact with the integer reference: 54 of 60 elements" in text  # one in each of 6 heads
    assert text.endswith("1 of 2 checks FAILED: bit-exact with the integer reference\n")


def test_an_error_beyond_its_bound_fails(report, monkeypatch):
    monkeypatch.setattr(verification, "bound_of", lambda spec, *others: np.full((1, spec.heads, spec.dim), 1e-12))
    code, content, _ = report(*SMALL)
    assert code == 1
    assert checks(content)["within the proven bound: float64 on the same integers"] is False


def test_an_error_beyond_the_bound_of_the_real_tensors_fails(report, monkeypatch):
    monkeypatch.setattr(verification, "real_softmax_bound", lambda *operands, kernel, **others: kernel / 10)
    code, content, _ = report()
    assert code == 1
    assert [name for name, passed in checks(content).items() if not passed] == [
        "within the proven bound: float64 on the unquantised tensors"
    ]


def test_a_quantisation_error_beyond_its_limit_fails(report, monkeypatch):
    monkeypatch.setitem(attention.SAMPLE_ERROR_LIMITS, "int8", (0.016, 0.001))
    code, content, _ = report()
    assert code == 1
    assert [name for name, passed in checks(content).items() if not passed] == ["quantisation error of the sample"]


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SMALL, "--dpus", "0"), "--dpus 0: at least 1"),
        ((*SMALL, "--window", "0"), "--window 0: at least 1"),
        ((*SMALL, "--split", "7", "--dpus", "6"), "7 parts per head on 6 DPUs"),
        ((*SMALL, "--split", "2561"), "2561 parts per head on 2560 DPUs"),
        ((*SMALL, "--kv-heads", "2"), "3 query heads on 2 KV heads"),
        ((*SMALL, "--kv-heads", "0"), "--kv-heads 0: at least 1"),
        (("--heads", "64", "--kv-heads", "1", "--len", "2", "--dim", "8"), "64 query heads on one KV head: .* most 32"),
        ((*SMALL, "--norm", "div_d", "--acc", "wrap", "--biases", "alibi"), "ALiBi needs acc='wide'"),
        ((*SMALL, "--norm", "div_d", "--exponential", "poly2"), "--exponential poly2: div_d has no exponentials"),
        ((*SMALL, "--layout", "interleave"), "--layout interleave: heads that are not split have no layout"),
        ((*SMALL, "--data", "ones", "--seed", "3"), "--seed 3: only random data have a seed"),
        (("--seed", "3"), "--seed 3: only random data have a seed"),
        ((*SMALL, "--local-cpu", "off"), "--local-cpu off: only --table measures this CPU"),
        ((*SMALL, "--norm", "zscore", "--acc", "wrap"), "zscore has no wrapping form"),
        (("--profile", "upmem-v9"), "no hardware profile 'upmem-v9'. Use one of .*upmem-v1a"),
        ((*SMALL, "--tasklets", "1"), "1 tasklets: attention needs a master and at least one worker, 2 to 24"),
        ((*SMALL, "--tasklets", "25"), "25 tasklets"),
        (("--batch", "0"), "--batch 0: at least 1"),
        (("--heads", "0"), "--heads 0: at least 1"),
        (("--len", "-5"), "--len -5: at least 1"),
        (("--dim", "0"), "--dim 0: at least 1"),
        ((*SMALL, "--seed", "-1"), "--seed -1: at least 0"),
        (("--acc", "wrap"), "real tensors need acc='wide'"),
        ((*SMALL, "--acc", "wrap"), "softmax has no wrapping form"),
        ((*SMALL, "--acc", "wrap", "--data", "ones"), "softmax has no wrapping form"),
        (("--heads", "1", "--len", "2", "--dim", "3000"), "rows of 3000 int8 elements.*a DMA moves 2048"),
        (
            ("--heads", "1", "--batch", "1", "--len", "300000", "--norm", "div_d", "--data", "ones"),
            "300000 tokens of 128 int8 .*need .* bytes of MRAM.*the longest context that fits is 258016 tokens",
        ),
        (("--kv", "a.npz", "--len", "5"), "--kv brings its own data and shape"),
        (("--kv", "a.npz", "--data", "ones"), "--kv brings its own data and shape"),
    ],
)
def test_arguments_that_cannot_be_run(refusal, arguments, message):
    assert re.search(message, refusal(*arguments))


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dtype", "int64"), "--dtype: invalid choice: 'int64'"),
        (("--norm", "sigmoid"), "--norm: invalid choice: 'sigmoid'"),
        (("--split", "0"), "--split: '0': a number of DPUs, at least 1, or 'fill'"),
        (("--split", "all"), "--split: 'all': a number of DPUs, at least 1, or 'fill'"),
        (("--paging", "blocks"), "--paging: invalid choice: 'blocks'"),
        (("--exponential", "exp"), "--exponential: invalid choice: 'exp'"),
        (("--acc", "exact"), "--acc: invalid choice: 'exact'"),
        (("--data", "zeros"), "--data: invalid choice: 'zeros'"),
        (("--engine", "fast"), "--engine: invalid choice: 'fast'"),
        (("--batch", "many"), "--batch: invalid int value: 'many'"),
        (("--dpus",), "--dpus: expected one argument"),
        (("--threads", "2"), "unrecognized arguments: --threads 2"),
    ],
)
def test_arguments_that_do_not_exist(capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_info:
        main(["attention", *arguments])
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((2, 5, 4)) for name in "qkv"}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": None}, "has no array v; it holds q, k"),
        ({"k": np.ones((2, 5, 4), np.int8)}, "k in .* is int8: it must be floating point"),
        ({"k": np.full((2, 5, 4), np.inf)}, "k in .* contains NaN or infinity"),
        ({"k": np.ones((2, 5, 3))}, r"shapes \(2, 5, 4\), \(2, 5, 3\)"),
        ({"q": np.ones((3, 5, 4))}, "heads of q are a multiple of those"),
        ({"q": np.ones(4)}, "q in .* has shape"),
    ],
)
def test_files_that_hold_no_attention(refusal, tensors, tmp_path, change, message):
    file = tmp_path / "bad.npz"
    np.savez(file, **{name: value for name, value in {**tensors, **change}.items() if value is not None})
    line = refusal("--kv", str(file))
    assert str(file) in line
    assert re.search(message, line)


@pytest.mark.quick
def test_files_that_cannot_be_read(refusal, tensors, tmp_path):
    missing, text, damaged = tmp_path / "missing.npz", tmp_path / "text.npz", tmp_path / "damaged.npz"
    assert "No such file" in refusal("--kv", str(missing))
    text.write_text("q k v")
    assert "text.npz cannot be read as an .npz archive" in refusal("--kv", str(text))
    np.savez_compressed(damaged, **tensors)
    content = bytearray(damaged.read_bytes())
    content[60:90] = bytes(30)  # inside the deflated array
    damaged.write_bytes(content)
    assert "damaged.npz cannot be read as an .npz archive" in refusal("--kv", str(damaged))


def test_a_mistake_leaves_an_older_report_alone(tmp_path, capsys):
    file = tmp_path / "report.json"
    file.write_text("older")
    assert main(["attention", *SMALL, "--tasklets", "1", "--json", str(file)]) == 2
    assert file.read_text() == "older"
    assert capsys.readouterr().out == ""
