"""What tasks share with the engine in one interpreter is usable after each of them, and as it was after the run."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable

import pytest
from tests.engine.conftest import Bench, Gate

from pipeloom.messages import TaskDef
from pipeloom.protocols import Channel


def state() -> list[object]:
    return [
        sys.getrecursionlimit(),
        sys.setrecursionlimit,
        sys.getswitchinterval(),
        hasattr(sys, "stdout"),
        sys.excepthook,
        sys.unraisablehook,
        threading.excepthook,
        threading.gettrace(),
        threading.getprofile(),
        gc.get_threshold(),
    ]


def leaves(*_: object) -> None:
    raise SystemExit(7)


def hook(module: object, name: str) -> Callable[[], None]:
    return lambda: setattr(module, name, None)


@pytest.mark.parametrize(
    "harm",
    [
        lambda: sys.setrecursionlimit(70),
        lambda: sys.setswitchinterval(1000),
        lambda: delattr(sys, "stdout"),
        lambda: sys.settrace(lambda *_: None),
        lambda: sys.setprofile(lambda *_: None),
        lambda: threading.settrace(leaves),
        lambda: threading.setprofile(leaves),
        hook(threading, "excepthook"),
        hook(sys, "excepthook"),
        hook(sys, "unraisablehook"),
    ],
    ids=[
        "recursion limit",
        "switch interval",
        "stdout",
        "trace",
        "profile",
        "traces",
        "profiles",
        "threading.excepthook",
        "excepthook",
        "unraisable",
    ],
)
def test_a_task_that_takes_what_all_need_takes_it_from_no_other(bench: Bench, harm: Callable[[], None]) -> None:
    seen: list[object] = []
    before = state()

    def work(task: TaskDef, _q: Channel) -> None:
        if task.task_id == 1:
            harm()
        else:
            seen.extend([*state(), sys.gettrace(), sys.getprofile()])
            threading.Thread(target=seen.clear).start()

    bench.run(work, 1, workers=1)
    bench.run(lambda task, q: work(TaskDef(2, "second"), q), 1, workers=1)
    assert bench.rows("SELECT status FROM task_runs") == [("done",)] * 2
    assert state() == before


@pytest.mark.parametrize(
    ("before", "during"),
    [((700, 10, 10), (10_000, 10, 10)), ((50_000, 5, 5), (50_000, 5, 5)), ((0, 10, 10), (0, 10, 10))],
)
def test_the_garbage_collector_looks_less_often_in_a_run_unless_it_is_off(
    bench: Bench, before: tuple[int, int, int], during: tuple[int, int, int]
) -> None:
    seen: list[object] = []
    usual = gc.get_threshold()
    gc.set_threshold(*before)
    try:
        bench.run(lambda _task, _q: seen.append(gc.get_threshold()), 1)
        assert (seen, gc.get_threshold()) == ([during], before)
    finally:
        gc.set_threshold(*usual)


def test_a_task_cannot_take_the_depth_of_calls_from_others_while_it_runs(bench: Bench, gate: Gate) -> None:
    def work(_task: TaskDef, _q: Channel) -> None:
        sys.setrecursionlimit(70)
        gate.pass_through()

    def deep(calls: int) -> int:
        return calls and deep(calls - 1)

    engine = bench.engine(work)
    engine.start()
    gate.await_arrival()
    limit = sys.getrecursionlimit()
    assert deep(limit // 2) == 0
    gate.open()
    assert engine.wait(20)
    assert "sys.setrecursionlimit(70) was ignored" in bench.rows("SELECT text FROM task_logs")[0][0]
    assert limit == sys.getrecursionlimit()
