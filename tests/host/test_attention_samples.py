"""Operands from the package, from files and from seeds; what a bad file is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from host.attention.samples import load_operands, random_integers, random_reals, shipped_operands


def good() -> dict[str, Any]:
    return {"q": np.ones((2, 3, 5, 4), np.float16), "k": np.ones((2, 3, 7, 4)), "v": np.ones((2, 3, 7, 4), np.float32)}


def test_shipped_operands_are_24_heads_of_real_activations() -> None:
    sample = shipped_operands()
    for array in (sample.q, sample.k, sample.v):
        assert array.shape == (24, 384, 32)
        assert array.dtype == np.float64
    assert np.abs(sample.q).max() == pytest.approx(8.68, abs=0.01)


def test_leading_axes_become_heads(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **good(), tokens=np.arange(7))
    operands = load_operands(tmp_path / "a.npz")
    assert (operands.q.shape, operands.k.shape, operands.v.shape) == ((6, 5, 4), (6, 7, 4), (6, 7, 4))


def test_query_heads_can_share_keys_and_values(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{**good(), "q": np.ones((2, 12, 5, 4))})
    operands = load_operands(tmp_path / "a.npz")
    assert (operands.q.shape, operands.k.shape, operands.v.shape) == ((24, 5, 4), (6, 7, 4), (6, 7, 4))


def test_one_head_needs_no_axis(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", q=np.ones((5, 4)), k=np.ones((7, 4)), v=np.ones((7, 4)))
    operands = load_operands(tmp_path / "a.npz")
    assert (operands.q.shape, operands.k.shape, operands.v.shape) == ((1, 5, 4), (1, 7, 4), (1, 7, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": np.ones((2, 3, 5, 8))}, "must be the same"),
        ({"q": np.ones((2, 4, 5, 4))}, "heads of q are a multiple of those"),
        ({"q": np.ones((4, 3, 5, 4))}, "as \\[..., heads, rows, dim\\]"),
        ({"k": np.ones((2, 3, 6, 4))}, "must be the same"),
        ({"q": np.ones((5, 4))}, "must be the same"),
        ({"v": np.ones((2, 3, 7, 4), np.int8)}, "v in .* is int8: it must be floating point"),
        ({"v": np.full((2, 3, 7, 4), np.nan)}, "v in .* contains NaN"),
        ({"k": np.ones((2, 3, 0, 4))}, r"k in .* has shape \(2, 3, 0, 4\)"),
        ({"q": np.ones(4)}, "q in .* has shape"),
        ({"q": np.array([None])}, "cannot be read"),
    ],
)
def test_files_that_do_not_hold_attention_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **{**good(), **change})
    with pytest.raises(ValueError, match=message):
        load_operands(tmp_path / "a.npz")


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", q=np.ones((2, 2)), keys=np.ones((2, 2)))
    with pytest.raises(ValueError, match="no array k, v; it holds q, keys"):
        load_operands(tmp_path / "a.npz")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_operands(tmp_path / "none.npz")
    for content in (b"", b"PK\x03\x04 not a zip", b"hello"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read"):
            load_operands(tmp_path / "bad.npz")
    np.save(tmp_path / "one.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match="no array q, k, v"):
        load_operands(tmp_path / "one.npy")


def test_random_operands_repeat_and_keep_to_their_limit() -> None:
    shape = {"heads": 2, "queries": 3, "tokens": 500, "dim": 4}
    first, again = (random_integers(7, dtype="int8", limit=5, **shape) for _ in range(2))
    assert first.q.shape == (2, 3, 4)
    assert first.k.shape == (2, 500, 4)
    assert (first.v == again.v).all()
    assert {int(x) for x in np.unique(first.k)} == set(range(-5, 6))
    assert (random_reals(7, **shape).q == random_reals(7, **shape).q).all()
    assert (random_reals(7, **shape).q != random_reals(8, **shape).q).any()
    with pytest.raises(ValueError, match="limit"):
        random_integers(7, dtype="int8", limit=128, **shape)
