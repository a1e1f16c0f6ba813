"""Where attempts run: one protocol, several backends."""

from __future__ import annotations

from typing import Literal, get_args

from pipeloom.engine.executors.base import Executor
from pipeloom.pipeline import Pipeline

ExecutorName = Literal["thread", "process"]
EXECUTORS: tuple[str, ...] = get_args(ExecutorName)


def check_executor(name: ExecutorName, pipeline: Pipeline) -> None:
    """Raise `UsageError` when the pipeline cannot run on this executor at all."""
    if name == "process":
        from pipeloom.engine.executors.process import check_sendable

        check_sendable(pipeline)


def make_executor(name: ExecutorName, slots: int) -> Executor:
    """Return an executor with `slots` slots."""
    if name == "process":
        from pipeloom.engine.executors.process import ProcessExecutor

        return ProcessExecutor(slots)
    from pipeloom.engine.executors.thread import ThreadExecutor

    return ThreadExecutor(slots)
