"""How a pipeline is run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from pipeloom.engine.executors import EXECUTORS, ExecutorChoice, ExecutorName, check_executor
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.resume import Resume
from pipeloom.errors import UsageError
from pipeloom.messages import TaskLike
from pipeloom.pipeline import Pipeline, RetryPolicy, WorkerFn, positive_number, worker_functions
from pipeloom.settings.notify import Command
from pipeloom.store.write.connect import Durability
from pipeloom.users_code import is_async

DEFAULT_WORKERS: Final = 4
DEFAULT_COROUTINES: Final = 32
MAX_WORKERS: Final = 1_000
MAX_COROUTINES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Options of a call or a command line; None leaves the choice to the pipeline."""

    workers: int | None = None
    wal: bool = True
    store_task_status: bool = True
    durability: Durability = "full"
    executor: ExecutorChoice | None = None
    address: str | None = None
    """Address of a Dask scheduler; None starts a cluster on this machine."""
    grace_s: float = 10.0
    """Seconds that running tasks get to stop when the engine is closed."""
    wait_s: float = 0.0
    """Seconds to wait for a file that another process uses."""
    source: str | None = None
    """Where the pipeline came from, as the user wrote it: kept in the run's row."""
    resume: Resume | None = None
    """What to run again of an earlier run; None: all tasks."""
    ask_to_resume: bool = True
    """Whether a front end that can ask offers to resume a last run that did not reach its end."""
    params: Mapping[str, object] = field(default_factory=dict)
    """Parameters of the run, or their texts; where it resumes an earlier run, others are that run's."""
    few: Few = field(default_factory=Few)
    """Which of the tasks are tried; all, unless it says otherwise."""
    changed: bool | None = None
    """Whether only tasks run that have changed since they were done."""
    retry: RetryPolicy | None = None
    timeout: float | None = None
    on_failure: Command | None = None
    """What is run when a run has failed: a line for the shell, or a program with its arguments."""

    def __post_init__(self) -> None:
        if self.workers is not None:
            checked_workers(self.workers, "async")
        if self.durability not in ("full", "normal", "off"):
            raise UsageError(f'durability must be "full" or "normal", not {self.durability!r}.')
        if self.executor is not None:
            checked_executor(self.executor)
        if self.address is not None and self.executor not in (None, "dask"):
            raise UsageError(f'address goes with executor="dask", not with {self.executor!r}.')
        if self.changed and self.resume is not None:
            raise UsageError(
                "Give either --resume or --changed: --resume runs what the last run has not done, --changed what "
                "differs from the last time that it was done."
            )
        if self.timeout is not None and positive_number(self.timeout) is None:
            raise UsageError(f"timeout must be a number of seconds above 0, not {self.timeout!r}.")
        if not (math.isfinite(self.grace_s) and self.grace_s >= 0):
            raise UsageError(f"grace must be a number of seconds of 0 or more, not {self.grace_s!r}.")

    def workers_for(self, pipeline: Pipeline) -> int:
        """Return the number of workers to start with."""
        executor = self.executor_for(pipeline)
        workers = pipeline.workers if self.workers is None else self.workers
        if workers is None:
            return DEFAULT_COROUTINES if executor == "async" else DEFAULT_WORKERS
        return checked_workers(workers, executor)

    def changed_for(self, pipeline: Pipeline) -> bool:
        """Return whether only tasks run that have changed; raises `UsageError` where the file keeps no tasks."""
        if self.resume is not None:
            return False
        changed = pipeline.changed if self.changed is None else self.changed
        if changed and not self.store_task_status:
            raise UsageError("What has changed is told by the tasks in the file, and --no-store keeps them out of it.")
        return changed

    def executor_for(self, pipeline: Pipeline, functions: Sequence[WorkerFn] = ()) -> ExecutorChoice:
        """Return the executor of the attempts; an address means Dask, an `async def` worker function "async"."""
        chosen = self.executor or ("dask" if self.address is not None else pipeline.executor)
        function = functions[0] if functions else pipeline.worker_fn
        return checked_executor(chosen or ("async" if is_async(function) else "thread"))

    def checked_choice(self, pipeline: Pipeline, tasks: Iterable[TaskLike]) -> ExecutorChoice:
        """Return the executor of a run of these tasks; raises `UsageError` when they cannot run on it at all."""
        functions = worker_functions(pipeline, tasks)
        choice = self.executor_for(pipeline, functions)
        check_executor(choice, pipeline, functions)
        return choice

    def address_for(self, pipeline: Pipeline) -> str | None:
        """Return the address of the Dask scheduler; None when there is none to connect to."""
        if self.executor_for(pipeline) != "dask":
            return None
        return self.address if self.address is not None else pipeline.address

    def limit_for(self, pipeline: Pipeline) -> int | None:
        """Return the number of workers to start with; None: all that the cluster at the address has."""
        if self.workers is None and pipeline.workers is None and self.address_for(pipeline) is not None:
            return None
        return self.workers_for(pipeline)


def checked_executor(name: str | ExecutorChoice) -> ExecutorChoice:
    """Return `name` if it is, names or makes an executor; raises `UsageError` otherwise."""
    if not isinstance(name, str) and (callable(name) or hasattr(name, "submit")):
        return name
    if name not in EXECUTORS:
        raise UsageError(f"executor must be one of {', '.join(map(repr, EXECUTORS))}, not {name!r}.")
    return cast("ExecutorName", name)


def checked_workers(workers: object, executor: object) -> int:
    """Return `workers` if it is a number of workers that the executor can have; raises `UsageError` otherwise."""
    most = MAX_COROUTINES if executor == "async" else MAX_WORKERS
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= most:
        raise UsageError(f"workers must be a whole number from 1 to {most:,}, not {workers!r}.")
    return workers
