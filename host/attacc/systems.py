"""Systems of document 1: GPUs, and what computes attention for them (S1-1, S1-8). Owns the record and the five systems.

`pricing` says what a layer costs; a decode step is all layers, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, get_args

from host.llm.model import ModelConfig
from host.llm.quantisation import QuantConfig
from host.machines.batch_search import BatchChoice, largest_batch
from host.machines.capacity import CapacityRule
from host.machines.cost import Cost, averaged, overlapped, repeated
from host.machines.cpus import cpu_servers
from host.machines.gpu_tiles import Fidelity
from host.machines.gpus import GpuServer, gpu_servers
from host.machines.hbm_pim import HbmPim, hbm_pims

from .attention_devices import CpuAttention, GpuAttention
from .attention_work import AttentionDevice
from .energy import Energy, EnergyMode, total
from .layer_parts import least_layer_s, prompt_layer
from .memory import requests_that_fit
from .pim_attention import PimAttention
from .pricing import LayerPrices
from .schedules import RULES, FfnPlace, Schedule, batch_level_s

__all__ = ["HeteroSystem", "Latency", "SystemName", "attacc_system", "decode_contexts"]

SystemName = Literal["dgx", "dgx_large", "dgx+attacc", "dgx-cpu", "2xdgx"]
Latency = Literal["last", "mean"]
"""Which step of a request an SLO limits: the last, which has the longest context, or all of them on average."""

SERVERS: dict[SystemName, str] = {
    "dgx": "dgx-a100-hbm3",
    "dgx_large": "dgx-a100-hbm3-large",
    "dgx+attacc": "dgx-a100-hbm3",
    "dgx-cpu": "dgx-a100-hbm3",
    "2xdgx": "dgx-a100-hbm3-2x",
}
CPUS = "dgx-cpus-per-gpu"
MOST_NEW_TOKENS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HeteroSystem:
    """A model on GPUs, with attention on them or on another device.

    Raises ValueError for a schedule or co-processing that the attention device does not allow.
    """

    name: str
    server: GpuServer
    attention: AttentionDevice
    model: ModelConfig
    quant: QuantConfig
    schedule: Schedule = "sequential"
    ffn: FfnPlace = "gpu"
    fidelity: Fidelity = "tile"
    energy_mode: EnergyMode = "fixed"

    def __post_init__(self) -> None:
        chosen = {"schedule": Schedule, "ffn": FfnPlace, "fidelity": Fidelity, "energy_mode": EnergyMode}
        for name, choices in chosen.items():
            if getattr(self, name) not in get_args(choices):
                shown = ", ".join(get_args(choices))
                raise ValueError(f"{self.name}: {name} = {getattr(self, name)!r}: choose one of {shown}")
        on_pim = isinstance(self.attention, PimAttention)
        if not on_pim and (self.schedule != "sequential" or self.ffn != "gpu"):
            raise ValueError(
                f"{self.name}: schedule {self.schedule} with ffn {self.ffn} overlaps GPUs and PIM, and there is no "
                "PIM. Take the schedule sequential and ffn gpu"
            )
        if self.schedule == "batch_level" and self.ffn != "gpu":
            raise ValueError(f"{self.name}: batch_level keeps the PIM busy with attention. Take ffn gpu")

    @property
    def pim(self) -> HbmPim:
        """The HBM with PIM. Raises ValueError if attention is elsewhere."""
        if not isinstance(self.attention, PimAttention):
            raise ValueError(f"{self.name} has no PIM")
        return self.attention.pim

    @property
    def capacity_bytes(self) -> int:
        """Memory of GPUs and attention device, which hold weights and caches together."""
        return self.server.gpus.total_bytes + self.attention.total_bytes

    def iteration(self, batch: int, context: int) -> Cost:
        """A decode step of `batch` requests with `context` tokens each, the new one included.

        Raises ValueError for sizes below 1, and for batch_level with a single request.
        """
        return self._step(self._layers(batch, (context,)))

    def step_s(self, batch: int, context: int) -> float:
        """`iteration(batch, context).seconds`, for those who need no more."""
        return self._step_seconds(batch, (context,))[0]

    def generate(self, batch: int, prompt: int, new_tokens: int) -> Cost:
        """The mean step of requests that decode `new_tokens`, of which the first comes with the prompt."""
        return self._step(self._layers(batch, decode_contexts(prompt, new_tokens)))

    def mean_step_s(self, batch: int, prompt: int, new_tokens: int) -> float:
        """`generate(batch, prompt, new_tokens).seconds`, for those who need no more."""
        return fmean(self._step_seconds(batch, decode_contexts(prompt, new_tokens)))

    def last_step(self, batch: int, prompt: int, new_tokens: int) -> Cost:
        """The longest context."""
        return self.iteration(batch, decode_contexts(prompt, new_tokens)[-1])

    def prompt(self, batch: int, tokens: int) -> Cost:
        """The prompts of `batch` requests, `tokens` each, up to their first new tokens. Raises as `iteration` does."""
        return replace(repeated(prompt_layer(self, batch, tokens), self.model.layers), name="prompt")

    def energies(self, batch: int, context: int) -> dict[str, Energy]:
        """Of a step, by part."""
        return self._mean_energies(batch, (context,))

    def mean_energies(self, batch: int, prompt: int, new_tokens: int) -> dict[str, Energy]:
        """Of the mean step, by part."""
        return self._mean_energies(batch, decode_contexts(prompt, new_tokens))

    def most_requests(self, context: int, rule: CapacityRule = "strict") -> int:
        """How many fit beside the weights. Raises MachineCapacityError if these do not fit."""
        return requests_that_fit(
            self.model, self.quant, context=context, room_bytes=self.capacity_bytes, rule=rule, where=self.name
        )

    def max_batch(
        self,
        prompt: int,
        new_tokens: int,
        *,
        slo_s: float | None,
        latency: Latency = "last",
        rule: CapacityRule = "strict",
    ) -> BatchChoice:
        """The largest batch that fits at the end and meets the SLO (S1-14). Raises as `largest_batch` does."""
        contexts = decode_contexts(prompt, new_tokens)
        priced = contexts[-1:] if latency == "last" else contexts
        return largest_batch(
            lambda batch: fmean(self._step_seconds(batch, priced)),
            fits=self.most_requests(contexts[-1], rule),
            slo_s=slo_s,
            what=self.name,
            least_s=self._least_step_s,
        )

    def _step(self, layers: Sequence[Cost]) -> Cost:
        """All layers of the mean of several steps, of which a layer each is given."""
        return replace(repeated(averaged(layers), self.model.layers), name="decode step")

    def _layers(self, batch: int, contexts: Sequence[int]) -> list[Cost]:
        if self.schedule == "batch_level":
            halves = [LayerPrices(self, half) for half in _halves(batch)]
            return [_batch_level([half.sides(context) for half in halves]) for context in contexts]
        prices = LayerPrices(self, batch)
        return [prices.cost(context) for context in contexts]

    def _mean_energies(self, batch: int, contexts: Sequence[int]) -> dict[str, Energy]:
        """Halves of a batch read the weights twice; other schedules change when something is done, not what."""
        shares = _halves(batch) if self.schedule == "batch_level" else (batch,)
        layers = [LayerPrices(self, share) for share in shares]
        steps = [layer.energies(context) for context in contexts for layer in layers]
        factor = self.model.layers / len(contexts)
        return {name: total([step[name] for step in steps]).times(factor) for name in steps[0]}

    def _least_step_s(self, batch: int) -> float:
        """A bound from below of `step_s`, of batch_level too: two halves take no less of these than a whole."""
        return self.model.layers * least_layer_s(self, batch)

    def _step_seconds(self, batch: int, contexts: Sequence[int]) -> list[float]:
        if self.schedule == "batch_level":
            larger = LayerPrices(self, _halves(batch)[0])
            layers = [batch_level_s(*larger.sides_s(context)) for context in contexts]
        else:
            prices = LayerPrices(self, batch)
            layers = [prices.seconds(context) for context in contexts]
        return [self.model.layers * seconds for seconds in layers]


def decode_contexts(prompt: int, new_tokens: int) -> range:
    """Tokens in the cache at each step: the first new token comes with the prompt, each other one from a step.

    Raises ValueError for an empty prompt, where there is no step, and where there are too many.
    """
    if prompt < 1:
        raise ValueError(f"prompt of {prompt} tokens: must be at least 1")
    if new_tokens > MOST_NEW_TOKENS:
        raise ValueError(f"{new_tokens:,} new tokens: at most {MOST_NEW_TOKENS:,}, for every step is priced")
    if new_tokens < 2:
        raise ValueError(f"{new_tokens} new tokens: the first comes with the prompt, so give at least 2 for a step")
    return range(prompt + 1, prompt + new_tokens)


def attacc_system(
    name: SystemName,
    model: ModelConfig,
    quant: QuantConfig,
    *,
    pim: str = "attacc-bank",
    cpus: str = CPUS,
    schedule: Schedule = "sequential",
    ffn: FfnPlace = "gpu",
    reuse_rows: int = 1,
    fidelity: Fidelity = "tile",
    energy_mode: EnergyMode = "fixed",
) -> HeteroSystem:
    """A system by its name in document 1. pim, cpus: profile names or paths, of systems that have such.

    Raises ValueError for other names, ProfileError for profiles that cannot be read, and what HeteroSystem raises.
    """
    if name not in SERVERS:
        raise ValueError(f"no system {name!r}: choose one of {', '.join(SERVERS)}")
    server = gpu_servers().load(SERVERS[name])
    attention: AttentionDevice
    if name == "dgx+attacc":
        attention = PimAttention(hbm_pims().load(pim), reuse_rows)
    elif name == "dgx-cpu":
        attention = CpuAttention(cpu_servers().load(cpus))
    else:
        attention = GpuAttention(server)
    return HeteroSystem(
        name=name,
        server=server,
        attention=attention,
        model=model,
        quant=quant,
        schedule=schedule,
        ffn=ffn,
        fidelity=fidelity,
        energy_mode=energy_mode,
    )


def _batch_level(halves: Sequence[tuple[Cost, Cost]]) -> Cost:
    """A layer of both halves; the first one is not the smaller."""
    gpus, attention = halves[0]
    seconds = batch_level_s(gpus.seconds, attention.seconds)
    return overlapped("layer", [side for half in halves for side in half], seconds=seconds, rule=RULES["batch_level"])


def _halves(batch: int) -> tuple[int, int]:
    if batch < 2:
        raise ValueError(f"batch {batch}: batch_level needs a request in each of two halves. Take another schedule")
    return -(-batch // 2), batch // 2
