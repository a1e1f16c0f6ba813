"""Renewal: the code of a pipeline is loaded again, and taken by the writer and the run, or nothing has changed."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from pipeloom.code.pickles import is_found
from pipeloom.code.version import Version
from pipeloom.engine.code.caches import forget_classes
from pipeloom.engine.events import CodeChanged
from pipeloom.engine.executors import check_executor
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.run import Run
from pipeloom.engine.writer.writer import Writer
from pipeloom.errors import UsageError
from pipeloom.pipeline import Pipeline, WorkerFn
from pipeloom.secrets import from_environment
from pipeloom.status import Status
from pipeloom.text import clean
from pipeloom.users_code import check_worker, shown_name


def check_renewed(before: Pipeline, after: Pipeline, options: EngineOptions) -> None:
    """Raise `UsageError` unless a run of the pipeline before can go on with the one after."""
    if after.name != before.name:
        was, now = clean(before.name, 60), clean(after.name, 60)
        raise UsageError(f"The pipeline is {now} now, and the run is one of {was}: nothing has changed.")
    from_environment(after.secrets)
    function = cast("WorkerFn | None", after.worker_fn)  # none where each task has its own
    functions = [] if function is None else [function]
    if function is not None:
        check_worker(function)
    there, unasked = options.executor_for(before), replace(options, executor=None)
    chosen = unasked.executor_for(after, functions)
    if chosen not in (there, unasked.executor_for(before)):
        raise UsageError(f"The pipeline runs with {chosen!r} now, and the run goes on with {there!r}: run it again.")
    check_executor(there, after, functions)


def check_named(version: Version, source: str, run_id: int) -> None:
    """Raise `UsageError` unless `source`, with an absolute path, names the pipeline that the version is of."""
    mine = version.spec
    if mine is not None:
        (place, name), (asked, asked_name) = _parts(mine), _parts(source)
        if place == asked and (not name or not asked_name or name == asked_name):
            return
    it = "a pipeline that a script has made" if mine is None else mine
    how = "run the tasks again there" if mine is None else "save the fix there and ask again"
    raise UsageError(f"Run {run_id} is one of {it}, and not of {clean(source, 300)}: {how}, or end the run first.")


def _parts(spec: str) -> tuple[str, str]:
    """Return the file or module of a pipeline, and its name in there, "" where none is given."""
    place, colon, name = spec.rpartition(":")
    return (place, name) if colon and name.isidentifier() else (spec, "")


def renew(run: Run, writer: Writer, pipeline: Pipeline, version: Version) -> None:
    """Have the writer call the schema helpers and know the handlers, then new attempts run the code.

    Raises `UsageError` when a helper fails, or a task's own function is none of the new code's, and `WriterFailedError`
    when nothing can be saved any more.
    """
    _check_own_functions(run, version)
    writer.take_code(version.hash, pipeline)
    with run.lock:
        before = run.code.version
        run.code.use(pipeline, version)
        if not run.code.is_open(before):
            leave(run, before)


def _check_own_functions(run: Run, version: Version) -> None:
    """Raise `UsageError` when a task that may run again has a function that the new code cannot take the place of."""
    with run.lock:
        left = run.attempts.in_status(*(set(Status) - {Status.DONE}))
        own = {id(state.task.worker_fn): state.task for state in left if state.task.worker_fn is not None}
    for task in own.values():
        if not is_found(task.worker_fn, version):
            name = shown_name(cast("WorkerFn", task.worker_fn))
            raise UsageError(
                f"Task {task.task_id!r:.80} has a function of its own, {name}, which is not found in the code on disk: "
                "a lambda and a function inside another have no name there. Nothing has changed; end this run first."
            )


def leave(run: Run, version: Version) -> None:
    """Let go of what is known of a version that no attempt runs; the run's lock is held."""
    if version.hash != run.code.version.hash:
        run.tell(0, CodeChanged(version.hash))
    forget_classes()
