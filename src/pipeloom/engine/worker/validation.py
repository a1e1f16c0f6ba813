"""Checks a message in the worker's own `put`, and makes it storable."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

from pipeloom.engine.events import KEPT_TEXT, Finish, Found, Logged, Together
from pipeloom.engine.schedule.order import ALL, after_of, cycle_of, shown_cycle
from pipeloom.engine.worker.by_value import by_value
from pipeloom.engine.worker.weight import flat_weight, weight
from pipeloom.errors import MessageError, UsageError
from pipeloom.limits.limit import check_named, names_of
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, MsgTaskProgress, MsgTaskStarted, TaskDef, TaskId
from pipeloom.pipeline import MAX_INT, checked_tasks, positive_number, task_inputs
from pipeloom.secrets import Secret, masked, masked_json
from pipeloom.status import Status
from pipeloom.tables.table import TableRows
from pipeloom.text import as_text, first_line, storable
from pipeloom.times import valid_stamp
from pipeloom.users_code import is_async, name_of, shown_name

MAX_TEXT: Final = 1 << 20
"""Characters that one text or JSON value of a message may have."""

MAX_MESSAGE: Final = 8 << 20
"""Approximate bytes that one message may hold: the queue keeps thousands of messages in memory."""

MAX_TOGETHER: Final = 4 * MAX_MESSAGE
"""Approximate bytes that the messages of one `put` may hold."""


def _text_of(value: object) -> str:
    """Return an object that JSON lacks as text; a set with its items in order, so that equal ones are equal texts."""
    if issubclass(type(value), (set, frozenset)):
        try:
            return f"{{{', '.join(sorted(map(repr, value)))}}}"  # type: ignore[call-overload]  # it is one
        except BaseException:  # noqa: BLE001 - a user's __repr__ may raise anything, SystemExit included
            return as_text(value)
    return as_text(value)


_encoded: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_text_of).encode
"""Made once: 100,000 tasks have their params written, and compared with those of earlier runs."""
_NUMBERS: Final = frozenset({int, float, bool, type(None)})
_LIFECYCLE: Final = frozenset({MsgTaskProgress, MsgTaskStarted, Finish, Logged})


def _not_json(value: object) -> NoReturn:
    if isinstance(value, Secret):
        raise TypeError("a Secret is not kept in the file")
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_STRICT: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_not_json)
"""Kept, because making one costs as much as a small state."""
_REPORTABLE: Final = (Status.DONE, Status.ERROR, Status.CANCELLED)


def checked(msg: Any, task_id: TaskId, domain_types: frozenset[type], limits: frozenset[str] = frozenset()) -> Any:
    """Return `msg` in the form that travels to the writer; raises `MessageError` when it cannot be stored."""
    kind = type(msg)
    if kind is MsgTaskProgress:
        return msg if _is_plain(msg, task_id) else _checked_progress(msg, task_id)
    if kind in domain_types:
        return _checked_domain(msg)
    if isinstance(msg, (MsgTaskStarted, MsgTaskFinished, MsgTaskLog, MsgTaskProgress)):
        return _checked_lifecycle(msg, task_id)
    if any(base in domain_types for base in kind.__mro__):
        return _checked_domain(msg)
    if isinstance(msg, TaskDef):
        found = _checked_found(msg, limits)
        return _found_together((found,), weight=len(found.name) + len(found.params))
    if kind is TableRows:
        raise MessageError(
            f"The pipeline of this task has no table {msg.table}: call pipeline.table(...) beside the pipeline, "
            "before the run begins, and not in a task."
        )
    raise MessageError(
        f"There is no handler for {kind.__name__}: register one with @pipeline.handler({kind.__name__})."
    )


def checked_together(
    messages: Iterable[Any],
    state: Mapping[str, Any] | None,
    task_id: TaskId,
    domain_types: frozenset[type],
    limits: frozenset[str] = frozenset(),
) -> Together:
    """Return what one `put` has taken in the form that travels; raises `MessageError` when it cannot be stored."""
    kept: list[Any] = []
    found: list[Found] = []
    held = 0
    for msg in messages:
        entry = checked(msg, task_id, domain_types, limits)
        held += weight(entry)
        if type(entry) is Together:
            found += entry.found
        elif type(entry) in _LIFECYCLE:
            raise MessageError(f"{type(msg).__name__} needs a put of its own: it is not stored together with others.")
        elif type(entry) is TableRows:
            kept += parts(entry)
        else:
            kept.append(entry)
    if held > MAX_TOGETHER:
        raise MessageError(
            f"What is put together holds about {held >> 20:,} MiB; at most {MAX_TOGETHER >> 20} are taken: put less."
        )
    kept_state = None if state is None else checked_state(state)
    return _found_together(tuple(found), tuple(kept), kept_state, held + len(kept_state or ""))


def _found_together(
    found: tuple[Found, ...], kept: tuple[Any, ...] = (), state: str | None = None, weight: int = 0
) -> Together:
    """Return what is put together; raises `MessageError` when tasks of it wait for each other."""
    if found and (cycle := cycle_of({task.task_id: task.after for task in found if task.after and task.after != ALL})):
        raise MessageError(f"These tasks wait for each other, and none could ever run: {shown_cycle(cycle)}.")
    return Together(kept, found, state, weight)


def checked_state(state: Mapping[str, Any]) -> str:
    """Return the state of a task as JSON; raises `MessageError` when the file cannot keep it."""
    if type(state) is not dict and not isinstance(state, Mapping):
        raise MessageError(f"state must be a dict, not {type(state).__name__}.")
    kept = _strict_json("state", state if type(state) is dict else dict(state))
    _refuse_secrets("state", kept)
    return kept


def _refuse_secrets(what: str, *texts: str | None) -> None:
    """Raise `MessageError` when a text that a task gets back from the file holds a secret: it would get it masked."""
    if any(text is not None and masked(text) != text for text in texts):
        raise MessageError(
            f"{what} holds a secret, and the file keeps none: let the task take it from its environment, or from the "
            "params of a task that the pipeline lists."
        )


def _checked_found(task: TaskDef, limits: frozenset[str]) -> Found:
    try:
        check_named(checked_tasks([task]), limits)
    except UsageError as error:
        raise MessageError(f"A task that is put must be one that can run: {error}") from None
    steps: object = task.steps
    if isinstance(steps, bool) or not isinstance(steps, int) or abs(steps) > MAX_INT:
        raise MessageError(f"Task {task.task_id!r:.80}: steps must be a whole number, not {steps!r:.80}.")
    params = _strict_json(f"The params of task {task.task_id!r:.80}, which is put,", dict(task.params))
    own = task.retries
    retries = own if isinstance(own, int) and not isinstance(own, bool) else None
    name = storable(task.name, KEPT_TEXT)
    atomic = task.atomic if isinstance(task.atomic, bool) else None
    try:
        after = after_of(task)
    except UsageError as error:
        raise MessageError(str(error)) from None
    worker = None if task.worker_fn is None else name_of(task.worker_fn)
    if task.worker_fn is not None and worker is None:
        raise MessageError(
            f"Task {task.task_id!r:.80}: a task that is put may have a worker_fn that is defined at the top level of a "
            "module, because a run that goes on finds it there by its name."
        )
    limit, own_limits = positive_number(task.timeout), tuple(storable(name, KEPT_TEXT) for name in names_of(task))
    inputs = json.dumps(names) if (names := task_inputs(task)) else None
    _refuse_secrets(f"Task {task.task_id!r:.80}, which is put,", params, inputs, task.version)
    return Found(
        task.task_id,
        name,
        params,
        task.steps,
        retries,
        limit,
        atomic,
        after,
        worker,
        own_limits,
        task.priority,
        inputs,
        task.version,
    )


def check_kind(messages: Iterable[object], worker_fn: Callable[..., object]) -> None:
    """Raise `MessageError` when a task that is put has a function that the executor of this one cannot run."""
    for task in messages:
        if isinstance(task, TaskDef) and task.worker_fn is not None and is_async(task.worker_fn) != is_async(worker_fn):
            kind = "`async def`" if is_async(worker_fn) else "a plain function"
            raise MessageError(
                f"Task {task.task_id!r:.80}: its worker_fn {shown_name(task.worker_fn)} must be {kind}, as that of the "
                "task that puts it: all run on one executor."
            )


def _strict_json(what: str, value: object) -> str:
    """Return `value` as JSON, which gives the same value back."""
    try:
        text = _STRICT.encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise MessageError(f"{what} must be JSON: {first_line(error)}.") from None
    kept = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")  # as JSON escapes them
    if len(kept) > MAX_TEXT:
        raise MessageError(f"{what} has {len(kept):,} characters of JSON; at most {MAX_TEXT:,} are taken.")
    return kept


def as_json(value: Any) -> tuple[str | None, str | None]:
    """Return `value` as JSON and None, or None and why it is not kept. Objects that JSON lacks are kept as text."""
    if value is None:
        return None, None
    try:
        try:
            text = _encoded(value)
        except ValueError:  # JSON has no NaN and no infinity
            text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_text_of)
    except (ValueError, TypeError, RecursionError) as error:
        return None, f"result not kept: {error}"
    if len(text) > MAX_TEXT:
        return None, f"result not kept: {len(text):,} characters of JSON are more than {MAX_TEXT:,}"
    return storable(masked_json(text), MAX_TEXT), None


def _finite(value: Any, depth: int = 100) -> Any:
    """Return a JSON value with null in the place of NaN and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not depth:
        raise ValueError("it is nested too deep, or holds itself")
    if isinstance(value, dict):
        return {key: _finite(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item, depth - 1) for item in value]
    return value


def parts(rows: TableRows) -> Iterator[TableRows]:
    """Yield the rows in messages of at most `MAX_MESSAGE` bytes; each is stored whole or not at all."""
    if rows.size <= MAX_MESSAGE:
        yield rows
    elif len(rows.rows) > 1:
        for half in rows.halves():
            yield from parts(half)
    else:
        _checked_size(rows)


def _checked_domain(msg: Any) -> Any:
    if type(msg) is TableRows:
        return msg  # plain values already; `parts` cuts it
    if (flat := flat_weight(msg)) is not None and flat <= MAX_MESSAGE:
        return msg
    return by_value(_checked_size(msg))


def _checked_size(msg: Any) -> Any:
    if (held := weight(msg)) > MAX_MESSAGE:
        raise MessageError(
            f"{type(msg).__name__} holds about {held >> 20:,} MiB; at most {MAX_MESSAGE >> 20} are taken: "
            "publish smaller batches."
        )
    return msg


def _is_plain(msg: MsgTaskProgress, task_id: TaskId) -> bool:
    """Tell whether nothing in the message has to be changed or refused, as is mostly so."""
    named, text = msg.task_id, msg.message
    return (
        named == task_id
        and type(named) is type(task_id)
        and type(msg.step) in _NUMBERS
        and type(msg.total) in _NUMBERS
        and (text is None or (type(text) is str and len(text) <= MAX_TEXT and masked(text) == text))
    )


def _checked_progress(msg: MsgTaskProgress, task_id: TaskId) -> MsgTaskProgress:
    """Return `msg` in built-in types: the code of other types runs here, on the worker's thread."""
    _check_task(msg.task_id, task_id, msg)
    text = None if msg.message is None else _checked_text("MsgTaskProgress", "message", msg.message)
    return MsgTaskProgress(task_id, _checked_number("step", msg.step), _checked_number("total", msg.total), text)


def _checked_number(name: str, value: float | None) -> float | None:
    if type(value) in _NUMBERS:
        return value
    if not isinstance(value, (int, float, numbers.Real)):
        raise MessageError(f"MsgTaskProgress: {name} must be a number or None, not {type(value).__name__}.")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _checked_lifecycle(msg: Any, task_id: TaskId) -> Any:
    """Check a lifecycle message; an instance of a subclass travels as the plain message."""
    _check_task(msg.task_id, task_id, msg)
    match msg:
        case MsgTaskProgress():
            return _checked_progress(MsgTaskProgress(msg.task_id, msg.step, msg.total, msg.message), task_id)
        case MsgTaskFinished():
            return _checked_finish(msg)
        case MsgTaskLog():
            text = _checked_text("MsgTaskLog", "text", msg.text)
            level = _checked_text("MsgTaskLog", "level", msg.level)
            return Logged(storable(level, 20).upper(), storable(text, KEPT_TEXT))
        case _:
            return MsgTaskStarted(task_id, "", valid_stamp(msg.started_at) or "")


def _checked_finish(msg: MsgTaskFinished) -> Finish:
    if msg.status not in _REPORTABLE:
        allowed = ", ".join(f'"{status}"' for status in _REPORTABLE)
        raise MessageError(f"MsgTaskFinished: status must be one of {allowed}, not {msg.status!r:.80}.")
    message = None if msg.message is None else _checked_text("MsgTaskFinished", "message", msg.message)
    result, complaint = as_json(msg.result)
    if complaint is not None:
        message = f"{message or ''} ({complaint})".strip()
    return Finish(Status(msg.status), valid_stamp(msg.finished_at), message, result)


def _check_task(named: object, task_id: TaskId, msg: object) -> None:
    if named != task_id or type(named) is not type(task_id):
        raise MessageError(f"{type(msg).__name__} names task {named!r:.80}, but this worker has task {task_id!r:.80}.")


def _checked_text(kind: str, name: str, text: object) -> str:
    if not isinstance(text, str):
        raise MessageError(f"{kind}: {name} must be a string, not {type(text).__name__}.")
    plain = str.__str__(text)  # a subclass may override what runs later
    if len(plain) > MAX_TEXT:
        raise MessageError(f"{kind}: {name} has {len(plain):,} characters; at most {MAX_TEXT:,} are taken.")
    return masked(plain)
