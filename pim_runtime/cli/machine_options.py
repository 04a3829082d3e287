"""The machine that a subcommand runs on: `--profile`, and single values of it with `--set`."""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeAlias

from ..hardware import Hardware, known_keys, load_profile
from ..machine import DEFAULT_PROFILE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["add_machine_options", "add_set_option", "chosen_hardware", "machine_name"]

Options: TypeAlias = argparse._ActionsContainer  # a parser, or a group of one


def add_machine_options(options: Options) -> None:
    """Declare `--profile` and `--set`."""
    options.add_argument(
        "--profile",
        metavar="NAME",
        default=DEFAULT_PROFILE,
        help="hardware profile: a shipped name, or a .toml file (default: %(default)s)",
    )
    add_set_option(options)


def add_set_option(options: Options) -> None:
    """Declare `--set` alone."""
    options.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="another value, as in --set clock_mhz=450; the end of a key is enough, `pim info --profile NAME` has all",
    )


def chosen_hardware(arguments: argparse.Namespace) -> Hardware:
    """The machine of the arguments. Raises ProfileError for its profile or values, ValueError for a wrong `--set`."""
    hardware = load_profile(arguments.profile)
    return hardware.with_values(dict(_key_and_value(text, hardware) for text in arguments.set))


def machine_name(hardware: Hardware) -> str:
    """The profile and what was set, for reports: "profile upmem-v1a with pipeline.clock_mhz = 450 MHz"."""
    changes = ", ".join(f"{change.key} = {change.value} {change.unit}" for change in hardware.changes)
    return f"profile {hardware.name}" + (f" with {changes}" if changes else "")


def _key_and_value(text: str, hardware: Hardware) -> tuple[str, int | Decimal]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--set {text}: has no value. Write --set KEY=VALUE, as in --set clock_mhz=450.")
    return _full_key(name.strip(), hardware), _parsed(text, value.strip())


def _full_key(name: str, hardware: Hardware) -> str:
    """The key that is `name`, or the one of this machine that ends with it."""
    if name in known_keys():
        return name
    keys = tuple(hardware.quantities)
    matches = [key for key in keys if key.endswith(f".{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ValueError(f"--set {name}: is the end of {', '.join(matches)}. Write more of the key.")
    ends = {".".join(key.split(".")[first:]): key for key in keys for first in range(key.count(".") + 1)}
    near = dict.fromkeys(ends[end] for end in get_close_matches(name, ends, n=5))
    hint = f"Did you mean {' or '.join(near)}?" if near else "`pim info --profile NAME` has the keys."
    raise ValueError(f"--set {name}: no value of {hardware.name} has this key. {hint}")


def _parsed(text: str, value: str) -> int | Decimal:
    """A value as a profile states it: a number, or a list of points."""
    try:
        parsed: int | Decimal = tomllib.loads(f"value = {value}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        raise ValueError(
            f"--set {text}: {value!r} is not a value of a profile. Write a number, as in clock_mhz=450, or a list, as "
            f"in 'barrier=[[1, 110], [24, 5349]]'."
        ) from None
    return parsed
