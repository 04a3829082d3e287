"""The parts of a layer that stay on GPUs, and their links: products with weights, norms, activations, all-reduces.

Every GPU has an equal share of the columns or rows of a matrix (S1, 4.2). Costs are those of all GPUs together.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from host.llm.operators import Matmul, Operator, minimal_bytes
from host.llm.quantisation import QuantConfig
from host.machines.cost import Bound, Cost, repeated
from host.machines.gpu_tiles import Fidelity
from host.machines.gpu_times import GpuKernel, activation_s, all_reduce_s, fc_kernel, link_s, norm_s
from host.machines.gpus import GpuEnergy, GpuServer
from host.machines.hbm_pim import HbmEnergy

from .attention_work import Priced
from .energy import NO_ENERGY, EnergyMode, gpu_energy, link_energy

__all__ = ["activation_part", "all_reduce_part", "fc_part", "link_part", "norm_part"]

SPLIT_ALONG_ROWS = ("projection", "ffn_down")  # of the weights, so that GPUs have partial sums of the output
US = 1e-6


def fc_part(
    server: GpuServer, operator: Operator, *, matrices: int, quant: QuantConfig, fidelity: Fidelity, mode: EnergyMode
) -> Priced:
    """A product with weights that are `matrices` equal ones, each multiplied by itself."""
    gpus = server.gpus.count
    kernel = fc_kernel(server.gpus, _share(operator, matrices, gpus), quant, fidelity)
    element_bytes = max(quant.weight_bits, quant.activation_bits) / 8
    energy = gpu_energy(server.energy, kernel, gpus=gpus, mode=mode, element_bytes=element_bytes).times(matrices)
    cost = Cost(
        name=operator.name,
        seconds=kernel.seconds,
        bound_by=kernel.bound_by,
        moved_bytes=gpus * kernel.dram_bytes,
        operations=gpus * kernel.flops,
        joules=energy.joules / matrices,
    )
    return Priced(repeated(cost, matrices), energy)


def norm_part(server: GpuServer, norm: Operator, residual: Operator, *, quant: QuantConfig, mode: EnergyMode) -> Priced:
    """A norm and the residual before it, one kernel; each GPU has all hidden states."""
    moved_bytes = float(minimal_bytes(residual, quant))
    seconds = norm_s(server.kernels, server.gpus, moved_bytes)
    flops = norm.flops + residual.flops
    return _element_part(server, "norm", seconds, moved_bytes, flops, quant=quant, mode=mode)


def activation_part(server: GpuServer, activation: Operator, *, quant: QuantConfig, mode: EnergyMode) -> Priced:
    """An activation function over a GPU's share of its inputs and outputs."""
    gpus = server.gpus.count
    moved_bytes = float(minimal_bytes(activation, quant)) / gpus
    seconds = activation_s(server.kernels, server.gpus, moved_bytes)
    return _element_part(server, "activation", seconds, moved_bytes, activation.flops / gpus, quant=quant, mode=mode)


def all_reduce_part(server: GpuServer, operator: Operator, *, quant: QuantConfig) -> Priced:
    """Partial sums of an operator's output become sums on all GPUs."""
    gpus, link = server.gpus, server.link
    moved_bytes = operator.output_elements * quant.activation_bits / 8
    seconds = all_reduce_s(link, gpus, moved_bytes)
    steps = gpus.count - 1
    bound: Bound = "link latency" if 2 * steps * float(link.step_us) * US > seconds else "link bandwidth"
    energy = link_energy(server.energy, gpus.count * moved_bytes)
    cost = Cost(
        name="all-reduce",
        seconds=seconds,
        bound_by=bound,
        moved_bytes=gpus.count * moved_bytes,
        transfers=steps,
        joules=energy.joules,
    )
    return Priced(cost, energy)


def link_part(
    name: str, elements: int, *, quant: QuantConfig, gpus: int, gb_per_s: Decimal, table: GpuEnergy | HbmEnergy | None
) -> Priced:
    """Elements that all GPUs together send over their links, or receive."""
    moved_bytes = elements * quant.activation_bits / 8
    energy = NO_ENERGY if table is None else link_energy(table, moved_bytes)
    cost = Cost(
        name=name,
        seconds=link_s(gb_per_s, moved_bytes / gpus),
        bound_by="link bandwidth",
        moved_bytes=moved_bytes,
        transfers=1,
        joules=energy.joules,
    )
    return Priced(cost, energy)


def _share(operator: Operator, matrices: int, gpus: int) -> Matmul:
    """What a GPU multiplies of one of the matrices; the largest share where they are not equal."""
    matmul = operator.matmul
    if matmul is None:
        raise ValueError(f"operator {operator.name!r} is no product")
    if operator.name in SPLIT_ALONG_ROWS:
        return Matmul(matmul.rows, _largest_share(matmul.inner, gpus), matmul.columns)
    return Matmul(matmul.rows, matmul.inner, _largest_share(Fraction(matmul.columns) / matrices, gpus))


def _largest_share(size: int | Fraction, gpus: int) -> int | Fraction:
    """Whole columns of whole matrices; sizes that are not whole are shared as they are."""
    exact = Fraction(size) / gpus
    return exact if Fraction(size).denominator > 1 else -(-int(size) // gpus)


def _element_part(
    server: GpuServer,
    name: str,
    seconds: float,
    moved_bytes: float,
    flops: float,
    *,
    quant: QuantConfig,
    mode: EnergyMode,
) -> Priced:
    gpus = server.gpus.count
    kernel = GpuKernel(
        compute_s=0.0, memory_s=seconds, flops=flops, dram_bytes=moved_bytes, l2_bytes=moved_bytes, l1_bytes=moved_bytes
    )
    element_bytes = quant.activation_bits / 8
    energy = gpu_energy(server.energy, kernel, gpus=gpus, mode=mode, element_bytes=element_bytes)
    cost = Cost(
        name=name,
        seconds=seconds,
        bound_by=kernel.bound_by,
        moved_bytes=gpus * moved_bytes,
        operations=gpus * flops,
        joules=energy.joules,
    )
    return Priced(cost, energy)
