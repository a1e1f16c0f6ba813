"""`run_pipeline`: runs a pipeline from a script, and the headless run that the command line shares."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self, cast

from pipeloom.engine.engine import Engine
from pipeloom.engine.executors import ExecutorChoice
from pipeloom.engine.options import EngineOptions
from pipeloom.engine.run.resume import Resume
from pipeloom.engine.run.summary import RunSummary
from pipeloom.engine.writer.sink import CommitBatch, Sink
from pipeloom.errors import PipeloomError, UsageError, WriterFailedError
from pipeloom.loader import being_imported
from pipeloom.messages import TaskLike
from pipeloom.pipeline import Handler, Pipeline, RetryPolicy, SchemaHelper, TasksFunction, WorkerFn
from pipeloom.text import counted

_CHECK_S: Final = 0.5
"""Seconds between two checks of a run that goes on."""

if TYPE_CHECKING:
    from rich.text import Text

Ui = Literal["auto", "progress", "tui", "none"]


class Reporter(Sink, Protocol):
    """A sink that is opened before a run and closed after it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class NoDisplay:
    """A reporter that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def committed(self, batch: CommitBatch) -> None:
        """Show nothing."""

    def writer_waiting(self, reason: str | None) -> None:
        """Show nothing."""

    def writer_failed(self, error: BaseException) -> None:
        """Show nothing."""


def run_pipeline(
    db_path: Path | str,
    tasks: Iterable[TaskLike] | TasksFunction | Pipeline,
    *,
    workers: int | None = None,
    wal: bool = True,
    store_task_status: bool = True,
    worker_fn: WorkerFn | None = None,
    handlers: Mapping[type, Handler] | None = None,
    schema: SchemaHelper | Iterable[SchemaHelper] | None = None,
    retry: RetryPolicy | None = None,
    timeout: float | None = None,
    durability: Literal["full", "normal"] = "full",
    executor: ExecutorChoice | None = None,
    address: str | None = None,
    resume: bool = False,
    changed: bool | None = None,
    params: Mapping[str, object] | None = None,
    ui: Ui = "auto",
) -> RunSummary:
    """Run `worker_fn(task, q)` for every task and keep every attempt in the SQLite file `db_path`.

    `tasks` may be a `Pipeline`, which brings its own worker function, handlers and schema helpers. `timeout` is in
    seconds and holds for one attempt. `executor` "process" gives workers processes of their own, for work that
    computes; "dask" runs them on the Dask cluster at `address`, or on one that is started and closed with the run; an
    `Executor`, or what makes one, is used as it is. When it is not given the pipeline decides, else "thread". `resume`
    runs only the tasks that the pipeline's last run in the file has not done, `changed` only those whose params,
    version or inputs differ from when they were last done (None: as the pipeline says). `params` are the parameters of
    the function that lists the pipeline's tasks: values, or their texts; with `resume`, others are those of that run.
    `ui` "auto" draws progress on a terminal and writes plain lines elsewhere.

    Failed tasks raise nothing: they are in the summary. Raises `PipeloomError` for misuse and for a file that cannot be
    used, before anything starts, and `WriterFailedError` when something could not be saved. Ctrl+C gives running
    work ten seconds, saves, and raises `KeyboardInterrupt`, with a note when something could not be saved.
    """
    if (place := being_imported()) is not None:
        raise UsageError(
            f"run_pipeline is called while {place} is imported, where it would run beside the program that imports the "
            "file, and again in each worker process: put the call under `if __name__ == '__main__':`."
        )
    options = EngineOptions(
        workers=workers,
        wal=wal,
        store_task_status=store_task_status,
        durability=durability,
        executor=executor,
        address=address,
        resume=Resume() if resume else None,
        changed=changed,
        params=params or {},
        retry=retry,
        timeout=timeout,
    )
    engine = Engine(Path(db_path), _pipeline(tasks, worker_fn, handlers, schema), options)
    if ui == "tui":
        return _run_in_tui(engine)
    if ui not in ("auto", "progress", "none"):
        raise UsageError(f'ui must be "auto", "progress", "tui" or "none", not {ui!r}.')
    return _saved(engine, run_headless(engine, reporter_for(engine, ui)))


def _saved(engine: Engine, summary: RunSummary) -> RunSummary:
    """Return the summary, unless something could not be saved."""
    if engine.failure is not None:
        lost = (
            f"{counted(summary.unsaved, 'change')} not saved" if summary.unsaved else "What was saved last may be lost"
        )
        raise WriterFailedError(f"{lost}: {engine.failure}") from engine.failure
    return summary


def run_headless(engine: Engine, reporter: Reporter, check: Callable[[], None] = lambda: None) -> RunSummary:
    """Run the engine to its end and return the summary; a `KeyboardInterrupt` is raised again after all is saved.

    `check` is called again and again while the run goes on, and may raise one.
    """
    engine.add_sink(reporter)
    with reporter:
        try:
            engine.start()
            while not engine.wait(_CHECK_S):
                check()
        except KeyboardInterrupt as stop:
            engine.close(reason=str(stop) or "stopped with ctrl+c")
            if engine.failure is not None:
                stop.add_note(f"Not saved: {counted(engine.summary().unsaved, 'change')}: {engine.failure}")
            raise
        finally:
            engine.close()
    return engine.summary()


def reporter_for(engine: Engine, ui: Ui, last: Callable[[], Iterable[Text]] = tuple) -> Reporter:
    """Return how the run is shown, ending in `last()`: bars on a terminal, plain lines elsewhere, or nothing."""
    from pipeloom.console import shared_console
    from pipeloom.console.lines import LineReporter, PlainLines

    if ui == "none":
        return NoDisplay()
    console = shared_console()
    if ui == "progress" or (console.is_terminal and not console.is_dumb_terminal):
        from pipeloom.console.progress import ProgressReporter

        return ProgressReporter(console, engine.pipeline.name, last)
    return LineReporter(sys.stderr, PlainLines(), lambda: (line.plain for line in last()))


def _pipeline(
    tasks: Iterable[TaskLike] | TasksFunction | Pipeline,
    worker_fn: WorkerFn | None,
    handlers: Mapping[type, Handler] | None,
    schema: SchemaHelper | Iterable[SchemaHelper] | None,
) -> Pipeline:
    helpers: list[Callable[[object], object]] = [schema] if callable(schema) else list(schema or ())
    if isinstance(tasks, Pipeline):
        return replace(
            tasks,
            worker_fn=worker_fn or tasks.worker_fn,
            handlers={**tasks.handlers, **(handlers or {})},
            schemas=[*tasks.schemas, *helpers],
        )
    name = getattr(worker_fn, "__name__", "pipeline")
    return Pipeline(name, tasks, cast("WorkerFn", worker_fn), handlers=dict(handlers or {}), schemas=helpers)


def _run_in_tui(engine: Engine) -> RunSummary:
    from pipeloom.console import has_terminal

    if not has_terminal():
        raise UsageError('ui="tui" needs a terminal; ui="auto" does without.')
    from pipeloom.tui.app import PipeloomApp
    from pipeloom.tui.terminal import run_app

    app = PipeloomApp.of_user(engine.db_path, engine)
    run_app(app)
    if app.start_error is not None:
        raise app.start_error
    if app.summary is None:
        raise PipeloomError("The screen ended before the run did.")
    return _saved(engine, app.summary)
