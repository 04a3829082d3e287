"""Checks of the claims about document 3 fail when what they compute is wrong."""

from __future__ import annotations

from fractions import Fraction

import pytest

from host.claims import inference
from host.claims.checking import check_claims
from host.claims.inference import inference_checks
from host.claims.registry import load_registry
from host.llm.attention_memory import AttentionMemory
from host.llm.memory_use import MemoryUse

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in load_registry().claims}


def verdict(claims, claim_id):
    (finding,) = check_claims([claims[claim_id]], inference_checks())
    return finding.verdict


@pytest.mark.parametrize(
    ("claim_id", "name"),
    [
        ("C3-01", "weight_bytes"),
        ("C3-01", "printed_layer_parameters"),
        ("C3-02", "weight_bytes"),
        ("C3-03", "kv_bytes_peak"),
        ("C3-04", "kv_bytes_peak"),
        ("C3-05", "crossover_tokens"),
    ],
)
def test_a_thousandth_more_fails(claims, claim_id, name, monkeypatch):
    assert verdict(claims, claim_id) == "PASS"
    right = getattr(inference, name)
    monkeypatch.setattr(inference, name, lambda *arguments, **keywords: 1.001 * right(*arguments, **keywords))
    assert verdict(claims, claim_id) == "FAIL"


def test_a_crossover_that_forgets_the_bits_fails(claims, monkeypatch):
    monkeypatch.setattr(inference, "crossover_tokens", lambda roof, *, weight_bits: float(roof.balance))
    assert verdict(claims, "C3-06") == "FAIL"


def test_shares_that_leave_out_a_class_fail(claims, monkeypatch):
    right = inference.class_totals
    monkeypatch.setattr(inference, "class_totals", lambda operators, quant: right(operators[:1], quant))
    assert verdict(claims, "C3-09") == "FAIL"


class Measured:
    """Runs on the emulator, made up: bytes that move for the online kernel, times for both."""

    def __init__(self, online_bytes, online_s, in_mram_s):
        self.online_bytes, self.seconds = online_bytes, {"softmax_online": online_s, "softmax": in_mram_s}

    def __call__(self, norm, **shape):
        moved = self.online_bytes if norm == "softmax_online" else 120
        whole = MemoryUse(
            name=norm,
            minimal_bytes=Fraction(100),
            read_bytes=moved,
            write_bytes=0,
            engine_s=moved * 1e-9,
            kernel_s=self.seconds[norm],
            peak_bytes_per_s=2e9,
        )
        return AttentionMemory(whole, ())


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (Measured(110, online_s=1e-6, in_mram_s=2e-6), "PASS"),
        (Measured(120, online_s=1e-6, in_mram_s=2e-6), "FAIL"),
        (Measured(110, online_s=2e-6, in_mram_s=1e-6), "FAIL"),
    ],
    ids=["fewer bytes and less time", "as many bytes", "more time"],
)
def test_the_online_kernel_must_use_memory_better(claims, monkeypatch, runs, expected):
    monkeypatch.setattr(inference, "attention_memory", runs)
    assert verdict(claims, "C3-10") == expected
