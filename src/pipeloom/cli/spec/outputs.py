"""What each command writes with `--json`: a schema, and whether it is one object or one a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from pipeloom.cli.spec.json_schema import (
    ANY,
    TEXT,
    WHOLE,
    YES_OR_NO,
    Schema,
    const,
    fields_of,
    listed,
    mapped,
    obj,
    of_type,
    one_of,
    or_null,
)
from pipeloom.console.lines import ATTEMPT_FIELDS
from pipeloom.engine.commands import LimitUse
from pipeloom.engine.run.summary import OddTask
from pipeloom.messages import TaskId
from pipeloom.parameters.texts import Text
from pipeloom.status import RunStatus, Status
from pipeloom.store.maintenance.prune import Pruned, PrunePreview
from pipeloom.store.read.run_queries import LatestAttempt
from pipeloom.store.read.tasks import TaskState
from pipeloom.store.rows import AttemptRow, LogRow, RunRow

_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
_TASK_ID: Final = of_type(TaskId)
_COUNTS: Final[Schema] = {"type": "object", "propertyNames": of_type(Status), "additionalProperties": WHOLE}
_PARAMS: Final = mapped(of_type(Text))
_ATTEMPT: Final = {**fields_of(AttemptRow), "params": ANY, "result": ANY}
_RUN: Final = obj(
    "run",
    **{
        **fields_of(RunRow),
        "params": _PARAMS,
        "rows": or_null(WHOLE),
        "duration_s": or_null(_SECONDS),
        "alive": YES_OR_NO,
    },
)


class Output(NamedTuple):
    """What a command writes as JSON."""

    schema: Schema
    lines: bool = False
    """Whether each line is an object of its own."""


def _run_lines() -> Output:
    attempt = obj("attempt", type=const("attempt"), **{name: _ATTEMPT[name] for name in ATTEMPT_FIELDS})
    summary = obj(
        "summary",
        type=const("summary"),
        run_id=WHOLE,
        pipeline=TEXT,
        db=TEXT,
        status=of_type(RunStatus),
        exit_code=WHOLE,
        counts=_COUNTS,
        failed=listed(obj(task_id=_TASK_ID, name=TEXT, error=TEXT)),
        elapsed_s=_SECONDS,
        params=_PARAMS,
        parent_run_id=or_null(WHOLE),
        trouble=or_null(TEXT),
        unsaved=WHOLE,
        late=WHOLE,
        rows=WHOLE,
        unchanged=or_null(WHOLE),
        gone=listed(TEXT),
        odd=listed(of_type(OddTask)),
        hook_errors=listed(TEXT),
    )
    return Output(one_of(attempt, summary), lines=True)


def _plan() -> Output:
    task = {"task_id": _TASK_ID, "name": TEXT}
    return Output(
        obj(
            "plan",
            db=TEXT,
            pipeline=TEXT,
            params=_PARAMS,
            resumes=or_null(WHOLE),
            tasks=listed(obj(**task, why=listed(TEXT))),
            would_run=WHOLE,
            unchanged=or_null(WHOLE),
            left_out=WHOLE,
            gone=listed(obj(**task)),
        )
    )


def _status() -> Output:
    names = ("id", "task_id", "name", "attempt", "status", "started_at", "duration_s", "progress", "rows", "message")
    task = {name: _ATTEMPT[name] for name in names}
    noted = {"pid": WHOLE, "host": TEXT, "started_at": TEXT}
    owner = obj("owner", _without=noted, **noted)
    return Output(
        obj(
            "status",
            db=TEXT,
            run=or_null(_RUN),
            owner=or_null(owner),
            counts=_COUNTS,
            failed=listed(obj(**task, error_type=or_null(TEXT), error=TEXT)),
            open=listed(obj(**task, waits=or_null(TEXT))),
            paused=YES_OR_NO,
            limits=listed(of_type(LimitUse)),
            log=listed(of_type(LogRow)),
            others=listed(obj(run=_RUN, counts=_COUNTS)),
        )
    )


def _runs() -> Output:
    return Output({**_RUN, **obj("run", **_RUN["properties"], counts=_COUNTS, log_errors=WHOLE)}, lines=True)


def _show() -> Output:
    log = listed(obj(at=TEXT, level=TEXT, text=TEXT))
    whole = obj("attempt in full", **_ATTEMPT, attempts=listed(WHOLE), log=log)
    run = obj("run in full", run=_RUN, counts=_COUNTS, log=listed(of_type(LogRow)))
    return Output(one_of(whole, run, obj("attempt", **_ATTEMPT)), lines=True)


def _unit() -> Output:
    return Output(obj("unit", units=mapped(TEXT), crontab=or_null(TEXT)))


def _state() -> Output:
    return Output(obj("state", **{**fields_of(TaskState), "state": ANY}, db=TEXT), lines=True)


def _export() -> Output:
    written = obj("file", db=TEXT, written=TEXT, format=TEXT, attempts=WHOLE)
    return Output(one_of(obj("attempt", **_ATTEMPT), written), lines=True)


def _prune() -> Output:
    preview = {("bytes" if name == "size" else name): schema for name, schema in fields_of(PrunePreview).items()}
    would = obj("what would go", db=TEXT, dry_run=const(value=True), **preview)
    return Output(one_of(would, obj("what has gone", db=TEXT, dry_run=const(value=False), **fields_of(Pruned))))


def _backup() -> Output:
    return Output(obj("backup", db=TEXT, copy=TEXT, bytes=WHOLE))


def _asked(command: str, **more: Schema) -> Schema:
    """Return the schema of a command's answer; `more` is what a dry run has besides."""
    task = {name: schema for name, schema in fields_of(LatestAttempt).items() if name != "params"}
    told = {"command": const(command), "run_id": WHOLE, "tasks": listed(obj(**task))}
    refused = listed(obj(id=WHOLE, reason=TEXT))
    return one_of(
        obj("what is meant", **told, dry_run=const(value=True), **more),
        obj("answer", **told, accepted=listed(WHOLE), refused=refused),
    )


def _cancel() -> Output:
    return Output(_asked("cancel"))


def _retry() -> Output:
    followers = or_null(listed(obj(task_id=_TASK_ID, name=TEXT)))
    return Output(one_of(_asked("retry", followers=followers), _run_lines().schema), lines=True)


def _info() -> Output:
    from pipeloom.cli.about.info import INFO

    return Output(INFO)


def _config() -> Output:
    from pipeloom.cli.about.config import SHOWN

    return Output(one_of(SHOWN, {"title": "JSON schema of settings.toml", "type": "object"}))


def _spec() -> Output:
    return Output({"title": "this description", "type": "object", "required": ["version", "programs", "commands"]})


OUTPUTS: Final[dict[str, Callable[[], Output]]] = {
    "run": _run_lines,
    "plan": _plan,
    "status": _status,
    "runs": _runs,
    "show": _show,
    "state": _state,
    "export": _export,
    "prune": _prune,
    "backup": _backup,
    "cancel": _cancel,
    "retry": _retry,
    "info": _info,
    "config": _config,
    "spec": _spec,
    "unit": _unit,
}
"""Command to what it writes with `--json`. `completion` and `web` have none."""


def output_of(command: str) -> Output | None:
    """Return what a command writes with `--json`; None for one that has no such option."""
    made = OUTPUTS.get(command)
    return None if made is None else made()
