"""Worker functions of the executors' tests: at the top level of a file, so that a worker process finds them too.

Arrivals and departures are files: a gate that works between processes as it does between threads.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeloom.limits.retry_after import RetryAfter
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, TaskDef, TaskId
from pipeloom.protocols import Channel


@dataclass(frozen=True)
class Note:
    """A domain message."""

    task_id: TaskId
    value: Any


class Unpicklable:
    """Cannot leave its process."""

    task_id = 1

    def __reduce__(self) -> Any:
        raise TypeError("it does not want to travel")


def _explode() -> None:
    raise RuntimeError("it breaks on arrival")


class Grenade:
    """Leaves its process well and breaks where it arrives."""

    def __reduce__(self) -> Any:
        return _explode, ()


class Slow:
    """Takes its time to leave."""

    def __init__(self, wait: Callable[[float], object]) -> None:
        self._wait = wait

    def __reduce__(self) -> Any:
        self._wait(30)
        return int, ()


class TwoArgumentsError(Exception):
    """A classic: it can be pickled, but not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


def nothing(task: TaskDef, q: Channel) -> None:
    pass


def count(task: TaskDef, q: Channel) -> None:
    for number in range(task.params["messages"]):
        q.put(Note(task.task_id, number))


def empty(value: Any) -> None:
    """Change every container in `value`."""
    if isinstance(value, (list, tuple)):
        for item in value:
            empty(item)
    elif isinstance(value, dict):
        for item in value.values():
            empty(item)
    if isinstance(value, (list, dict, set, bytearray)):
        value.clear()


def change_after_put(task: TaskDef, q: Channel) -> None:
    for value in task.params["values"]:
        q.put(Note(task.task_id, value))
        empty(value)


def fail(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, "before"))
    raise task.params.get("error", KeyError)("temp_max")


def come_back(task: TaskDef, q: Channel) -> None:
    raise RetryAfter(task.params["seconds"])


def find_with_limit(task: TaskDef, q: Channel) -> None:
    q.put(TaskDef("found", limits=[task.params["limit"]], priority=3))


def fail_with_two_arguments(task: TaskDef, q: Channel) -> None:
    raise TwoArgumentsError("one", "two")


def leave(task: TaskDef, q: Channel) -> None:
    raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "generator": GeneratorExit()}[task.params["how"]]


def die(task: TaskDef, q: Channel) -> None:
    for number in range(1000):
        q.put(Note(task.task_id, number))
    if task.params["how"] == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGSEGV if task.params["how"] == "segfault" else signal.SIGKILL)
    time.sleep(60)


def close_descriptors(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, "before"))
    os.closerange(task.params["first"], 1000)


def die_once(task: TaskDef, q: Channel) -> None:
    if q.attempt == 1:
        os._exit(1)


def publish(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, {"grenade": Grenade, "unpicklable": Unpicklable}[task.params["what"]]()))
    q.put(Note(task.task_id, "after"))


def wait(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, os.getpid()))
    q.sleep(600)


def compute(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, os.getpid()))
    while not q.cancelled:
        sum(range(1000))
    q.raise_if_cancelled()


def flood(task: TaskDef, q: Channel) -> None:
    number = 0
    while True:
        q.put(Note(task.task_id, number))
        number += 1


def deaf(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, os.getpid()))
    threading.Event().wait(600)


def finish_anyway(task: TaskDef, q: Channel) -> None:
    q.put(Note(task.task_id, os.getpid()))
    while not q.cancelled:
        time.sleep(0.001)
    q.put(MsgTaskFinished(task.task_id, "done", "2026-08-01T12:00:00Z", "all the same"))


def from_a_child(task: TaskDef, q: Channel) -> None:
    """Publish from a forked child, and tell what came of it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            q.put(Note(task.task_id, "from the child"))
            said = b"published"
        except Exception as error:
            said = type(error).__name__.encode()
        os.write(write, said)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    q.put(Note(task.task_id, os.read(read, 100).decode()))
    os.close(read)


def leave_a_fork(task: TaskDef, q: Channel, how: str) -> None:
    """Fork, let the child leave the worker function, and tell its exit code."""
    child = os.fork()
    if child == 0:
        if how == "exit":
            sys.exit(3)
        if how == "raise":
            raise ValueError("in the child")
        return
    _, status = os.waitpid(child, 0)
    q.put(Note(task.task_id, str(os.waitstatus_to_exitcode(status))))


def double(number: int) -> int:
    return number * 2


def compute_in_a_pool(task: TaskDef, q: Channel) -> None:
    with multiprocessing.Pool(2) as pool:
        q.put(Note(task.task_id, str(sum(pool.map(double, range(4))))))
    with ProcessPoolExecutor(2) as executor:
        q.put(Note(task.task_id, str(sum(executor.map(double, range(4))))))


def leave_a_child(task: TaskDef, q: Channel, *, waits: bool) -> None:
    """Start a program that goes on, tell its pid, and come back or wait."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    q.put(Note(task.task_id, child.pid))
    if waits:
        child.wait()


def go_on(task: TaskDef, q: Channel) -> object:
    """Tell the state, put all that one put can take, and return a result."""
    q.put(Note(task.task_id, q.state), TaskDef("found", params={"n": 1}), state={"page": q.state["page"] + 1})
    q.put(Note(task.task_id, q.state))
    return {"rows": 2}


def say(task: TaskDef, q: Channel) -> None:
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half"))
    q.put(MsgTaskLog(task.task_id, "a line"))
    q.put(MsgTaskProgress(task.task_id, 2, 2, "whole"))


def talk(task: TaskDef, q: Channel) -> None:
    """Say something in every way that Python has."""
    logging.getLogger("etl").info("loaded %d rows", 31)
    try:
        raise ValueError("odd row")
    except ValueError:
        logging.getLogger("etl").exception("row 14")
    warnings.warn(f"task {task.task_id} is old", stacklevel=1)
    print("printed", task.task_id)
    print("half a line", end="", file=sys.stderr)


def touch(task: TaskDef, q: Channel) -> None:
    (Path(task.params["folder"]) / str(task.task_id)).write_text(str(os.getpid()))


def tick(task: TaskDef, q: Channel) -> None:
    """Tell the time until asked to stop."""
    while True:
        q.put(Note(task.task_id, time.time()))
        q.sleep(0.01)


def count_bytes(task: TaskDef, q: Channel) -> None:
    """Publish without end, and note in a file how many bytes were taken."""
    taken, path = 0, Path(task.params["path"])
    while True:
        q.put(Note(task.task_id, "x" * 2000))
        taken += 2000
        path.write_text(str(taken))


def count_on(task: TaskDef, q: Channel) -> None:
    """Count, whatever is refused."""
    for number in range(task.params["messages"]):
        with suppress(Exception):
            q.put(Note(task.task_id, number))
