"""Variants of the exponential (K-7): the stated relative errors are proven by enumeration, and are tight."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

from dpu_kernels.attention import exponential as constants
from host.attention.exponential import RELATIVE_ERROR, Exponential, check_exponential, exponential_table, power_of_two

pytestmark = pytest.mark.quick

VARIANTS = get_args(Exponential)
FRACTIONS = np.arange(2**16)
# K-7 prints two or three digits
SPECIFIED = {
    "lut256_lerp": 9.2e-7,
    "lut256_mid": 1.35e-3,
    "lut256_floor": 2.70e-3,
    "poly2": 1.73e-3,
    "poly3": 7.5e-5,
    "iexp": 3.10e-3,
}


def powers(variant: Exponential) -> list[int]:
    return power_of_two(FRACTIONS, variant, exponential_table(variant)).tolist()


def literal(variant: Exponential, u: int) -> int:
    """K-7 with Python integers, and with constants from their real values."""

    def rsh(a: int, s: int) -> int:
        return (a + (1 << (s - 1))) >> s

    def q30(*coefficients: float) -> list[int]:
        return [round(c * 2**30) for c in coefficients]

    if variant == "poly2":
        c0, c1, c2 = q30(0.99827524, 0.66600761, 0.16859474)
        return c0 - rsh((c1 - rsh(c2 * u, 16)) * u, 16)
    if variant == "poly3":
        c0, c1, c2, c3 = q30(0.99992524, 0.69102046, 0.23006962, 0.03901177)
        return c0 - rsh((c1 - rsh((c2 - rsh(c3 * u, 16)) * u, 16)) * u, 16)
    if variant == "iexp":
        step = math.log(2) / 65536
        root, offset = math.floor(1.353 / step), math.floor(0.344 / (0.3585 * step**2))
        return min(2**30, rsh(((root - u) ** 2 + offset) * round(0.3585 * step**2 * 2**58), 28))
    i, place = u >> 8, 0.5 if variant == "lut256_mid" else 0.0
    left, right = (round(2 ** (30 - (j + place) / 256)) for j in (i, i + 1))
    return left - (((left - right) * (u & 255) + 128) >> 8) if variant == "lut256_lerp" else left


@pytest.mark.parametrize("variant", VARIANTS)
def test_powers_are_those_of_the_literal_steps(variant: Exponential) -> None:
    step = 7  # odd, so that all residues of the table steps are met
    assert powers(variant)[::step] == [literal(variant, int(u)) for u in FRACTIONS[::step]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_relative_error_is_stated_tightly(variant: Exponential) -> None:
    measured = float(np.abs(np.array(powers(variant)) / np.exp2(30 - FRACTIONS / 2**16) - 1).max())
    stated = RELATIVE_ERROR[variant]
    # the margin pays for second-order terms that the sum of first-order errors in rho leaves out
    second_order = stated * math.log(2) * 2.0**-16
    assert measured + second_order < stated <= 1.02 * measured, f"{variant}: measured {measured}"
    assert measured == pytest.approx(SPECIFIED[variant], rel=0.004)


@pytest.mark.parametrize("variant", VARIANTS)
def test_powers_stay_in_the_unit_and_never_grow(variant: Exponential) -> None:
    values = np.array(powers(variant))
    assert values.max() <= 2**30
    assert values.min() > 0
    assert (np.diff(values) <= 0).all()


def test_intermediates_of_the_polynomials_stay_below_59_bits() -> None:
    u = 2**16 - 1
    assert (constants.IEXP_ROOT**2 + constants.IEXP_OFFSET) * constants.IEXP_SCALE + 2**27 < 2**59
    assert constants.POLY2_1 * u < constants.POLY3_1 * u < 2**59


@pytest.mark.parametrize(("variant", "place"), [("lut256_lerp", 0), ("lut256_mid", 1), ("lut256_floor", 0)])
def test_tables_are_correctly_rounded(variant: Exponential, place: int) -> None:
    table = [int(entry) for entry in exponential_table(variant)]
    assert len(table) == 257
    for i, entry in enumerate(table):
        # |entry - 2**(30 - (2 i + place) / 512)| <= 1/2, raised to the power of 512 to stay in integers
        assert (2 * entry - 1) ** 512 <= 2 ** (31 * 512 - 2 * i - place) <= (2 * entry + 1) ** 512


def test_tables_are_read_only_and_empty_for_polynomials() -> None:
    assert not any(exponential_table(variant).flags.writeable for variant in VARIANTS)
    assert [exponential_table(variant).size for variant in ("poly2", "poly3", "iexp")] == [0, 0, 0]


@pytest.mark.parametrize("name", ["int8_normalised", "exp", ""])
def test_unknown_variants_are_refused_with_the_ones_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"lut256_lerp, .*, iexp\. Normalised 8-bit probabilities are not offered"):
        check_exponential(name)


def test_errors_cannot_be_changed_by_accident() -> None:
    assert tuple(RELATIVE_ERROR) == VARIANTS
    with pytest.raises(TypeError):
        RELATIVE_ERROR["iexp"] = 0.0  # type: ignore[index]
