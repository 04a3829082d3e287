"""Operands to run attention on: the shipped activations, a user's .npz file, or synthetic numbers from a seed.

Owns the file format (arrays `q`, `k` and `v`) and its validation. Quantising is `quantise`'s business.
"""

from __future__ import annotations

import importlib.resources
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .operands import operand_dtype

__all__ = ["IntegerOperands", "RealOperands", "load_operands", "random_integers", "random_reals", "shipped_operands"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealOperands:
    """Real operands of attention heads: float64 q [heads, queries, dim], k and v [kv_heads, tokens, dim].

    Query head h belongs to KV head h // (heads / kv_heads).
    """

    q: NDArray[np.float64]
    k: NDArray[np.float64]
    v: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntegerOperands:
    """Integer operands of attention heads, of one type: q [heads, queries, dim], k and v [heads, tokens, dim]."""

    q: NDArray[np.signedinteger]
    k: NDArray[np.signedinteger]
    v: NDArray[np.signedinteger]


def load_operands(path: str | Path) -> RealOperands:
    """Read `q` [..., heads, queries, dim], `k` and `v` [..., kv_heads, tokens, dim] from an .npz file.

    Leading axes, such as layers, join the heads and must be the same in all three; heads are a multiple of kv_heads.

    Raises FileNotFoundError, or ValueError that names the array and what is wrong with it: missing, not floating point,
    shapes that do not match, empty, NaN or infinity.
    """
    with Path(path).open("rb") as file:
        return _read(file, name=str(path))


def shipped_operands() -> RealOperands:
    """The sample in the package: 24 heads of all-MiniLM-L6-v2 (layers 1 and 4), 384 queries and tokens, 32 dims."""
    name = "minilm_qkv.npz"
    with importlib.resources.files("host.attention").joinpath("data", name).open("rb") as file:
        return _read(file, name=name)


def random_reals(seed: int, *, heads: int, queries: int, tokens: int, dim: int) -> RealOperands:
    """Standard normal operands, the same for the same arguments."""
    generator = np.random.default_rng(seed)
    q, k, v = (generator.standard_normal((heads, rows, dim)) for rows in (queries, tokens, tokens))
    return RealOperands(q=q, k=k, v=v)


def random_integers(
    seed: int, *, dtype: DTypeLike, limit: int, heads: int, queries: int, tokens: int, dim: int
) -> IntegerOperands:
    """Integers uniform in -limit to limit, the same for the same arguments.

    Raises ValueError for a limit outside the type, TypeError for a type other than int8, int16 and int32.
    """
    resolved = operand_dtype(dtype)
    if not 0 <= limit <= np.iinfo(resolved).max:
        raise ValueError(f"limit = {limit} for {resolved}: choose 0 to {np.iinfo(resolved).max}.")
    generator = np.random.default_rng(seed)
    q, k, v = (
        generator.integers(-limit, limit, size=(heads, rows, dim), dtype=resolved.type, endpoint=True)
        for rows in (queries, tokens, tokens)
    )
    return IntegerOperands(q=q, k=k, v=v)


def _read(file: IO[bytes], *, name: str) -> RealOperands:
    try:
        archive = np.load(file, allow_pickle=False)
        arrays = {key: archive[key] for key in archive} if isinstance(archive, np.lib.npyio.NpzFile) else {}
    except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{name} cannot be read as an .npz archive of numbers ({error}): write it with "
            "numpy.savez(path, q=q, k=k, v=v)."
        ) from error
    missing = [key for key in ("q", "k", "v") if key not in arrays]
    if missing:
        raise ValueError(
            f"{name} has no array {', '.join(missing)}; it holds {', '.join(arrays) or 'no named array'}: "
            "write it with numpy.savez(path, q=q, k=k, v=v)."
        )
    q, k, v = (_heads(arrays[key], where=f"{key} in {name}") for key in ("q", "k", "v"))
    if k.shape != v.shape or q.shape[-1] != k.shape[-1] or q.shape[:-3] != k.shape[:-3] or q.shape[-3] % k.shape[-3]:
        raise ValueError(
            f"{name}: q, k and v have shapes {q.shape}, {k.shape} and {v.shape} as [..., heads, rows, dim]. "
            "Dim must be the same in all three, heads and tokens in k and v; heads of q are a multiple of those."
        )
    q, k, v = (array.reshape(-1, *array.shape[-2:]) for array in (q, k, v))
    return RealOperands(q=q, k=k, v=v)


def _heads(array: NDArray[np.generic], *, where: str) -> NDArray[np.float64]:
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{where} has shape {array.shape}: it must be [..., tokens, dim] with elements.")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{where} is {array.dtype}: it must be floating point, before quantisation.")
    if not np.isfinite(array).all():
        raise ValueError(f"{where} contains NaN or infinity.")
    return array.astype(np.float64).reshape((1,) * (3 - array.ndim) + array.shape)
