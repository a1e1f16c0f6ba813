"""What a user declares: the pipeline, its handlers, its schema helpers and its retry policy."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, cast, overload

from pipeloom.errors import TaskCancelled, UsageError
from pipeloom.limits.limit import Limit, check_declared, check_named
from pipeloom.messages import TaskDef, TaskId, TaskLike
from pipeloom.parameters.declared import Parameter, bound, parameters_of, texts_of
from pipeloom.parameters.texts import Texts
from pipeloom.secrets import from_environment, masked
from pipeloom.tables.file import ROWS_BUDGET_S, TableWriter
from pipeloom.tables.names import lowered
from pipeloom.tables.table import Table, TableRows
from pipeloom.text import clean
from pipeloom.users_code import check_called, check_worker, users_error

M = TypeVar("M")

MAX_INT = 2**63 - 1

WorkerFn = Callable[[Any, Any], object]
Handler = Callable[[Any, Any], object]
SchemaHelper = Callable[[Any], object]
TasksFunction = Callable[..., Iterable[TaskLike]]
"""Lists the tasks of a run; its annotated parameters are the run's."""

F = TypeVar("F", bound=TasksFunction)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When an attempt that ended in `error` is followed by another one, and how long the wait is.

    The n-th retry waits `min(max_delay, backoff * factor ** (n - 1))` seconds, of which a random share of up to
    `jitter` (0..1) is taken off, so that tasks that failed together do not come back together.
    """

    retries: int = 0
    backoff: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.5
    retry_on: tuple[type[BaseException] | str, ...] = (Exception,)
    """Exception classes (or names of them) that are worth another attempt."""
    waits: int = 1_000
    """How often a task may ask with `RetryAfter` to come back, until it is started by hand again."""

    def __post_init__(self) -> None:
        for name in ("retries", "waits"):
            value = getattr(self, name)
            if value < 0 or isinstance(value, bool):
                raise UsageError(f"RetryPolicy: {name} must be 0 or more, not {value!r}.")
        for name in ("backoff", "factor", "max_delay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"RetryPolicy: {name} must be a number of 0 or more, not {value!r}.")
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"RetryPolicy: jitter must be between 0 and 1, not {self.jitter!r}.")

    def delay_s(self, retry: int, random: float) -> float:
        """Return the wait in seconds before retry number `retry` (from 1); `random` is uniform in 0..1."""
        try:
            wait = self.backoff * self.factor ** (retry - 1)
        except OverflowError:
            wait = self.max_delay
        return min(self.max_delay, wait) * (1 - self.jitter * random)


class Tasks:
    """The tasks of a pipeline: a list, or a function that lists them, which `@pipeline.tasks` registers."""

    def __init__(self, source: Iterable[TaskLike] | TasksFunction | None) -> None:
        self.source = source

    def __call__(self, function: F) -> F:
        """Register the decorated function; its annotated parameters are those of a run."""
        if self.source is not None:
            raise UsageError(
                "The pipeline has tasks already: give either tasks=… or one function with @pipeline.tasks."
            )
        self.source = function
        return function

    def __iter__(self) -> Iterator[TaskLike]:
        return iter(cast("Iterable[TaskLike]", self.source))

    @property
    def function(self) -> TasksFunction | None:
        """The function that lists the tasks; None when they are a list."""
        return self.source if callable(self.source) and not isinstance(self.source, Iterable) else None


class _TasksField:
    """The field `tasks` of a pipeline: what is given becomes `Tasks`."""

    def __get__(self, pipeline: Pipeline | None, _class: type[Pipeline]) -> Tasks:
        return Tasks(None) if pipeline is None else pipeline.__dict__["tasks"]

    def __set__(self, pipeline: Pipeline, tasks: Tasks | Iterable[TaskLike] | TasksFunction | None) -> None:
        pipeline.__dict__["tasks"] = Tasks(tasks.source if isinstance(tasks, Tasks) else tasks)


EndFunction = Callable[[Any], object]
"""Gets the `RunSummary`."""
E = TypeVar("E", bound=EndFunction)
END_HOOK_S: Final = 30.0


@dataclass
class Pipeline:
    """Tasks, their worker function, and the handlers that persist what it publishes."""

    name: str
    tasks: _TasksField = _TasksField()
    """The tasks, or a function that lists them; see `Tasks`."""
    worker_fn: WorkerFn = None  # type: ignore[assignment] # an engine refuses None, unless each task has its own
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float | None = None
    """Seconds that one attempt of any task may run; None for no limit."""
    atomic: bool = field(default=False, kw_only=True)
    """Whether what an attempt puts is stored in one transaction with its end as `done`, and nothing of it otherwise."""
    limits: Mapping[str, Limit] = field(default_factory=dict, kw_only=True)
    """What tasks name in `TaskDef.limits`, by name; "host:*" is one limit for each name that begins so."""
    secrets: Sequence[str] = field(default=(), kw_only=True)
    """Names of environment variables whose values are stored and shown as `•••`; a run needs all of them."""
    workers: int | None = None
    """Workers to start with, unless the call or the command line gives a number."""
    executor: str | None = None
    """"thread", "process", "dask" or "async", unless the call or the command line says: work that computes needs
    processes. A worker function that is `async def` runs with "async" when nothing is said."""
    changed: bool = field(default=False, kw_only=True)
    """Whether a run is for the tasks alone whose params, version or inputs have changed since they were last done,
    unless the call or the command line says."""
    address: str | None = None
    """With "dask": the address of the scheduler, unless the call or the command line says."""
    handlers: dict[type, Handler] = field(default_factory=dict)
    handler_timeouts: dict[type, float] = field(default_factory=dict)
    """Seconds that a statement of a type's handler may take, where that is not five."""
    schemas: list[SchemaHelper] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    """By name in small letters, as SQLite compares them."""
    end_hooks: list[tuple[EndFunction, float]] = field(default_factory=list, kw_only=True)
    """Functions that are called when a run has ended, in turn, each with its time limit in seconds."""

    def table(
        self, name: str, columns: Mapping[str, Any], key: str | Sequence[str] | None = None, *, provenance: bool = True
    ) -> Table:
        """Declare a table of rows that workers hand over with `q.put(table.rows(...))`.

        `columns` maps names to types, as in `{"id": int, "day": date, "note": str | None}`. The writer creates the
        table at start-up. A row replaces the one with the same `key`; without a key, rows are appended. With
        `provenance` a column `_attempt` holds the id of the attempt that wrote the row last.
        """
        made = Table(name, columns, key, provenance)
        if lowered(made.name) in self.tables:
            raise UsageError(f"The pipeline has a table {made.name} already (SQLite ignores case).")
        if TableRows not in self.handlers:
            writer = TableWriter(self.tables)
            self.schemas.append(writer.create)
            self.handlers[TableRows] = writer.write
            self.handler_timeouts[TableRows] = ROWS_BUDGET_S
        self.tables[lowered(made.name)] = made
        return made

    def handler(
        self, message_type: type[M], *, timeout: float | None = None
    ) -> Callable[[Callable[[Any, M], object]], Callable[[Any, M], object]]:
        """Register the decorated `handler(conn, msg)` for `message_type` and its subclasses.

        A statement of the handler is stopped after `timeout` seconds; None: after five.
        """
        if not isinstance(message_type, type):
            raise UsageError("@pipeline.handler needs the message class: @pipeline.handler(MsgUpsertUsersBatch).")
        if message_type in self.handlers:
            raise UsageError(f"{message_type.__name__} has a handler already; a message type has one.")
        if timeout is not None and positive_number(timeout) is None:
            raise UsageError(f"@pipeline.handler: timeout must be a number of seconds above 0, not {timeout!r}.")

        def register(function: Callable[[Any, M], object]) -> Callable[[Any, M], object]:
            self.handlers[message_type] = function
            if timeout is not None:
                self.handler_timeouts[message_type] = timeout
            return function

        return register

    @overload
    def on_end(self, function: E, /) -> E: ...

    @overload
    def on_end(self, /, *, timeout: float = END_HOOK_S) -> Callable[[E], E]: ...

    def on_end(self, function: E | None = None, /, *, timeout: float = END_HOOK_S) -> E | Callable[[E], E]:
        """Register the decorated `function(summary)`, which gets the `RunSummary` when a run has ended.

        It is called once for each end, after the last commit, in the program that runs the pipeline. What it raises,
        and that it has not returned after `timeout` seconds, is a line in the run's log and changes no status.
        """
        if positive_number(timeout) is None:
            raise UsageError(f"@pipeline.on_end: timeout must be a number of seconds above 0, not {timeout!r}.")

        def register(function: E) -> E:
            check_called(function, "@pipeline.on_end", "the summary")
            self.end_hooks.append((function, float(timeout)))
            return function

        return register if function is None else register(function)

    def schema(self, function: SchemaHelper) -> SchemaHelper:
        """Register the decorated `helper(conn)`; the writer calls it at start-up, before any message."""
        self.schemas.append(function)
        return function


@dataclass(frozen=True, slots=True)
class TaskList:
    """The tasks of a run, and the parameters that they were listed with."""

    tasks: Sequence[TaskLike]
    params: Texts
    limits: frozenset[str] = frozenset()
    """Names that the tasks' limits may have."""


def parameters(pipeline: Pipeline) -> dict[str, Parameter]:
    """Return the parameters of the pipeline's runs by name; raises `UsageError` as `parameters_of`."""
    function = pipeline.tasks.function
    return {} if function is None else parameters_of(function)


def list_tasks(pipeline: Pipeline, given: Mapping[str, object]) -> TaskList:
    """List the pipeline's tasks with `given` parameters, or their texts.

    Raises `UsageError` for a parameter that does not fit, and as `from_environment`, `checked_tasks` and `check_named`.
    """
    from_environment(pipeline.secrets)
    check_declared(pipeline.limits)
    today = _list(pipeline, given)
    check_named(today.tasks, pipeline.limits)
    return replace(today, limits=frozenset(pipeline.limits))


def _list(pipeline: Pipeline, given: Mapping[str, object]) -> TaskList:
    function, source = pipeline.tasks.function, pipeline.tasks.source
    there = parameters(pipeline)
    values = bound(pipeline.name, there, given)
    if function is None:
        if source is None:
            raise UsageError(
                f"{clean(pipeline.name, 60)} has no tasks: give tasks=…, or a function with @pipeline.tasks."
            )
        return TaskList(checked_tasks(cast("Iterable[TaskLike]", source)), {})
    try:
        found = function(**values)
    except Exception as error:
        raise UsageError(f"The list of tasks cannot be made: {users_error(error)}.") from error
    return TaskList(checked_tasks(found), texts_of(there, values))


def checked_tasks(tasks: Iterable[TaskLike]) -> Sequence[TaskLike]:
    """Return the tasks as a list; raise `UsageError` unless each has a unique id and a name.

    An iterator can be gone through once: a second time is an error, too, and no run without tasks.
    """
    listed = _listed(tasks)
    seen: set[TaskId] = set()
    doubles: dict[TaskId, None] = {}
    for place, task in enumerate(listed, 1):
        task_id = _checked_id(task, place)
        if not isinstance(getattr(task, "name", None), str):
            raise UsageError(f"Task {task_id!r} (number {place}) has no name: give it a `name` that is a string.")
        if type(task) is TaskDef and (task.inputs or task.version is not None):
            _check_inputs(task)
        if task_id in seen:
            doubles[task_id] = None
        seen.add(task_id)
    if doubles:
        shown = ", ".join(map(repr, list(doubles)[:10])) + (" …" if len(doubles) > 10 else "")
        raise UsageError(f"Task ids must be unique, but these are used more than once: {shown}.")
    return listed


def _listed(tasks: Iterable[TaskLike]) -> list[TaskLike]:
    try:
        iterator = iter(tasks)
    except TypeError as error:
        raise UsageError(f"tasks must be a list of tasks, not {type(tasks).__name__}.") from error
    if iterator is tasks:
        if any(iterator is used for used in _used_up):
            raise UsageError(
                f"tasks is a {type(tasks).__name__} that was gone through before, and has nothing left: give a list."
            )
        _used_up.append(iterator)
    try:
        return list(iterator)
    except Exception as error:
        raise UsageError(f"The list of tasks cannot be made: {users_error(error)}.") from error


_used_up: Final[list[Iterator[TaskLike]]] = []
"""Iterators of tasks that were gone through; most kinds cannot be referred to weakly."""


def _checked_id(task: object, place: int) -> TaskId:
    """Return the task's id if it can name a task in the file."""
    task_id = getattr(task, "task_id", None)
    if isinstance(task_id, bool) or not isinstance(task_id, (int, str)):
        raise UsageError(f"Task number {place} ({type(task).__name__}) has no task_id: it must be an int or a str.")
    if isinstance(task_id, int) and not -MAX_INT - 1 <= task_id <= MAX_INT:
        raise UsageError(f"Task number {place}: task_id {task_id} does not fit SQLite's 64-bit integers.")
    if isinstance(task_id, str) and any("\ud800" <= char <= "\udfff" or char == "\0" for char in task_id):
        raise UsageError(f"Task number {place}: task_id {task_id!r} holds characters that SQLite cannot keep.")
    if isinstance(task_id, str) and masked(task_id) != task_id:
        raise UsageError(f"Task number {place}: its task_id holds a secret, and ids are stored and shown: use another.")
    return task_id


def _check_inputs(task: TaskDef) -> None:
    """Raise `UsageError` unless the inputs are paths, and the version is a text."""
    named = f"Task {task.task_id!r:.80}"
    if not isinstance(task.inputs, tuple):
        raise UsageError(f"{named}: inputs must be a list of paths, not {task.inputs!r:.80}.")
    for one in task.inputs:
        if not isinstance(one, (str, os.PathLike)) or not isinstance(path := os.fspath(one), str) or "\0" in path:
            raise UsageError(f"{named}: inputs must be paths, and {one!r:.80} is none.")
    if task.version is not None and not isinstance(task.version, str):
        raise UsageError(f'{named}: version must be a text such as "2", not {task.version!r:.80}.')


def positive_number(value: object) -> float | None:
    """Return `value` as a finite number of seconds above 0, or None when it is not one."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def task_params(task: object) -> Mapping[str, Any]:
    """Return the task's `params`, empty when it has none."""
    params = getattr(task, "params", None)
    return params if isinstance(params, Mapping) else {}


def task_inputs(task: object) -> tuple[str, ...]:
    """Return the paths of the task's `inputs`, each once; empty when it has none."""
    given = getattr(task, "inputs", ())
    if not given or not isinstance(given, (list, tuple)):
        return ()
    if len(given) == 1 and type(task) is TaskDef:  # most have one, and it was looked at
        return (os.fspath(given[0]),)
    return tuple(dict.fromkeys(os.fspath(one) for one in given if isinstance(one, (str, os.PathLike))))


def task_version(task: object) -> str | None:
    """Return the task's `version`; None when it has none."""
    version = getattr(task, "version", None)
    return version if isinstance(version, str) else None


def error_matches(kind: type[BaseException], retry_on: tuple[type[BaseException] | str, ...]) -> bool:
    """Tell whether `retry_on` holds or names the error class `kind` or a base of it; never for a request to stop."""
    if issubclass(kind, TaskCancelled):
        return False
    names = {base.__name__ for base in kind.__mro__}
    return any(entry in names if isinstance(entry, str) else entry in kind.__mro__ for entry in retry_on)


def worker_functions(pipeline: Pipeline, tasks: Iterable[TaskLike]) -> list[WorkerFn]:
    """Return the pipeline's worker function and those of tasks, each once; raises `UsageError` as `check_worker`.

    The pipeline needs none when each task has its own.
    """
    default = cast("WorkerFn | None", pipeline.worker_fn)
    found: dict[int, WorkerFn] = {}
    if default is not None:
        check_worker(default)
        found[id(default)] = default
    for task in tasks:
        own: WorkerFn | None = getattr(task, "worker_fn", None)
        if own is not None and id(own) not in found:
            check_worker(own, f"Task {task.task_id!r}: ")
            found[id(own)] = own
        elif own is None and default is None:
            raise UsageError(
                f"Task {task.task_id!r} has no worker_fn: give it, or the pipeline, a function of (task, q)."
            )
    if not found:
        raise UsageError("There is no worker_fn: give the pipeline a function of (task, q).")
    return list(found.values())
