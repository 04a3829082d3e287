"""Versions of installed distributions, asked of their metadata: a package need not be imported to be named."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["installed_version"]


def installed_version(distribution: str) -> str:
    """Version of a distribution such as "numba", or "not installed"."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
