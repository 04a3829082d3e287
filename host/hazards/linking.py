"""Programs that do not fit the machine: refused by the linker, with a list of what takes the space."""

from __future__ import annotations

from pim_runtime import DpuProgram
from pim_runtime.device import Tasklet, int8, int32, int64, me

from .hazard import Hazard, HostProgram, Variant
from .stage import Stage

__all__ = ["HAZARDS"]


def _finish(stage: Stage, program: DpuProgram, nr_tasklets: int = 1) -> None:
    @program.kernel
    def idle(t: Tasklet) -> None:
        me(t)

    dpus = stage.allocate(1)
    dpus.load(program, nr_tasklets=nr_tasklets)
    dpus.exec()


def _too_much_wram(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("wide")
    program.wram("scratch", int32, 16384 if variant == "planted" else 8192)
    _finish(stage, program)  # planted


def _too_much_mram(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("tall")
    program.mram_noinit("rows", int8, (64 << 20) + (8 if variant == "planted" else 0))
    _finish(stage, program)  # planted


def _too_large_stacks(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("deep", stack_bytes=4096 if variant == "planted" else 2048)
    _finish(stage, program, nr_tasklets=24)  # planted


def _too_many_tasklets(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("crowded")
    _finish(stage, program, nr_tasklets=25 if variant == "planted" else 24)  # planted


def _too_many_mutexes(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("locked")
    for number in range(57 if variant == "planted" else 56):
        program.mutex(f"m{number}")  # planted
    _finish(stage, program)


def _barrier_for_nobody(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("shut")
    program.barrier("done", 0 if variant == "planted" else 1)  # planted
    _finish(stage, program)


def _large_initial_value(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("initial")
    program.host("level", int8, initial=200 if variant == "planted" else 100)  # planted
    _finish(stage, program)


def _name_twice(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("twins")
    program.host("total", int64)
    program.mram("total" if variant == "planted" else "totals", int64)  # planted
    _finish(stage, program)


def _odd_stack(stage: Stage, variant: Variant) -> None:
    program = DpuProgram("odd", stack_bytes=100 if variant == "planted" else 104)  # planted
    _finish(stage, program)


def _refused(name: str, run: HostProgram, says: str) -> Hazard:
    return Hazard.of_host(name, "linking", run, "LinkError", says, engines=("interpreted",))  # no engine sees it


HAZARDS = (
    _refused("more variables than WRAM", _too_much_wram, "of WRAM"),
    _refused("more variables than MRAM", _too_much_mram, "of MRAM"),
    _refused("stacks that fill WRAM", _too_large_stacks, "stacks: 24 x 4096"),
    _refused("25 tasklets", _too_many_tasklets, "a DPU runs 1 to 24"),
    _refused("57 mutexes", _too_many_mutexes, "mutex bits are taken"),
    _refused("barrier for nobody", _barrier_for_nobody, "a count of 0 never opens"),
    _refused("initial value that does not fit", _large_initial_value, "do not fit int8"),
    _refused("one name for two variables", _name_twice, "taken"),
    _refused("stack of 100 bytes", _odd_stack, "multiple of 8"),
)
