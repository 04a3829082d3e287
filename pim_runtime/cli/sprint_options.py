"""What the commands of `pim sprint` ask for: queries and keys, how they are pruned, and the chip."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, TypeAlias

from .model_options import count

if TYPE_CHECKING:
    from host.machines.sprint_chip import SprintChip
    from host.sprint.accelerator import Accelerator
    from host.sprint.inputs import QueryStream
    from host.sprint.pruning import InMemoryPruning
    from host.sprint.thresholding import Thresholder

__all__ = [
    "CHIPS",
    "add_fractions_option",
    "add_pruning_options",
    "add_stream_options",
    "add_threshold_options",
    "add_use_options",
    "chosen_accelerator",
    "chosen_chip",
    "chosen_pruning",
    "chosen_stream",
    "chosen_thresholder",
]

Options: TypeAlias = argparse._ActionsContainer  # a parser, or a group of one

CHIPS = {"S": "sprint-s", "M": "sprint-m", "L": "sprint-l"}
DEFAULT = "(default: %(default)s)"
PUBLISHED_VALID = 0.54  # of all tokens: 46 % padding, as reported of BERT on SQuAD
MADE_UP_TOKENS, MADE_UP_DIM = 384, 64
MOST_SCORES = MOST_ELEMENTS = 2**24
LONGEST_SEED = 18  # digits
KEEP_FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def add_stream_options(options: Options) -> None:
    """Declare where queries and keys come from."""
    options.add_argument(
        "--queries",
        default="drift:0.95",
        metavar="WHAT",
        help="drift:R, made up, adjacent ones correlated by R; random, drift:0; real, heads of a language model with "
        f"all their positions; or an .npz file of q, k and v {DEFAULT}",
    )
    options.add_argument(
        "--n", type=count, metavar="TOKENS", help=f"with padding (default: {MADE_UP_TOKENS}, or all there are)"
    )
    options.add_argument(
        "--valid",
        type=count,
        metavar="TOKENS",
        help=f"that are no padding (default: {PUBLISHED_VALID:.0%}% of made-up ones, all real ones)",
    )
    options.add_argument("--d", type=count, metavar="DIM", help=f"of a head (default: {MADE_UP_DIM}, or as it is)")
    options.add_argument("--heads", type=count, metavar="N", help="how many (default: 1, or all there are)")
    options.add_argument("--kv-heads", type=count, metavar="N", help="made-up heads of K and V (default: one each)")
    options.add_argument(
        "--structure",
        choices=("none", "runs", "clusters", "peaked"),
        default="none",
        help=f"planted in made-up keys {DEFAULT}",
    )
    options.add_argument("--rng", type=_seed, default=1, metavar="SEED", help=f"of what is made up {DEFAULT}")


def add_pruning_options(options: Options) -> None:
    """Declare the thresholds."""
    options.add_argument("--keep", type=float, default=0.133, help=f"fraction that thresholds are set for {DEFAULT}")
    options.add_argument("--theta", type=float, metavar="SCORE", help="one threshold for all, instead of --keep")
    add_threshold_options(options)


def add_fractions_option(options: Options) -> None:
    """Declare --keep with several fractions."""
    options.add_argument(
        "--keep",
        type=_fractions,
        default=KEEP_FRACTIONS,
        metavar="N,...",
        help=f"fractions to keep, each a row (default: {','.join(map(str, KEEP_FRACTIONS))})",
    )


def add_threshold_options(options: Options) -> None:
    """Declare who shares thresholds, and what is compared with them."""
    options.add_argument(
        "--scope",
        choices=("query", "head", "layer", "all"),
        default="head",
        help=f"who shares a threshold that --keep sets {DEFAULT}",
    )
    options.add_argument("--msb", type=int, default=4, metavar="BITS", help=f"of K in the product in memory {DEFAULT}")
    options.add_argument("--q-bits", type=int, default=4, metavar="BITS", help=f"of q in it {DEFAULT}")
    options.add_argument("--mode", choices=("trunc", "round"), default="trunc", help=f"how bits are cut off {DEFAULT}")
    options.add_argument(
        "--conservative",
        choices=("on", "off"),
        default="off",
        help=f"lower thresholds so far that no token at the threshold or above is pruned {DEFAULT}",
    )
    options.add_argument(
        "--noise", type=float, default=0.0, metavar="SIGMA", help=f"of the analog sums, in units of scores {DEFAULT}"
    )


def add_use_options(options: Options) -> None:
    """Declare how the chip is used."""
    options.add_argument(
        "--mapping", choices=("interleave", "block"), default="interleave", help=f"of tokens to corelets {DEFAULT}"
    )
    options.add_argument(
        "--misses",
        choices=("present-first", "arrivals", "stall"),
        default="present-first",
        help="tokens to be loaded: the longer of loads and arithmetic, or each when it is there, or all before any "
        f"arithmetic {DEFAULT}",
    )
    options.add_argument(
        "--ahead",
        type=int,
        default=0,
        metavar="QUERIES",
        help="how many queries memory may be ahead of the arithmetic; 0: each query waits for its own thresholds, as "
        f"S4-9 adds them up {DEFAULT}",
    )


def chosen_stream(arguments: argparse.Namespace) -> QueryStream:
    """Queries, keys and values. Raises ValueError for what there is not, or too much of it."""
    from host.sprint.inputs import padded

    kind, _, drift = arguments.queries.partition(":")
    are_real = arguments.queries == "real" or arguments.queries.endswith(".npz")
    if are_real:
        stream = _real(arguments)
    elif kind == "drift" or (kind, drift) == ("random", ""):
        stream = _made_up(arguments, _drift(drift) if kind == "drift" else 0.0)
    else:
        raise ValueError(
            f"--queries {arguments.queries}: choose drift:R, as in drift:0.95, or random, real or a file.npz"
        )
    default = stream.tokens if are_real else max(1, round(PUBLISHED_VALID * stream.tokens))
    return padded(stream, default if arguments.valid is None else arguments.valid)


def chosen_pruning(arguments: argparse.Namespace, stream: QueryStream, chip: SprintChip) -> InMemoryPruning:
    """Thresholds for a stream without padding, on the columns that its keys need.

    Raises ValueError for what there is not.
    """
    from host.sprint.calibrated import calibrated_pruning
    from host.sprint.pruning import InMemoryPruning
    from host.sprint.thresholding import columns_needed

    thresholder = chosen_thresholder(arguments, columns=columns_needed(stream.dim, chip.thresholding.crossbar_rows))
    if arguments.theta is not None:
        return InMemoryPruning(theta=arguments.theta, thresholder=thresholder)
    return calibrated_pruning(stream, arguments.keep, thresholder=thresholder, scope=arguments.scope)


def chosen_thresholder(arguments: argparse.Namespace, *, columns: int = 1) -> Thresholder:
    """The comparators in memory, for keys over so many columns. Raises ValueError for what there is not."""
    from host.sprint.scores import AnalogFormat
    from host.sprint.thresholding import Thresholder

    return Thresholder(
        analog=AnalogFormat(msb_bits=arguments.msb, q_bits=arguments.q_bits, mode=arguments.mode),
        offset="conservative" if arguments.conservative == "on" else "none",
        noise_sigma=arguments.noise,
        noise_seed=arguments.rng,
        columns=columns,
    )


def chosen_chip(config: str) -> SprintChip:
    """One of S, M and L, or of a .toml file. Raises ProfileError for what there is not."""
    from host.machines.sprint_chip import sprint_chips

    return sprint_chips().load(CHIPS.get(config.upper(), config))


def chosen_accelerator(arguments: argparse.Namespace, chip: SprintChip, dim: int) -> Accelerator:
    """The chip, as it is used."""
    from host.sprint.accelerator import Accelerator
    from host.sprint.timing import Timing

    return Accelerator(
        chip=chip,
        dim=dim,
        mapping=arguments.mapping,
        timing=Timing(misses=arguments.misses.replace("-", " "), ahead=arguments.ahead),
    )


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_SEED):
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: a seed is a whole number of up to {LONGEST_SEED} digits")
    return int(text)


def _real(arguments: argparse.Namespace) -> QueryStream:
    from host.attention.samples import load_operands
    from host.sprint.inputs import real_stream

    shown = f"--queries {arguments.queries}"
    stream = real_stream(None if arguments.queries == "real" else load_operands(arguments.queries))
    _check_size(stream.heads, stream.queries.shape[1], stream.tokens, stream.dim, remedy="cut the file")
    if stream.queries.shape[1] > stream.tokens:
        raise ValueError(
            f"{shown}: {stream.queries.shape[1]} queries over {stream.tokens} tokens; at most one for each"
        )
    given = {"--n": (arguments.n, stream.tokens), "--d": (arguments.d, stream.dim)}
    for name, (asked, there) in given.items():
        if asked is not None and asked != there:
            raise ValueError(f"{name} {asked} with {shown}: the heads have {there}. Leave {name} out")
    if arguments.kv_heads is not None:
        raise ValueError(f"--kv-heads {arguments.kv_heads} with {shown}: real heads share K and V as they do")
    if arguments.structure != "none":
        raise ValueError(f"--structure {arguments.structure} with {shown}: nothing is planted in real keys")
    return stream if arguments.heads in (None, stream.heads) else _first_heads(stream, arguments.heads)


def _first_heads(stream: QueryStream, heads: int) -> QueryStream:
    from dataclasses import replace

    if heads > stream.heads:
        raise ValueError(f"--heads {heads} with real queries: there are {stream.heads}")
    first = slice(heads)
    return replace(
        stream,
        queries=stream.queries[first],
        keys=stream.keys[first],
        values=stream.values[first],
        logit_scales=stream.logit_scales[first],
        value_scales=stream.value_scales[first],
        layers=1,
    )


def _made_up(arguments: argparse.Namespace, drift: float) -> QueryStream:
    from host.sprint.inputs import synthetic_stream

    tokens = MADE_UP_TOKENS if arguments.n is None else arguments.n
    heads = 1 if arguments.heads is None else arguments.heads
    dim = MADE_UP_DIM if arguments.d is None else arguments.d
    _check_size(heads, tokens, tokens, dim, remedy="ask for fewer, with --d, --n or --heads")
    return synthetic_stream(
        arguments.rng,
        heads=heads,
        queries=tokens,
        tokens=tokens,
        dim=dim,
        drift=drift,
        structure=arguments.structure,
        kv_heads=arguments.kv_heads,
    )


def _check_size(heads: int, queries: int, tokens: int, dim: int, *, remedy: str) -> None:
    """Raise ValueError for what would not fit this computer's memory."""
    found = {
        f"scores of {queries:,} queries and {tokens:,} tokens": (heads * queries * tokens, MOST_SCORES),
        f"elements of {tokens:,} keys of {dim:,}": (heads * tokens * dim, MOST_ELEMENTS),
    }
    for what, (there_are, most) in found.items():
        if there_are > most:
            raise ValueError(f"{there_are:,} {what}, in {heads:,} heads: at most {most:,}; {remedy}")


def _fractions(text: str) -> tuple[float, ...]:
    """The value of an option with several fractions, as in 0.02,0.1."""
    try:
        found = tuple(dict.fromkeys(map(float, text.split(","))))
    except ValueError:
        found = ()
    if not found or not all(0 < fraction <= 1 for fraction in found):
        raise argparse.ArgumentTypeError(f"{text!r}: give fractions above 0, 1 at most, as in 0.02,0.1,0.5")
    return found


def _drift(text: str) -> float:
    try:
        drift = float(text)
    except ValueError:
        drift = math.nan
    if not 0 <= drift <= 1:
        raise ValueError(f"--queries drift:{text}: the correlation of adjacent queries is 0 to 1, as in drift:0.95")
    return drift
