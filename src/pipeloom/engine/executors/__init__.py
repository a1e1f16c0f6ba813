"""Where attempts run: one protocol, four backends."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from typing import Literal, cast, get_args

from pipeloom.engine.executors.base import Executor
from pipeloom.environment.extras import how_to_get
from pipeloom.errors import UsageError
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.users_code import called_function, in_their_place, is_async, shown_name

ExecutorName = Literal["thread", "process", "dask", "async"]
ExecutorChoice = ExecutorName | Executor | Callable[[int], Executor]
"""A name, an executor of the user's for one run, or a function that makes one with a number of slots."""
EXECUTORS: tuple[str, ...] = get_args(ExecutorName)


def check_executor(name: ExecutorChoice, pipeline: Pipeline, functions: Sequence[WorkerFn]) -> None:
    """Raise `UsageError` when the pipeline, with these worker functions, cannot run on this executor at all."""
    kinds = {is_async(function): function for function in functions}
    if len(kinds) == 2:
        one, other = (shown_name(kinds[kind]) for kind in (True, False))
        raise UsageError(
            f"{one} is `async def` and {other} is not: the tasks of a pipeline have functions of one kind, because all "
            "run on one executor."
        )
    if name == "async":
        if not all(inspect.iscoroutinefunction(inspect.unwrap(called_function(one))) for one in functions):
            raise UsageError('executor="async" is for a worker function that is `async def`: this one is not.')
    elif isinstance(name, str) and True in kinds:
        raise UsageError(f'A worker function that is `async def` runs with executor="async", not with {name!r}.')
    if name == "process":
        for file in in_their_place():
            raise UsageError(
                f"{file} has the name of one of Python's own modules, which worker processes need: rename it."
            )
        from pipeloom.engine.executors.process.executor import check_sendable

        check_sendable(pipeline, functions)
    elif name == "dask":
        if importlib.util.find_spec("distributed") is None:
            raise UsageError(f"The dask executor needs Dask's distributed: {how_to_get('dask')}")
        from pipeloom.engine.executors.dask.serialization import check_sendable

        check_sendable(pipeline, functions)


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
