"""Where attempts run: one protocol, four backends."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from typing import Literal, cast, get_args

from pipeloom.engine.executors.base import Executor
from pipeloom.errors import UsageError
from pipeloom.pipeline import Pipeline
from pipeloom.users_code import called_function, in_their_place

ExecutorName = Literal["thread", "process", "dask", "async"]
ExecutorChoice = ExecutorName | Executor | Callable[[int], Executor]
"""A name, an executor of the user's for one run, or a function that makes one with a number of slots."""
EXECUTORS: tuple[str, ...] = get_args(ExecutorName)


def is_async(worker_fn: Callable[..., object]) -> bool:
    """Tell whether calling the worker function makes a coroutine, as far as looking can tell."""
    return inspect.iscoroutinefunction(called_function(worker_fn))


def check_executor(name: ExecutorChoice, pipeline: Pipeline) -> None:
    """Raise `UsageError` when the pipeline cannot run on this executor at all."""
    if name == "async":
        if not inspect.iscoroutinefunction(inspect.unwrap(called_function(pipeline.worker_fn))):
            raise UsageError('executor="async" is for a worker function that is `async def`: this one is not.')
    elif isinstance(name, str) and is_async(pipeline.worker_fn):
        raise UsageError(f'A worker function that is `async def` runs with executor="async", not with {name!r}.')
    if name == "process":
        for file in in_their_place():
            raise UsageError(
                f"{file} has the name of one of Python's own modules, which worker processes need: rename it."
            )
        from pipeloom.engine.executors.process.executor import check_sendable

        check_sendable(pipeline)
    elif name == "dask":
        if importlib.util.find_spec("distributed") is None:
            raise UsageError("The dask executor needs Dask's distributed: pip install 'pipeloom[dask]'")
        from pipeloom.engine.executors.dask.serialization import check_sendable

        check_sendable(pipeline)


def make_executor(name: ExecutorChoice, slots: int | None, address: str | None = None) -> Executor:
    """Return an executor with `slots` slots; None: as many as the cluster at `address` has."""
    if name == "dask":
        from pipeloom.engine.executors.dask.executor import DaskExecutor

        return DaskExecutor(slots, address)
    if slots is None:
        raise UsageError("workers must be a whole number, not None.")
    if not isinstance(name, str):
        if hasattr(name, "submit") and not isinstance(name, type):
            return cast("Executor", name)
        return cast("Callable[[int], Executor]", name)(slots)
    if name == "process":
        from pipeloom.engine.executors.process.executor import ProcessExecutor

        return ProcessExecutor(slots)
    if name == "async":
        from pipeloom.engine.executors.coroutine.executor import CoroutineExecutor

        return CoroutineExecutor(slots)
    from pipeloom.engine.executors.thread import ThreadExecutor

    return ThreadExecutor(slots)
