"""The registry of claims: what is shipped, what is refused, how numbers are judged, and that every check can fail."""

from __future__ import annotations

import importlib.resources
import math

import numpy as np
import pytest
import yaml

from host.attention.published import pim_attention
from host.claims import attention, bounds, determinism, softmax_bounds, softmax_cases
from host.claims.checking import all_checks, check_claims
from host.claims.claim import RegistryError, claim_from, leaves
from host.claims.evidence import WHOLE, AttentionEvidence, Cell, arrays_of
from host.claims.judging import Holds, Noted, judge, prints_as
from host.claims.registry import load_registry, parse_registry
from host.claims.worst_shares import WorstShares


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture(scope="module")
def claims(registry):
    return {claim.id: claim for claim in registry.claims}


def entry(**changes):
    """A valid raw entry, changed; None removes a key."""
    fields = {
        "id": "C9-01",
        "seed": 0,
        "class": "A",
        "what": "a number",
        "expected": 2.0,
        "tolerance": {"rel": 0.01},
        "errors": [],
        "requires": ["S0-1"],
    }
    fields |= {name.replace("class_", "class"): value for name, value in changes.items()}
    return {name: value for name, value in fields.items() if value is not None}


def claim(**changes):
    return claim_from(entry(**changes), place="here")


# --- the shipped files -----------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_every_claim_is_there(registry):
    documents = [claim.document for claim in registry.claims]
    assert {document: documents.count(document) for document in dict.fromkeys(documents)} == {
        0: 29,
        1: 22,
        2: 23,
        3: 11,
        4: 16,
        "common": 12,
    }
    assert list(registry.subjects) == [0, 1, 2, 3, 4]


@pytest.mark.quick
def test_every_claim_of_this_step_has_a_check(registry):
    families = registry.select(["C0-*", "C1-*", "C2-*", "C3-*", "C4-*", "B-*", "K*"])
    judged = {claim.id for claim in families if claim.claim_class != "R"}
    assert set(all_checks()) == judged


@pytest.mark.quick
def test_every_error_of_the_documents_is_told(registry):
    numbers = {0: 12, 1: 8, 2: 14, 3: 7, 4: 5}
    assert list(registry.document_errors) == [f"E{d}-{n}" for d, last in numbers.items() for n in range(1, last + 1)]


@pytest.mark.quick
def test_the_published_cells_are_stored_verbatim(registry):
    """C0-30: the table that the program uses is the registry's."""
    theirs, ours = registry.published["pim_attention"], pim_attention()
    assert list(ours.batches) == theirs["batch"]
    stored = {dtype: {row: list(cells.values()) for row, cells in rows.items()} for dtype, rows in ours.cells.items()}
    assert stored == theirs["cells"]


@pytest.mark.quick
def test_claims_are_found_by_pattern(registry):
    chosen = [claim.id for claim in registry.select(["B-1", "C0-0?", "K6*"])]
    assert chosen == ["C0-01", "C0-02", "C0-03", "C0-04", "C0-05", "B-1", "K6-neg"]


@pytest.mark.quick
def test_a_pattern_without_claims_is_refused(registry):
    with pytest.raises(ValueError, match=r"no claim matches 'C9-\*'.*C0-01.*C4-\*, B-\*"):
        registry.select(["C0-*", "C9-*"])


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"what": None}, "here, claim 'C9-01': what missing"),
        ({"colour": "red"}, "unknown key colour"),
        ({"class_": "Z"}, "class is 'Z'. Choose one of A, F, M, T, R"),
        ({"seed": 5}, "seed is 5. Choose one of 0, 1, 2, 3, 4, common"),
        ({"seed": True}, "seed is True"),
        ({"expected": [1, None]}, r"expected: \[1\] is None"),
        ({"tolerance": "roughly"}, "tolerance is 'roughly'. Choose exact, bound, holds, record"),
        ({"tolerance": {"rel": 0}}, "tolerance is"),
        ({"tolerance": {}}, "tolerance is"),
        ({"tolerance": {"rel": 0.1, "median_rel": 0.1}}, "tolerance is"),
        ({"errors": "E0-1"}, "errors is 'E0-1'. It must be a list"),
        ({"requires": [3]}, "requires is 3. It must be a text"),
        ({"what": ""}, "what is ''. It must be a text"),
        ({"class_": "R"}, "class R with tolerance rel 0.01"),
        ({"tolerance": "record"}, "class A with tolerance record"),
    ],
)
def test_broken_claims_are_refused(changes, message):
    with pytest.raises(RegistryError, match=message):
        claim(**changes)


@pytest.mark.quick
def test_an_entry_that_is_no_mapping_is_refused():
    with pytest.raises(RegistryError, match=r"here: 'C0-01' is not a mapping\. It needs the keys id, seed"):
        claim_from("C0-01", place="here")


def texts(**changes):
    """The two files, with top-level keys of the first changed; None removes a key."""
    content = {"schema_version": 1, "seeds": {0: {"subject": "s"}}, "published": {}, "golden": {}, "claims": [entry()]}
    content = {name: value for name, value in (content | changes).items() if value is not None}
    return yaml.safe_dump(content), yaml.safe_dump([{"id": "E9-1", "wrong": "w", "right": "r"}])


@pytest.mark.quick
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("claims: [1, 2", ""), r"claims.yaml, line 1, column 14: .* Mend the YAML there"),
        (("claims: !!python/object/apply:os.getcwd []", ""), r"claims.yaml, line 1, column 9: could not determine"),
        (("- 1", ""), "claims.yaml: schema_version, seeds, published, golden, claims missing"),
        (texts(schema_version=2), "schema_version is 2. Only 1 is known"),
        (texts(golden=None), "claims.yaml: golden missing"),
        (texts(claims={}), "claims.yaml: claims is a dict. It must be a list"),
        (texts(claims=[entry(), entry()]), "claims.yaml: C9-01 given more than once"),
        (texts(claims=[entry(), entry(id=7)]), "claims.yaml, entry 1, claim 7: id is 7"),
        (texts(claims=[entry(errors=["E9-2"])]), "claim 'C9-01': errors names E9-2, which document_errors.yaml"),
        ((texts()[0], "{}"), "document_errors.yaml is a dict. It must be a list"),
        ((texts()[0], "- {id: E9-1}"), "document_errors.yaml, entry 0, claim 'E9-1': wrong, right missing"),
        ((texts()[0], 2 * "- {id: E9-1, wrong: w, right: r}\n"), "E9-1 given more than once"),
    ],
)
def test_broken_files_are_refused(files, message):
    with pytest.raises(RegistryError, match=message):
        parse_registry(*files)


@pytest.mark.quick
def test_whole_files_are_read():
    registry = parse_registry(*texts(claims=[entry(errors=["E9-1"], seed_says=2, note="n")]))
    (only,) = registry.claims
    assert (only.id, only.expected, only.document_says, only.note) == ("C9-01", {"": 2.0}, {"": 2}, "n")
    assert registry.document_errors["E9-1"].right == "r"


@pytest.mark.quick
def test_the_files_are_read_from_the_package():
    names = {path.name for path in importlib.resources.files("host.claims").joinpath("data").iterdir()}
    assert names == {"claims.yaml", "document_errors.yaml"}


# --- judging ---------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_leaves_have_paths():
    assert leaves({"a": [1, {"b": "x"}], 15: 2.5}) == {"a[0]": 1, "a[1].b": "x", "15": 2.5}
    assert leaves(7) == {"": 7}
    with pytest.raises(TypeError, match=r"a\[0\] is array"):
        leaves({"a": [np.zeros(2)]})


@pytest.mark.quick
@pytest.mark.parametrize(
    ("fields", "answer", "verdict"),
    [
        ({}, 2.0199, "PASS"),
        ({}, 2.0201, "FAIL"),
        ({}, math.nan, "FAIL"),
        ({"expected": -2.0}, -1.9801, "PASS"),
        ({"tolerance": {"abs": 0.5}}, 1.5, "PASS"),
        ({"tolerance": {"abs": 0.5}}, 1.49, "FAIL"),
        ({"tolerance": "exact", "expected": {"a": 1, "b": [2, 3]}}, {"a": 1, "b": [2, 3]}, "PASS"),
        ({"tolerance": "exact", "expected": {"a": 1, "b": [2, 3]}}, {"a": 1, "b": [2, 4]}, "FAIL"),
        ({"tolerance": "exact", "expected": 0}, "several: (0, 1)", "FAIL"),
        # class A is also what the document prints, unless it is known to be wrong
        ({"seed_says": 2.0}, 2.01, "PASS"),
        ({"seed_says": 2.02}, 2.01, "FAIL"),
        ({"seed_says": 2.02, "errors": ["E0-1"]}, 2.01, "PASS"),
        ({"seed_says": "about 3"}, 2.01, "PASS"),
        ({"seed_says": 2.02, "class_": "M"}, 2.01, "PASS"),
        ({"class_": "T", "tolerance": "holds", "expected": {"relation": "r", "min": 1, "max": 2}}, 2, "PASS"),
        ({"class_": "T", "tolerance": "holds", "expected": {"relation": "r", "min": 1, "max": 2}}, 2.1, "FAIL"),
        ({"class_": "F", "tolerance": "exact", "expected": "equal"}, Holds(True, "d"), "PASS"),
        ({"class_": "F", "tolerance": "exact", "expected": "equal"}, Holds(False, "d"), "FAIL"),
        ({"class_": "F", "tolerance": "bound", "expected": {"relation": "r", "at": 8.2}}, Holds(True, "d"), "PASS"),
        ({"class_": "F", "tolerance": "bound", "expected": {"at": 8.2}}, Holds(True, "d", {"at": 8.14}), "PASS"),
        ({"class_": "F", "tolerance": "bound", "expected": {"at": 8.2}}, Holds(True, "d", {"at": 8.1}), "FAIL"),
    ],
)
def test_verdicts(fields, answer, verdict):
    assert judge(claim(**fields), answer).verdict == verdict


@pytest.mark.quick
@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, Holds(True, "")),  # numbers are compared, not asserted
        ({"tolerance": "exact"}, Holds(True, "")),
        ({"class_": "R", "tolerance": "record"}, Holds(True, "")),
        ({"class_": "F", "tolerance": "bound", "expected": "x <= y"}, 1.0),
        ({"class_": "F", "tolerance": "exact", "expected": "equal"}, "equal"),
        ({"tolerance": {"max_rel": 0.1, "median_rel": 0.1}}, 2.0),
        ({"expected": [1, 2]}, [1]),
    ],
)
def test_answers_that_do_not_belong_to_a_claim(fields, answer):
    with pytest.raises(TypeError, match="claim C9-01"):
        judge(claim(**fields), answer)


@pytest.mark.quick
@pytest.mark.parametrize(("number", "verdict"), [(2.01, "PASS"), (2.1, "FAIL")])
def test_a_note_stands_beside_numbers_that_are_judged_as_ever(number, verdict):
    finding = judge(claim(), Noted(number, "by hand"))
    assert (finding.verdict, finding.ours[""]) == (verdict, number)
    assert finding.detail == f"deviation {number / 2 - 1:+.2%}; by hand"


@pytest.mark.quick
def test_differences_from_the_document_are_told():
    finding = judge(claim(expected={"a": 4.5481}, seed_says={"a": 4.54}, errors=["E0-4"]), {"a": 4.5481})
    assert finding.verdict == "PASS"
    assert finding.detail == "deviation +0.00%; the document prints 4.54 a"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("number", "printed", "same"),
    [(4.9725, 4.97, True), (4.5481, 4.54, False), (4.5481, 4.55, True), (5.8711e-6, 5.87e-6, True), (208.4, 208, True)],
)
def test_printed_precision(number, printed, same):
    assert prints_as(number, printed) is same
    assert prints_as(np.float64(number), printed) is same


@pytest.mark.quick
def test_claims_without_a_check_are_recorded_or_not_yet(claims):
    findings = list(check_claims([claims["C0-30"], claims["C1-01"], claims["C4-14"]], {}))
    assert [finding.verdict for finding in findings] == ["RECORD", "NOT YET", "RECORD"]
    assert all(not finding.ours for finding in findings)


@pytest.mark.quick
def test_the_worst_share_keeps_nan_and_every_name():
    worst = WorstShares()
    worst.add("a", [0.25, 0.5])
    worst.add("a", 0.1)
    assert worst.answer("why") == (True, "worst error / bound: a 0.500; why", {"a: error / bound": 0.5})
    worst.add("b", [[1.5]])
    assert not worst.answer().passed
    hidden = WorstShares()
    hidden.add("a", math.nan)
    hidden.add("a", 0.1)
    assert not hidden.answer().passed


# --- the checks ------------------------------------------------------------------------------------------------------

NEEDS_MUCH_MEMORY = {f"C0-{number}" for number in range(10, 25)} - {"C0-10", "C0-15", "C0-20"}


@pytest.fixture(scope="module")
def checks():
    return all_checks()


@pytest.mark.parametrize("claim_id", [claim_id for claim_id in all_checks() if claim_id not in NEEDS_MUCH_MEMORY])
def test_the_claim_holds(claims, checks, claim_id):
    (finding,) = check_claims([claims[claim_id]], checks)
    assert finding.verdict == "PASS", finding.detail


class WrongEvidence(AttentionEvidence):
    """Cells with one output element off, on twice the DPUs, ten times as fast."""

    def cell(self, dtype, batch, partition=WHOLE):
        return Cell(microseconds=5e3, nr_dpus=64 * batch, outputs=(4096, 4097))


@pytest.mark.quick
@pytest.mark.parametrize("claim_id", ["C0-01", *(f"C0-{number}" for number in range(10, 25)), "C0-29", "C0-33"])
def test_wrong_runs_fail(claims, claim_id, monkeypatch):
    step = attention.Step(outputs=np.zeros(1, np.int32), events=np.zeros((1, 8), np.int64), rows=())
    monkeypatch.setattr(attention, "decode", lambda operands: step)
    (finding,) = check_claims([claims[claim_id]], attention.attention_checks(WrongEvidence()))
    assert finding.verdict == "FAIL"


@pytest.mark.quick
def test_the_emulators_own_time_stands_beside_the_predicted_one(claims):
    (finding,) = check_claims([claims["C0-28"]], attention.attention_checks(WrongEvidence()))
    assert finding.verdict == "PASS"
    assert "the emulator models 5.000 ms" in finding.detail


@pytest.mark.quick
@pytest.mark.parametrize(
    ("claim_id", "name"),
    [
        ("C0-25", "speedup"),
        ("C0-26", "speedup"),
        ("C0-27", "achieved_gb_per_s"),
        ("C0-28", "baseline_us"),
        ("C0-31", "crossover"),
    ],
)
def test_wrong_arithmetic_fails(claims, checks, claim_id, name, monkeypatch):
    right = getattr(attention, name)
    monkeypatch.setattr(attention, name, lambda *arguments: 1.2 * right(*arguments))
    (finding,) = check_claims([claims[claim_id]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("claim_id", "module", "name"),
    [
        ("B-1", bounds, "attention_div_d"),
        ("B-2", bounds, "zscore_weights"),
        ("B-7", bounds, "requantise"),
        ("B-8", bounds, "isqrt"),
        ("B-4", softmax_bounds, "merge_softmax_float"),
    ],
)
def test_an_error_of_one_in_some_numbers_fails(claims, checks, claim_id, module, name, monkeypatch):
    assert_off_by_one_fails(claims, checks, claim_id, module, name, monkeypatch)


@pytest.mark.parametrize(("claim_id", "module"), [("C0-02", attention), ("B-9", determinism)])
def test_kernels_that_differ_from_the_closed_form_fail(claims, checks, claim_id, module, monkeypatch):
    assert_off_by_one_fails(claims, checks, claim_id, module, "attention_div_d", monkeypatch)


def assert_off_by_one_fails(claims, checks, claim_id, module, name, monkeypatch):
    right = getattr(module, name)

    def off_by_one(*arguments, **keywords):
        result = right(*arguments, **keywords)
        return result + (np.arange(result.size).reshape(result.shape) % 3 == 1)

    monkeypatch.setattr(module, name, off_by_one)
    (finding,) = check_claims([claims[claim_id]], checks)
    assert finding.verdict == "FAIL", finding.detail


@pytest.mark.quick
@pytest.mark.parametrize(("claim_id", "name"), [("B-4", "merge_softmax"), ("K-8", "attention_online")])
def test_wrong_sums_fail(claims, checks, claim_id, name, monkeypatch):
    right = getattr(softmax_bounds, name)

    def wrong(*arguments, **keywords):
        sums = right(*arguments, **keywords)
        return sums._replace(weighted_values=sums.weighted_values + sums.weighted_values // 100)

    monkeypatch.setattr(softmax_bounds, name, wrong)
    (finding,) = check_claims([claims[claim_id]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.quick
def test_weights_that_are_off_by_a_thousandth_fail(claims, checks, monkeypatch):
    right = softmax_bounds.softmax_weights

    def wrong(*arguments):
        weights = right(*arguments)
        weights[:, 1::2] -= weights[:, 1::2] // 1000
        return weights

    monkeypatch.setattr(softmax_bounds, "softmax_weights", wrong)
    (finding,) = check_claims([claims["B-3"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.quick
def test_logits_that_move_further_than_said_fail(claims, checks, monkeypatch):
    right = softmax_bounds.float_softmax
    monkeypatch.setattr(
        softmax_bounds, "float_softmax", lambda logits, v, logit_scale: right(1.01 * logits, v, logit_scale=logit_scale)
    )
    (finding,) = check_claims([claims["B-5"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.quick
def test_a_bound_on_pruning_that_is_too_small_fails(claims, checks, monkeypatch):
    half = property(lambda case: np.ptp(case.v, axis=0) / 2)
    monkeypatch.setattr(softmax_bounds.SoftmaxCase, "value_range", half)
    (finding,) = check_claims([claims["B-6"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.quick
def test_a_plan_that_takes_eight_bit_probabilities_fails(claims, checks, monkeypatch):
    monkeypatch.setattr(softmax_bounds, "softmax_plan", lambda **keywords: None)
    (finding,) = check_claims([claims["K6-neg"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.quick
def test_z_scores_beyond_what_is_proven_fail(claims, checks, monkeypatch):
    right = bounds.zscore_weight_error
    monkeypatch.setattr(bounds, "zscore_weight_error", lambda *sizes, **more: 0.99 * right(*sizes, **more))
    (finding,) = check_claims([claims["B-2"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.parametrize("claim_id", ["B-3", "B-4"])
def test_wrong_sums_of_dpus_fail(claims, checks, claim_id, monkeypatch):
    right = softmax_cases.answers_of_parts

    def wrong(*arguments):
        sums = right(*arguments)
        return sums._replace(weighted_values=sums.weighted_values + sums.weighted_values // 100)

    monkeypatch.setattr(softmax_cases, "answers_of_parts", wrong)
    (finding,) = check_claims([claims[claim_id]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.parametrize(
    "difference",
    [{"nr_tasklets": 24}, {"threads": 2}, {"partition": determinism.SPLIT}, {"partition": determinism.SPLITS[-1]}],
)
def test_one_bit_in_one_kind_of_run_fails(claims, checks, difference, monkeypatch):
    """B-10."""
    right = determinism.answers

    def wrong(*arguments, **how):
        found = right(*arguments, **how)
        if difference.items() <= how.items():
            arrays_of(found)[0].flat[-1] ^= 1
        return found

    monkeypatch.setattr(determinism, "answers", wrong)
    (finding,) = check_claims([claims["B-10"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.parametrize("layout", ["block", "interleave"])
def test_a_split_that_differs_fails(claims, checks, layout, monkeypatch):
    right = attention.decode

    def wrong(operands, *, partition=WHOLE, **how):
        step = right(operands, partition=partition, **how)
        return step._replace(outputs=step.outputs + (partition.parts == 16 and partition.layout == layout))

    monkeypatch.setattr(attention, "decode", wrong)
    (finding,) = check_claims([claims["C0-03"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.parametrize("paging", ["contiguous", "paged"])
def test_a_context_that_grew_differently_fails(claims, checks, paging, monkeypatch):
    right = attention.grown_outputs

    def wrong(operands, *, loaded, **how):
        return right(operands, loaded=loaded, **how) + (loaded == 49 and how["paging"] == paging)

    monkeypatch.setattr(attention, "grown_outputs", wrong)
    (finding,) = check_claims([claims["C0-05"]], checks)
    assert finding.verdict == "FAIL"


@pytest.mark.parametrize("claim_id", ["C0-03", "C0-04", "C0-05", "C0-32"])
def test_wrong_steps_fail(claims, checks, claim_id, monkeypatch):
    right, calls = attention.decode, iter(range(1000))

    def wrong(operands, **keywords):
        step = right(operands, **keywords)
        return step._replace(outputs=step.outputs + next(calls), events=step.events + 1)

    monkeypatch.setattr(attention, "decode", wrong)
    (finding,) = check_claims([claims[claim_id]], checks)
    assert finding.verdict == "FAIL"
