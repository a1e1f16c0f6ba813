"""`run_task`: one task of a pipeline, run by the engine in the thread that calls it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.few import Few
from pipeloom.engine.run.tasks import entered
from pipeloom.engine.schedule.order import ALL, after_of
from pipeloom.engine.worker.validation import as_json, checked_state
from pipeloom.errors import UsageError, WriterFailedError
from pipeloom.messages import TaskId, TaskLike
from pipeloom.pipeline import Pipeline, TaskList, checked_tasks, list_tasks
from pipeloom.secrets import from_environment
from pipeloom.testing.calling_thread import CallingThread, Given
from pipeloom.testing.task_run import TaskRun, task_run
from pipeloom.text import clean
from pipeloom.users_code import is_async

_SHOWN: Final = 5


def run_task(
    pipeline: Pipeline,
    task: TaskLike | TaskId,
    *,
    params: Mapping[str, object] | None = None,
    state: Mapping[str, Any] | None = None,
    results: Mapping[TaskId, Any] | None = None,
    retries: int = 0,
    db: Path | str | None = None,
) -> TaskRun:
    """Run one task of `pipeline` in the calling thread, against a real file, and return what came of it.

    `task` is the id of one that the pipeline lists, with `params` where a function lists them, or a task. `state` is
    what `q.state` has, `results` what `q.results` has of the tasks that it comes after. An error is followed by up to
    `retries` more attempts, without waiting. The file is a temporary one, or `db`, which stays and may have been there.

    What the worker function raises is kept in the `TaskRun`, unless it ends the test itself: `KeyboardInterrupt`, or
    what pytest raises to skip. Tasks that the worker puts are not run. Raises `UsageError` for what could not run at
    all, and `WriterFailedError` when the file could not be written.
    """
    from_environment(pipeline.secrets)
    others, chosen = _chosen(pipeline, task, params)
    EngineOptions().checked_choice(pipeline, [chosen])
    if is_async(entered(chosen).worker_fn or pipeline.worker_fn):
        _check_no_loop()
    given = Given(chosen, None if state is None else checked_state(state), _results(chosen, results))
    today = TaskList([replace(entered(chosen), retries=retries), *others], {}, frozenset(pipeline.limits))
    executor = CallingThread(given)
    options = EngineOptions(
        workers=1,
        executor=executor,
        wal=db is not None,
        durability="off" if db is None else "normal",
        few=Few(first=1),
        changed=False,
        retry=replace(pipeline.retry, retries=retries, backoff=0.0, waits=0),
    )
    with _file(db) as path, _lines_of_information():
        engine = Engine(path, pipeline, options, today=today)
        engine.add_sink(executor)
        try:
            engine.start()
            executor.serve()
        finally:
            engine.close(0.0, reason="the test was stopped")
        if engine.failure is not None:
            raise WriterFailedError(f"Nothing was saved: {clean(engine.failure)}") from engine.failure
        return task_run(path, engine.run_id, executor)


@contextmanager
def _file(db: Path | str | None) -> Iterator[Path]:
    if db is not None:
        yield Path(db)
        return
    with TemporaryDirectory(prefix="pipeloom-") as folder:
        yield Path(folder) / "test.db"


@contextmanager
def _lines_of_information() -> Iterator[None]:
    """Let the task log what it would in a run: pytest's handlers make logging look as if it were set up."""
    root = logging.getLogger()
    level = root.level
    if level == logging.WARNING:
        root.setLevel(logging.INFO)
    try:
        yield
    finally:
        if root.level == logging.INFO:
            root.setLevel(level)


def _chosen(
    pipeline: Pipeline, task: TaskLike | TaskId, params: Mapping[str, object] | None
) -> tuple[Sequence[TaskLike], TaskLike]:
    """Return the other tasks of the pipeline, as far as they are known, and the one that is meant."""
    if not isinstance(task, (int, str)):
        if params:
            raise UsageError(
                "params= are for the function that lists the tasks; a task has its own: TaskDef(params=…)."
            )
        (chosen,) = checked_tasks([task])
        listed = [] if pipeline.tasks.source is None or pipeline.tasks.function else list(pipeline.tasks)
        return [one for one in listed if one.task_id != chosen.task_id], chosen
    tasks = list_tasks(pipeline, params or {}).tasks
    found = [one for one in tasks if one.task_id == task and type(one.task_id) is type(task)]
    if not found:
        there = ", ".join(f"{one.task_id!r:.60}" for one in tasks[:_SHOWN]) + (" …" if len(tasks) > _SHOWN else "")
        raise UsageError(f"{clean(pipeline.name, 60)} has no task {task!r:.80}: it has {there or 'none'}.")
    return [one for one in tasks if one.task_id != task], found[0]


def _results(task: TaskLike, results: Mapping[TaskId, Any] | None) -> tuple[tuple[TaskId, str | None], ...] | None:
    """Return results as an attempt has them; raises `UsageError` for those of tasks that it does not come after."""
    if results is None:
        return None
    after = after_of(task)
    for task_id in results:
        if after != ALL and task_id not in after:
            raise UsageError(f"results= has {task_id!r:.80}, which task {task.task_id!r:.80} does not come after.")
    made = {task_id: as_json(value) for task_id, value in results.items()}
    for task_id, (_, complaint) in made.items():
        if complaint is not None:
            raise UsageError(f"results= has {task_id!r:.80}, which could be no result: {complaint}.")
    return tuple((task_id, text) for task_id, (text, _) in made.items())


def _check_no_loop() -> None:
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageError(
            "run_task runs an `async def` worker on a loop of its own, and this thread has one that runs: call it from "
            "a plain function, or as await asyncio.to_thread(run_task, …)."
        )
