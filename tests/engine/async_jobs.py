"""The worker functions of `jobs.py`, by the same names, as coroutine functions."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeloom.limits.retry_after import RetryAfter
from pipeloom.loader import import_file
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, TaskDef
from pipeloom.protocols import AsyncChannel

jobs: Any = import_file(str(Path(__file__).with_name("jobs.py")))


async def nothing(task: TaskDef, q: AsyncChannel) -> None:
    pass


async def let_others_go_on(task: TaskDef, q: AsyncChannel) -> None:
    await asyncio.sleep(0)


async def count(task: TaskDef, q: AsyncChannel) -> None:
    for number in range(task.params["messages"]):
        await q.put(jobs.Note(task.task_id, number))


async def count_on(task: TaskDef, q: AsyncChannel) -> None:
    for number in range(task.params["messages"]):
        with suppress(Exception):
            await q.put(jobs.Note(task.task_id, number))


async def change_after_put(task: TaskDef, q: AsyncChannel) -> None:
    for value in task.params["values"]:
        await q.put(jobs.Note(task.task_id, value))
        jobs.empty(value)


async def fail(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(jobs.Note(task.task_id, "before"))
    raise task.params.get("error", KeyError)("temp_max")


async def come_back(task: TaskDef, q: AsyncChannel) -> None:
    raise RetryAfter(task.params["seconds"])


async def find_with_limit(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(TaskDef("found", limits=[task.params["limit"]], priority=3))


async def fail_with_two_arguments(task: TaskDef, q: AsyncChannel) -> None:
    raise jobs.TwoArgumentsError("one", "two")


async def leave(task: TaskDef, q: AsyncChannel) -> None:
    jobs.leave(task, q)


async def wait(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(jobs.Note(task.task_id, os.getpid()))
    await q.sleep(600)


async def compute(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(jobs.Note(task.task_id, os.getpid()))
    while not q.cancelled:
        sum(range(1000))
        await asyncio.sleep(0)
    q.raise_if_cancelled()


async def flood(task: TaskDef, q: AsyncChannel) -> None:
    number = 0
    while True:
        await q.put(jobs.Note(task.task_id, number))
        number += 1


async def deaf(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(jobs.Note(task.task_id, os.getpid()))
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def finish_anyway(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(jobs.Note(task.task_id, os.getpid()))
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await q.put(MsgTaskFinished(task.task_id, "done", "2026-08-01T12:00:00Z", "all the same"))


async def from_a_child(task: TaskDef, q: AsyncChannel) -> None:
    jobs.from_a_child(task, q)


async def leave_a_fork(task: TaskDef, q: AsyncChannel, how: str) -> None:
    """Fork, let the child leave the worker function, and tell its exit code."""
    child = os.fork()
    if child == 0:
        if how == "exit":
            sys.exit(3)
        if how == "raise":
            raise ValueError("in the child")
        return
    _, status = os.waitpid(child, 0)  # noqa: ASYNC222 - the child ends at once
    await q.put(jobs.Note(task.task_id, str(os.waitstatus_to_exitcode(status))))


async def go_on(task: TaskDef, q: AsyncChannel) -> object:
    """Tell the state, put all that one put can take, and return a result."""
    await q.put(
        jobs.Note(task.task_id, q.state), TaskDef("found", params={"n": 1}), state={"page": q.state["page"] + 1}
    )
    await q.put(jobs.Note(task.task_id, q.state))
    return {"rows": 2}


async def say(task: TaskDef, q: AsyncChannel) -> None:
    await q.put(MsgTaskProgress(task.task_id, 1, 2, "half"))
    await q.put(MsgTaskLog(task.task_id, "a line"))
    await q.put(MsgTaskProgress(task.task_id, 2, 2, "whole"))


async def count_bytes(task: TaskDef, q: AsyncChannel) -> None:
    """Publish without end, and note in a file how many bytes were taken."""
    taken, path = 0, Path(task.params["path"])
    while True:
        await q.put(jobs.Note(task.task_id, "x" * 2000))
        taken += 2000
        path.write_text(str(taken))  # noqa: ASYNC240 - the test reads it


async def forget_to_wait(task: TaskDef, q: AsyncChannel) -> None:
    """Publish without awaiting."""
    for number in range(task.params["messages"]):
        q.put(jobs.Note(task.task_id, number))


async def block(task: TaskDef, q: AsyncChannel, wait: Callable[[float], object]) -> None:
    """Keep the event loop until `wait` returns."""
    await q.put(jobs.Note(task.task_id, "before"))
    wait(30)


def of(job: Any) -> Any:
    """Return the coroutine function in the place of a plain worker function."""
    if isinstance(job, functools.partial):
        return functools.partial(of(job.func), *job.args, **job.keywords)
    return globals()[job.__name__]
