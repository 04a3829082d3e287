"""Traces: queried with Perfetto's own engine, and held to the Trace Event Format."""

from __future__ import annotations

import json

import numpy as np
import pytest
from perfetto.trace_processor import TraceProcessor
from timelines import HARDWARE, add_launch, add_transfer, attention_step, counters_of
from trace_processor import serving

from pim_runtime.hardware import TICKS_PER_CYCLE
from pim_runtime.report.trace import chrome_trace, write_trace
from pim_runtime.timeline import Timeline
from pim_runtime.timing import dpu_kernel_cycles
from pim_runtime.timing.kernel import duration_ps
from pim_runtime.timing.phases import phase_ticks

SLICES = """
SELECT process.name AS process, thread.name AS thread, slice.name AS name, slice.ts, slice.dur, slice.depth,
       EXTRACT_ARG(slice.arg_set_id, 'args.start_ps') AS start_ps,
       EXTRACT_ARG(slice.arg_set_id, 'args.duration_ps') AS duration_ps,
       EXTRACT_ARG(slice.arg_set_id, 'args.slots') AS slots
FROM slice JOIN thread_track ON slice.track_id = thread_track.id JOIN thread USING (utid) JOIN process USING (upid)
ORDER BY slice.ts, slice.dur
"""
PROBLEMS = "SELECT name, value FROM stats WHERE severity IN ('error', 'data_loss') AND value > 0"


@pytest.fixture(scope="module")
def step():
    """A timeline of 150 DPUs in three ranks; a DPU is slower than those before it."""
    return attention_step()


@pytest.fixture(scope="module")
def tables(step, tmp_path_factory):
    """`tables(sql)` queries the default trace of the step."""
    file = tmp_path_factory.mktemp("trace") / "step.json"
    write_trace(file, step.rows, HARDWARE)
    with serving() as address, TraceProcessor(trace=str(file), addr=address) as processor:
        yield lambda sql: list(processor.query(sql))


def slices(trace, process=None):
    return [
        event for event in trace["traceEvents"] if event["ph"] == "X" and process in (None, process_name(trace, event))
    ]


def names_of(trace, kind):
    return {
        (event["pid"], event["tid"]): event["args"]["name"] for event in trace["traceEvents"] if event["name"] == kind
    }


def process_name(trace, event):
    return names_of(trace, "process_name")[event["pid"], 0]


# --- as Perfetto reads them -----------------------------------------------------------------------------------------


def test_perfetto_reads_everything_without_a_complaint(step, tables):
    assert tables(PROBLEMS) == []
    assert len(tables(SLICES)) == len(slices(chrome_trace(step.rows, HARDWARE)))


def test_perfetto_finds_every_command_on_the_host_track(step, tables):
    host = [row for row in tables(SLICES) if row.process == "host"]
    assert [row.thread for row in host] == ["commands without modelled time", *["commands"] * 3]
    assert {row.depth for row in host} == {0}
    assert [(row.name, row.start_ps, row.duration_ps) for row in host] == [
        (f"{row.operation} {row.what}", row.start_ps, row.duration_ps) for row in step.rows
    ]
    assert [row.ts for row in host] == [row.start_ps // 1000 for row in step.rows]
    assert [row.ts + row.dur for row in host] == [(row.start_ps + row.duration_ps) // 1000 for row in step.rows]


def test_perfetto_finds_every_rank_busy_with_every_command_that_takes_time(tables):
    on_rank = tables(f"SELECT thread, GROUP_CONCAT(name) AS names FROM ({SLICES}) WHERE process = 'ranks' GROUP BY 1")
    assert {row.thread: row.names for row in on_rank} == {
        f"rank {rank}": "write query,launch scores,read output" for rank in range(3)
    }


def test_perfetto_nests_barriers_in_phases_in_kernels(step, tables):
    depths = tables(f"SELECT DISTINCT name, depth FROM ({SLICES}) WHERE process LIKE 'DPUs%' ORDER BY depth, name")
    assert [(row.name, row.depth) for row in depths] == [
        ("scores", 0), ("phase 0", 1), ("phase 1", 1), ("phase 2", 1), ("barrier", 2),
    ]  # fmt: skip
    on_dpus = f"SELECT thread, depth, SUM(duration_ps) AS ps FROM ({SLICES}) WHERE process LIKE 'DPUs%' GROUP BY 1, 2"
    kernels, phases, barriers = ([row.ps for row in tables(on_dpus) if row.depth == depth] for depth in range(3))
    assert len(kernels) == len(barriers) == 3
    assert kernels == phases


def test_perfetto_finds_the_slowest_dpu_of_every_rank_and_the_tasklets_of_the_slowest(step, tables):
    launch = step.rows[2]
    threads = tables(
        f"SELECT thread, MAX(start_ps + duration_ps) AS end_ps FROM ({SLICES}) WHERE process LIKE 'DPUs%' GROUP BY 1"
    )
    assert [row.thread for row in threads] == ["DPU 0.7.7", "DPU 1.7.7", "DPU 2.2.5"]
    assert abs(max(row.end_ps for row in threads) - (launch.start_ps + launch.duration_ps)) <= 2  # parts are rounded
    of_tasklets = tables(
        f"SELECT thread, COUNT(*) AS count, SUM(slots) AS slots FROM ({SLICES})"
        " WHERE process LIKE 'tasklets%' GROUP BY thread"
    )
    rows = {row.thread: (row.count, row.slots) for row in of_tasklets}
    assert rows == {f"tasklet {n}": (3, 700 + 149 + n + 20 + 90) for n in range(16)}
    assert {row.process for row in tables(SLICES) if row.thread == "tasklet 0"} == {"tasklets of DPU 2.2.5"}


# --- as the Trace Event Format has it -------------------------------------------------------------------------------


def test_events_have_the_fields_and_types_of_the_format(step):
    trace = json.loads(json.dumps(chrome_trace(step.rows, HARDWARE, expand="tasklets")))
    assert set(trace) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert trace["otherData"] == {"times": "modelled", "profile": "upmem-v1a"}
    known = set()
    for event in trace["traceEvents"]:
        assert type(event["pid"]) is type(event["tid"]) is int
        if event["ph"] == "M":
            assert set(event) == {"ph", "pid", "tid", "name", "args"}
            assert event["name"] in ("process_name", "process_sort_index", "thread_name", "thread_sort_index")
            known.add((event["pid"], event["tid"]))
        else:
            assert event["ph"] == "X"
            assert set(event) == {"ph", "pid", "tid", "ts", "dur", "name", "args"}
            assert type(event["ts"]) is type(event["dur"]) is float
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            assert (event["pid"], event["tid"]) in known


@pytest.mark.parametrize("expand", ["slowest", "dpus", "tasklets"])
def test_slices_of_a_track_follow_each_other_or_lie_inside(step, expand):
    tracks = {}
    for event in slices(chrome_trace(step.rows, HARDWARE, expand=expand)):
        start_ns, dur_ns = round(event["ts"] * 1000), round(event["dur"] * 1000)
        around = tracks.setdefault((event["pid"], event["tid"]), [])
        while around and around[-1] <= start_ns:
            around.pop()
        assert not around or start_ns + dur_ns <= around[-1]
        around.append(start_ns + dur_ns)


def test_phases_are_where_the_model_puts_them(step):
    launch = step.rows[2]
    counters = launch.work.counters[0]
    ticks = phase_ticks(counters, HARDWARE)
    trace = chrome_trace(step.rows, HARDWARE, expand=[7])
    pattern = int(counters.pattern_of[7])
    end = np.cumsum(ticks.compute[pattern] + ticks.dma[pattern] + ticks.barrier[pattern]).tolist()
    start_ps = launch.start_ps + launch.cost_ps("launch")
    found = {event["name"]: event for event in slices(trace, "DPUs (rank.chip.DPU)") if event["name"] != "barrier"}
    assert list(found) == ["scores", "phase 0", "phase 1", "phase 2"]
    for phase in range(3):
        args = found[f"phase {phase}"]["args"]
        assert args["start_ps"] + args["duration_ps"] == start_ps + duration_ps(end[phase], HARDWARE)
    assert [found[f"phase {phase}"]["args"]["limit"] for phase in range(3)] == ["compute", "DMA", "compute"]
    cycles = int(dpu_kernel_cycles(counters, HARDWARE)[7])
    assert -(-end[-1] // TICKS_PER_CYCLE) == cycles


@pytest.mark.parametrize(
    ("expand", "nr_dpus", "nr_with_tasklets"),
    [("ranks", 0, 0), ("slowest", 3, 1), ("dpus", 150, 0), ("tasklets", 150, 150), ([3, 149], 2, 2), ({5}, 1, 1)],
)
def test_what_is_expanded(step, expand, nr_dpus, nr_with_tasklets):
    names = names_of(chrome_trace(step.rows, HARDWARE, expand=expand), "thread_name")
    assert sum(name.startswith("DPU ") for name in names.values()) == nr_dpus
    assert sum(name.startswith("tasklet ") for name in names.values()) == 16 * nr_with_tasklets
    assert sum(name.startswith("rank ") for name in names.values()) == 3


@pytest.mark.parametrize(("expand", "message"), [("all", "use 'ranks'"), ([150], r"DPU 150: .* last is 149")])
def test_what_cannot_be_expanded_is_refused(step, expand, message):
    with pytest.raises(ValueError, match=message):
        chrome_trace(step.rows, HARDWARE, expand=expand)


def test_commands_are_on_the_ranks_that_they_went_to():
    timeline = Timeline(HARDWARE)
    add_transfer(timeline, "push", "a", 10, 8, first_dpu=100)
    add_launch(timeline, "b", counters_of(30), counters_of(70), first_dpu=120)
    trace = chrome_trace(timeline.rows, HARDWARE, expand="dpus")
    names = names_of(trace, "thread_name")
    on = {(names[event["pid"], event["tid"]], event["name"]): event["args"]["DPUs"] for event in slices(trace, "ranks")}
    assert on == {
        ("rank 1", "write a"): 10, ("rank 1", "launch b"): 8, ("rank 2", "launch b"): 64, ("rank 3", "launch b"): 28,
    }  # fmt: skip
    dpus = {event["tid"] - 1 for event in slices(trace, "DPUs (rank.chip.DPU)")}
    assert dpus == set(range(120, 220))


def test_a_launch_on_2560_dpus_takes_less_than_a_megabyte(tmp_path):
    timeline = Timeline(HARDWARE)
    add_launch(timeline, "scores", counters_of(2560, 24, extra_slots=lambda dpu, tasklet: dpu * 24 + tasklet))
    write_trace(tmp_path / "trace.json", timeline.rows, HARDWARE)
    assert (tmp_path / "trace.json").stat().st_size < 100_000
