"""The past of a pipeline's tasks, and how each differs now from when it was last done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipeloom.engine.changes.input_key import FileKey, InputError, InputKey, digest_of, is_same, key_of, looked_at
from pipeloom.engine.run.same_task import has_fixed_text, stored_name, stored_params
from pipeloom.messages import TaskDef, TaskId
from pipeloom.parameters.texts import Texts, read_back, without_few
from pipeloom.pipeline import task_inputs, task_params, task_version
from pipeloom.secrets import masked
from pipeloom.status import Status
from pipeloom.store.file.kind import READABLE, FileKind, file_kind
from pipeloom.store.read.history import History
from pipeloom.store.read.run_queries import found_ever, tasks_past
from pipeloom.store.rows import RunRow, TaskPast
from pipeloom.text import clean, size
from pipeloom.times import utc_now

NEVER_DONE: Final = "never done"
ENDS: Final = {
    Status.ERROR: "last attempt failed",
    Status.CANCELLED: "last attempt was cancelled",
    Status.INTERRUPTED: "last attempt was interrupted",
    Status.SKIPPED: "last attempt was skipped",
}
_ADDRESS: Final = " at 0x"
"""In the text of an object whose class has none of its own: another one for each object, and in each process."""
_SHOWN: Final = 60
"""Characters of a value that are told."""


@dataclass(frozen=True, slots=True)
class Past:
    """Each task that a pipeline has run in a file, by its id."""

    tasks: Mapping[TaskId, TaskPast] = field(default_factory=dict)
    functions: Mapping[TaskId, str] = field(default_factory=dict)
    """Names of the worker functions that some of the tasks in `found` have of their own."""
    found: tuple[tuple[TaskId | None, TaskDef], ...] = ()
    """Tasks that workers have put, each after the id of the task that did; those put first come first."""
    runs: Mapping[int, RunRow] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, pipeline: str) -> Past:
        """Read the past of a pipeline; it has none in a file that is not there, or of another kind."""
        if (kind := file_kind(path)) not in READABLE or kind is FileKind.LEGACY:
            return cls()
        with History(path) as history:
            runs = {run.id: run for run in history.runs_of(pipeline)}
            tasks, found = tasks_past(history, pipeline), found_ever(history, pipeline)
        functions = {one.task.task_id: one.worker_fn for _, one in found if one.worker_fn is not None}
        return cls(tasks, functions, tuple((finder, one.task) for finder, one in found), runs)

    def key(self, task_id: TaskId) -> str | None:
        """Return the input key with which the task was last done, as JSON."""
        past = self.tasks.get(task_id)
        return None if past is None else past.input_key

    def begun_at(self, task_id: TaskId) -> str:
        """Return when the attempt started that was done last; "" without one."""
        past = self.tasks.get(task_id)
        return "" if past is None else past.started_at or ""

    def done_at(self, task_id: TaskId) -> str:
        """Return when the task was last done; "" where it never was."""
        past = self.tasks.get(task_id)
        return "" if past is None else past.finished_at or ""

    def reasons(self, task: TaskDef) -> tuple[str, ...]:
        """Return why the task has to run, old before new; nothing when it was done and is unchanged."""
        past = self.tasks.get(task.task_id)
        if past is None:
            return (NEVER_DONE,)
        if past.status is Status.DONE and _is_unchanged(past, task):
            return ()
        ended = () if past.status is Status.DONE else (ENDS.get(past.status, "last attempt did not end"),)
        return (*ended, *_differences(past, task)) if past.is_done else ended

    def gone(self, listed: Iterable[TaskId], params: Texts) -> list[tuple[TaskId, str]]:
        """Return the tasks, id and name, that were listed in a run with the same parameters, and are not any more."""
        known = {*listed, *(task.task_id for _, task in self.found)}
        same = {run.id for run in self.runs.values() if without_few(read_back(run.params)) == params}
        return [
            (task_id, past.name) for task_id, past in self.tasks.items() if task_id not in known and past.run_id in same
        ]


def _is_unchanged(past: TaskPast, task: TaskDef) -> bool:
    """Tell whether nothing differs, without looking for what does: most tasks have not changed."""
    return (
        (task.name == past.done_name or stored_name(task) == past.done_name)
        and _kept_params(task) == past.params
        and _ADDRESS not in (past.params or "")
        and is_same(past.input_key, task_version(task), task_inputs(task))
    )


def _kept_params(task: TaskDef) -> str | None:
    """Return the params as the file keeps them; "" for what it cannot keep, which is never the same."""
    kept = stored_params(task)
    return "" if kept is None and task_params(task) else kept


def _differences(past: TaskPast, task: TaskDef) -> Iterator[str]:
    if (name := stored_name(task)) != past.done_name:
        yield f"name: {clean(past.done_name, _SHOWN)} -> {clean(name, _SHOWN)}"
    yield from _changed_params(past.params, task)
    version, names = task_version(task), task_inputs(task)
    before = key_of(past.input_key)
    if (version and masked(version)) != before.version:
        yield f"version {_version(before.version)} -> {_version(version)}"
    yield from _changed_files(before, names)


def _version(version: str | None) -> str:
    return "(none)" if version is None else clean(version, _SHOWN)


def _changed_params(before: str | None, task: TaskDef) -> Iterator[str]:
    now = _kept_params(task)
    if now == "":
        yield "params: they are too large to be compared"
    was, has = _as_dict(before), _as_dict(now)
    loose = _without_fixed_form(task, has) if now is not None and _ADDRESS in now else {}
    for key in () if now == before and not loose else {**was, **has}:
        if key in loose:
            yield f"params.{clean(key, _SHOWN)} has no fixed form ({loose[key]}): the task always runs"
        elif key not in was or key not in has or _as_text(was[key]) != _as_text(has[key]):
            yield f"params.{clean(key, _SHOWN)}: {' -> '.join(_values(was, has, key))}"


def _without_fixed_form(task: TaskDef, kept: Mapping[str, Any]) -> dict[str, str]:
    """Return the params whose text holds an address, each with what stands before that."""
    given = task_params(task).items()
    texts = {str(key): _as_text(kept.get(str(key))) for key, value in given if not has_fixed_text(value)}
    starts = {key: text.partition(_ADDRESS)[0] for key, text in texts.items() if _ADDRESS in text}
    return {key: f"{clean(start[start.rfind('<') + 1 :], _SHOWN)} at …" for key, start in starts.items()}


def _as_text(value: Any) -> str:
    """Return a value as JSON: Python takes `True` for 1."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _as_dict(params: str | None) -> dict[str, Any]:
    try:
        read = json.loads(params or "{}")
    except (ValueError, RecursionError):  # another program has written it
        return {}
    return read if isinstance(read, dict) else {}


def _values(was: Mapping[str, Any], has: Mapping[str, Any], key: str) -> tuple[str, str]:
    """Return a value as it was and as it is; texts without quotes, unless both would look alike then."""
    before, now = _value(was, key), _value(has, key)
    return (before, now) if before != now else (_value(was, key, quoted=True), _value(has, key, quoted=True))


def _value(params: Mapping[str, Any], key: str, *, quoted: bool = False) -> str:
    if key not in params:
        return "(none)"
    value = params[key]
    plain = isinstance(value, str) and value.strip() == value != "" and not quoted
    return clean(value if plain else json.dumps(value, ensure_ascii=False), _SHOWN)


def _changed_files(before: InputKey, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        if told := _changed_file(name, before.files.get(masked(name))):
            yield f"inputs: {clean(name, 200)} {told}"
    for name in before.files.keys() - set(map(masked, names)):
        yield f"inputs: {clean(name, 200)} left out"


def _changed_file(name: str, before: FileKey | None) -> str:
    """Return how a file has changed; "" when it has not, whatever its time says."""
    try:
        found = looked_at(name)
        if before is None:
            return "added"
        if before.is_as(found) or (before.size == found.st_size and before.digest == digest_of(name)):
            return ""
    except InputError as error:
        return error.why
    sizes = "" if before.size == found.st_size else f", {size(before.size)} -> {size(found.st_size)}"
    return f"changed {_clock(found.st_mtime)}{sizes}"


def _clock(seconds: float) -> str:
    """Return a time of today as `12:41`, and another one with its day."""
    try:
        at = datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        return "at an unknown time"
    return f"{at:%H:%M}" if at.date() == utc_now().astimezone().date() else f"{at:%Y-%m-%d %H:%M}"
