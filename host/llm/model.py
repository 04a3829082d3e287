"""The shape of a decoder-only transformer, whose formulas are in `parameters` and `operators` (U-3).

Owns the record and the rules between its sizes. `catalogue` has the models that ship, `huggingface` reads others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Integral
from typing import Literal, get_args

__all__ = ["Activation", "ModelConfig", "Norm", "Positions", "toy", "with_exact_ffn"]

Activation = Literal["relu", "gelu", "silu"]
Positions = Literal["rope", "alibi", "learned"]
Norm = Literal["rms", "layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A decoder-only transformer.

    layers: n_l. hidden: H, elements of a token between layers. heads, kv_heads: query heads, and heads of K and V.
    dim: d, elements of a head. ffn: M, elements inside the feed-forward network, a Fraction only after
    `with_exact_ffn`. ffn_matrices: 2 (up, down), or 3 with a gate. vocabulary: V, None where it was not published.
    tied: whether the embedding is the output matrix too. max_tokens: longest context it was trained for.
    norm: "rms" has one weight per element, "layer" two.

    Raises ValueError for sizes that cannot be, TypeError for sizes that are no integers.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    dim: int
    ffn: int | Fraction
    ffn_matrices: Literal[2, 3]
    vocabulary: int | None
    tied: bool
    max_tokens: int
    activation: Activation
    positions: Positions
    norm: Norm

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "heads", "kv_heads", "dim", "ffn", "vocabulary", "max_tokens"):
            self._check_size(name, getattr(self, name))
        if self.heads % self.kv_heads:
            raise ValueError(
                f"model {self.name!r}: {self.heads} query heads on {self.kv_heads} KV heads: "
                "each KV head serves equally many"
            )
        choices = {"ffn_matrices": (2, 3), "activation": get_args(Activation), "positions": get_args(Positions)}
        for name, allowed in {**choices, "norm": get_args(Norm)}.items():
            if getattr(self, name) not in allowed:
                shown = ", ".join(map(str, allowed))
                raise ValueError(f"model {self.name!r}: {name} = {getattr(self, name)!r}: choose one of {shown}")

    @property
    def queries(self) -> int:
        """g, query heads that share a KV head."""
        return self.heads // self.kv_heads

    def _check_size(self, name: str, size: object) -> None:
        if size is None and name == "vocabulary":
            return
        exact = isinstance(size, Fraction) and name == "ffn"
        if isinstance(size, bool) or not (exact or isinstance(size, Integral)):
            raise TypeError(f"model {self.name!r}: {name} = {size!r}: must be an integer")
        if size < 1:  # type: ignore[operator]  # both kinds of number compare
            raise ValueError(f"model {self.name!r}: {name} = {size}: must be at least 1")


def toy(
    *,
    layers: int = 2,
    hidden: int = 32,
    heads: int = 4,
    kv_heads: int = 2,
    dim: int = 8,
    ffn: int = 64,
    vocabulary: int = 64,
    max_tokens: int = 64,
) -> ModelConfig:
    """A LLaMA-style model that is small enough to be computed in full."""
    return ModelConfig(
        name="toy",
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        dim=dim,
        ffn=ffn,
        ffn_matrices=3,
        vocabulary=vocabulary,
        tied=False,
        max_tokens=max_tokens,
        activation="silu",
        positions="rope",
        norm="rms",
    )


def with_exact_ffn(model: ModelConfig) -> ModelConfig:
    """The model with M = 8/3 H, unrounded, as the public AttAcc simulator counts LLaMA's three matrices (U-3)."""
    return replace(model, ffn=Fraction(8 * model.hidden, 3))
