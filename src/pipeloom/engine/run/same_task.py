"""Which task of an earlier run a task is: an id may come from a place in a list, and be another task's today."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from pipeloom.engine.events import KEPT_TEXT
from pipeloom.engine.worker.validation import as_json
from pipeloom.errors import UsageError
from pipeloom.messages import TaskId, TaskLike
from pipeloom.pipeline import task_params
from pipeloom.secrets import Secret
from pipeloom.text import clean, storable

_SHOWN: Final = 3
"""Number of changed tasks that the error shows."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_Meaning = tuple[str, str | None]
"""A name, and params as JSON."""


class EarlierTask(Protocol):
    """A task as the file has it."""

    @property
    def task_id(self) -> TaskId: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def params(self) -> str | None:
        """JSON; None when they are not known, or there are none."""


Found = TypeVar("Found", bound=EarlierTask)


@dataclass
class SameTasks(Generic[Found]):
    """Tasks of today by what they were earlier; one that is in neither is new."""

    found: dict[TaskId, Found] = field(default_factory=dict)
    """Today's id to the earlier task: of the same name and params, whatever its id was."""
    changed: dict[TaskId, tuple[TaskLike, Found]] = field(default_factory=dict)
    """Today's id to today's task and the earlier one of that id, which is not in the list of today."""


def stored_name(task: TaskLike) -> str:
    """Return the task's name as the file keeps it."""
    return storable(task.name, KEPT_TEXT)


def stored_params(task: TaskLike) -> str | None:
    """Return the task's params as the file keeps them; None for none, or for what cannot be kept."""
    given = task_params(task)
    return as_json(dict(given))[0] if given else None


def tasks_again(tasks: Sequence[TaskLike], chosen: Iterable[Found]) -> SameTasks[Found]:
    """Find the tasks of today that are meant by attempts which the user chose to run again.

    Those whose params were corrected are among the changed. Raises `UsageError` where an id is another task's now.
    """
    same = same_tasks(tasks, chosen)
    others = [(now, before) for now, before in same.changed.values() if before.name != stored_name(now)]
    if others:
        raise changed_error(others)
    return same


def same_tasks(tasks: Sequence[TaskLike], earlier: Iterable[Found]) -> SameTasks[Found]:
    """Find tasks among earlier ones, of which the newest come last.

    A name with its params finds the newest task that had them. Where several tasks of today have the same, their ids
    tell them apart. Params that JSON lacks are kept as text, which may be another one in each process: they tell
    nothing.
    """
    unsteady = {key for task in tasks for key, value in task_params(task).items() if not has_fixed_text(value)}
    by_id: dict[TaskId, Found] = {}
    by_meaning: dict[_Meaning, dict[TaskId, Found]] = defaultdict(dict)
    for task in earlier:
        by_id[task.task_id] = task
        alike = by_meaning[task.name, _without(task.params, unsteady)]
        alike.pop(task.task_id, None)
        alike[task.task_id] = task
    meanings: list[_Meaning] = [(stored_name(task), _without(stored_params(task), unsteady)) for task in tasks]
    today = Counter(meanings)
    same, others = SameTasks[Found](), list[tuple[TaskLike, _Meaning]]()
    for now, meaning in zip(tasks, meanings, strict=True):
        alike = by_meaning.get(meaning, {})
        if alike and today[meaning] == 1:
            same.found[now.task_id] = alike.popitem()[1]
        elif now.task_id in alike:
            same.found[now.task_id] = alike.pop(now.task_id)
        else:
            others.append((now, meaning))
    for now, meaning in others:
        alike, before = by_meaning.get(meaning, {}), by_id.get(now.task_id)
        if len(alike) == 1:
            same.found[now.task_id] = alike.popitem()[1]
        elif before is not None and (before.name, _without(before.params, unsteady)) not in today:
            same.changed[now.task_id] = now, before
    return same


def has_fixed_text(value: Any) -> bool:
    """Tell whether JSON has the value, so that its text is the same in every process."""
    if type(value) in _SCALARS or isinstance(value, Secret):  # whose text is the same for all
        return True
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _without(params: str | None, keys: Collection[str]) -> str | None:
    """Return params, as the file keeps them, without some keys."""
    if params is None or not keys:
        return params
    return json.dumps({key: value for key, value in _params(params).items() if key not in keys}, ensure_ascii=False)


def changed_error(changed: Iterable[tuple[TaskLike, EarlierTask]]) -> UsageError:
    """Return the error for ids that mean something else than they did, with both shown."""
    told = [_difference(now, before) for now, before in changed]
    more = f" … and {len(told) - _SHOWN:,} more." if len(told) > _SHOWN else ""
    return UsageError(
        f"{' '.join(told[:_SHOWN])}{more} Give each task an id that stays its own, such as a file's name or a day; or "
        "run all tasks, in a run that continues none."
    )


def _difference(now: TaskLike, before: EarlierTask) -> str:
    if before.name != stored_name(now):
        return f"Task {now.task_id!r} is {clean(now.name, 60)} now, and was {clean(before.name, 60)}."
    was, has = _params(before.params), _params(stored_params(now))
    keys = [key for key in {**was, **has} if was.get(key) != has.get(key)]
    shown = ", ".join(f"{clean(key, 40)} {_value(has, key)} (was {_value(was, key)})" for key in keys[:_SHOWN])
    return f"Task {now.task_id!r} ({clean(now.name, 60)}) has other params now: {shown}."


def _params(text: str | None) -> dict[str, Any]:
    read = json.loads(text) if text else {}
    return read if isinstance(read, dict) else {}


def _value(params: dict[str, Any], key: str) -> str:
    return clean(json.dumps(params[key], ensure_ascii=False), 80) if key in params else "nothing"
