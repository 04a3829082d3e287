"""Profiles of machines of DPUs: the files that state one, some of them as what differs from another.

A profile may name a `base`, which may have one itself; a value that a profile does not state is that of its base.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from .profile_files import ProfileFolder
from .records import Hardware

__all__ = ["available_profiles", "hardware_profiles", "load_profile"]


def available_profiles() -> list[str]:
    """Names of the profiles that ship with the package, sorted."""
    return hardware_profiles().available()


def load_profile(name_or_path: str | Path) -> Hardware:
    """The machine of a shipped profile ("upmem-v1a"), or of a file (any path that ends in ".toml").

    A file names its base as a shipped profile, or as a path from the folder of the file.
    Raises ProfileError if there is no such profile, if it is among its own bases, or if it breaks a rule. `Hardware`
    has the keys and rules.
    """
    return hardware_profiles().load(name_or_path)


def hardware_profiles() -> ProfileFolder[Hardware]:
    """The machines of DPUs that ship."""
    return ProfileFolder("hardware profile", files("pim_runtime") / "profiles", Hardware)
