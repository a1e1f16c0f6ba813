"""The pipelines that `bench_screen.py` runs, chosen by environment variables; each ends when the bench closes it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

from pipeloom import Channel, MsgTaskProgress, Pipeline, TaskDef

TASKS = int(os.environ.get("BENCH_TASKS", "100"))
WORK = os.environ.get("BENCH_WORK", "idle")
MESSAGES_PER_S = int(os.environ.get("BENCH_MESSAGES", "10000"))
FOUND_PER_S = 2_000
WORKERS = 4
STEPS = 40


def idle(_task: TaskDef, _q: Channel) -> None:
    """Wait for the end of the program."""
    threading.Event().wait()


def nothing(_task: TaskDef, _q: Channel) -> None:
    """Do nothing."""


def talk(task: TaskDef, q: Channel) -> None:
    """Publish the worker's share of the messages, at an even pace."""
    pause = STEPS * WORKERS / MESSAGES_PER_S / 4
    for step in range(STEPS):
        q.put(MsgTaskProgress(task.task_id, step, STEPS, "talking"))
        if step % 10 == 9:
            time.sleep(pause)


def compute(task: TaskDef, q: Channel) -> None:
    """Compute without a pause, and tell of it ten times a second."""
    number, told = 0, time.monotonic()
    for _ in range(1_000_000_000):
        number = (number * 31 + 7) % 1_000_003
        if number % 1000 == 0 and time.monotonic() - told > 0.1:
            told = time.monotonic()
            q.put(MsgTaskProgress(task.task_id, number, None, "computing"))


def short(task: TaskDef, q: Channel) -> None:
    """Take a millisecond, and tell of it twice."""
    q.put(MsgTaskProgress(task.task_id, 1, 2, "begun"))
    time.sleep(0.001)
    q.put(MsgTaskProgress(task.task_id, 2, 2, "ended"))


def grow(task: TaskDef, q: Channel) -> None:
    """Find tasks all the time, 100 with each `put`; all but one wait."""
    if task.task_id != 0:
        idle(task, q)
    found = TASKS
    while True:
        q.put(*(TaskDef(number, f"task-{number:06}", STEPS) for number in range(found, found + 100)))
        found += 100
        time.sleep(100 / FOUND_PER_S)


def tasks() -> Iterator[TaskDef]:
    return (TaskDef(number, f"task-{number:06}", STEPS) for number in range(TASKS))


WORKS = {"idle": idle, "nothing": nothing, "talk": talk, "compute": compute, "short": short, "grow": grow}
pipeline = Pipeline("bench", tasks, WORKS[WORK])
