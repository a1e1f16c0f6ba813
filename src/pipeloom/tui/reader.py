"""Reads the file off the UI thread: each query has a connection, opened and closed in the query's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pipeloom.errors import StoreError
from pipeloom.messages import TaskId
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import attempts_as_left
from pipeloom.store.read.tasks import TaskState, state_of
from pipeloom.store.rows import AttemptRow, LogRow

T = TypeVar("T")


async def read(path: Path, query: Callable[[History], T]) -> T:
    """Return `query(history)`, run in a thread. When the task is cancelled, the query is interrupted."""
    opened: list[History] = []
    abandoned = threading.Event()

    def work() -> T:
        with History(path) as history:
            opened.append(history)
            if abandoned.is_set():
                raise InterruptedError("the query was cancelled")
            return query(history)

    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        abandoned.set()
        for history in opened:
            history.interrupt()
        raise


async def read_logs(path: Path, attempt_id: int) -> list[LogRow]:
    """Return the log of an attempt; empty when the file keeps none."""
    try:
        return await read(path, lambda history: history.logs(attempt_id))
    except StoreError:
        return []  # with store_task_status=False the file has no log


async def read_whole(path: Path, row: AttemptRow) -> list[AttemptRow]:
    """Return the attempts of a task in its run, with their long columns; empty when the file cannot be read."""
    try:
        return await read(path, lambda history: attempts_as_left(history, history.attempts_of(row.run_id, row.task_id)))
    except StoreError:
        return []


async def read_state(path: Path, pipeline: str, task_id: TaskId) -> TaskState | None:
    """Return the state that a task has left; None when there is none, or the file keeps none."""
    try:
        return await read(path, lambda history: state_of(history, pipeline, task_id))
    except StoreError:
        return None


async def read_attempt(
    path: Path, attempt_id: int
) -> tuple[AttemptRow | None, Sequence[AttemptRow], Sequence[LogRow], TaskState | None]:
    """Return the whole attempt, the attempts of its task in its run, its log, and the task's state."""

    def query(
        history: History,
    ) -> tuple[AttemptRow | None, Sequence[AttemptRow], Sequence[LogRow], TaskState | None]:
        stored = history.attempt(attempt_id)
        if stored is None:
            return None, [], [], None
        row, *attempts = attempts_as_left(history, [stored, *history.attempts_of(stored.run_id, stored.task_id)])
        run = history.run(row.run_id)
        state = None if run is None else state_of(history, run.pipeline, row.task_id)
        return row, attempts, history.logs(attempt_id), state

    return await read(path, query)
