"""A pipeline each of whose tasks plants the value of a secret in a text, another way each."""

from __future__ import annotations

import base64
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from pipeloom import MsgTaskFinished, MsgTaskLog, Pipeline, RetryAfter, Secret, TaskDef
from pipeloom.protocols import Channel

LITERAL = "hunter2-in-a-line-of-the-source"


@dataclass(frozen=True)
class Broken:
    """A message whose handler fails."""

    value: str


@dataclass(frozen=True)
class Told:
    """A message whose handler prints."""

    value: str


def progress(value: str, q: Channel) -> None:
    q.progress(1, 2, f"fetching ?token={value}")


def log_message(value: str, q: Channel) -> None:
    q.put(MsgTaskLog("log_message", f"token {value}"))


def printed(value: str, _q: Channel) -> None:
    print(f"token={value} and {value!r}")


def printed_in_parts(value: str, _q: Channel) -> None:
    for part in (value[:5], value[5:9], value[9:], "\n"):
        sys.stdout.write(part)
        sys.stdout.flush()


def printed_without_end(value: str, _q: Channel) -> None:
    sys.stderr.write("." * 3_990)
    sys.stderr.write(value[:9])
    sys.stderr.write(value[9:] + "." * 4_000)


def logged(value: str, _q: Channel) -> None:
    logging.getLogger("planted").info("token %s, as bytes %s", value, value.encode())


def logged_error(value: str, _q: Channel) -> None:
    try:
        raise ValueError(value)
    except ValueError:
        logging.getLogger("planted").exception("failed")


def warned(value: str, _q: Channel) -> None:
    warnings.warn(f"old token {value}", stacklevel=1)


def error_text(value: str, _q: Channel) -> None:
    raise ConnectionError(f"GET https://user:{value}@example.org failed")


def error_cause(value: str, _q: Channel) -> None:
    try:
        raise KeyError(value)
    except KeyError as error:
        raise RuntimeError("no such token") from error


def error_note(value: str, _q: Channel) -> None:
    error = RuntimeError("it failed")
    error.add_note(f"with {value}")
    raise error


def error_source(_value: str, _q: Channel) -> None:
    print(Secret("hunter2-in-a-line-of-the-source"), 1 / 0)


def error_type(value: str, _q: Channel) -> None:
    raise type(value, (Exception,), {})("it failed")


def result_text(value: str, _q: Channel) -> Any:
    return {"tokens": [value, date(2026, 1, 1)], "secret": Secret(value)}


def result_key(value: str, _q: Channel) -> Any:
    return {value: 1}


def finished(value: str, q: Channel) -> None:
    q.put(MsgTaskFinished("finished", "done", "", f"done with {value}", {"at": value}))


def retry_after(value: str, q: Channel) -> None:
    if q.attempt == 1:
        raise RetryAfter(0.0) from ValueError(value)


def state(value: str, q: Channel) -> None:
    q.put(state={"cursor": value})


def found(value: str, q: Channel) -> None:
    q.put(TaskDef("found", params={"url": f"?token={value}"}))


def found_secret(value: str, q: Channel) -> None:
    q.put(TaskDef("found", params={"token": Secret(value)}))


def found_name(value: str, q: Channel) -> None:
    q.put(TaskDef("found-name", f"page {value}", params={"way": "nothing"}))


def handler_fails(value: str, q: Channel) -> None:
    q.put(Broken(value))


def handler_prints(value: str, q: Channel) -> None:
    q.put(Told(value))


def url(value: str, _q: Channel) -> None:
    print(f"/{quote(value)} ?{quote_plus(value)}", quote(value, safe="").lower() if value.islower() else "")


def as_json(value: str, _q: Channel) -> None:
    print(json.dumps({"token": value}), json.dumps(json.dumps([value], ensure_ascii=False)))


def basic_auth(value: str, _q: Channel) -> None:
    for user in ("a", "ab", "abc"):
        print("Basic", base64.b64encode(f"{user}:{value}!".encode()).decode())


def known_to_the_worker_alone(_value: str, q: Channel) -> Any:
    value = Secret(Path(os.environ["VAULT"]).read_text(encoding="utf-8")).reveal()
    q.progress(1, 2, value)
    q.put(MsgTaskLog("known_to_the_worker_alone", value))
    print(value)
    return value


def known_to_the_program_alone(_value: str, q: Channel) -> None:
    print(os.environ["EARLY"])
    q.put(state={"cursor": os.environ["EARLY"]})


def params(_value: str, _q: Channel) -> None:
    """Its params hold the value."""


def nothing(_value: str, _q: Channel) -> None:
    """Plant nothing."""


def task_name(_value: str, _q: Channel) -> None:
    """Its name holds the value."""


def input_file(_value: str, _q: Channel) -> None:
    """The path of its input, and its version, hold the value."""


def lines(_value: str, _q: Channel) -> None:
    for line in os.environ["KEY_FILE"].splitlines():
        print("   |", line)
    logging.getLogger("planted").info("%s", os.environ["KEY_FILE"])


WAYS: list[Callable[[str, Channel], Any]] = [
    progress, log_message, printed, printed_in_parts, printed_without_end, logged, logged_error, warned, error_text,
    error_cause, error_note, error_source, error_type, result_text, result_key, finished, retry_after, state, found,
    found_secret, found_name, handler_fails, handler_prints, url, as_json, basic_auth, known_to_the_worker_alone,
    known_to_the_program_alone, params, nothing, task_name, input_file, lines,
]  # fmt: skip
NAMES = [f"PLANTED_{way.__name__.upper()}" for way in WAYS]


def value_of(way: str) -> str:
    return os.environ[f"PLANTED_{way.upper()}"]


def plant(task: TaskDef, q: Channel) -> Any:
    if task.task_id == "copy":  # what there is beside the file while the run goes on
        folder = Path(os.environ["SCENE"])
        for place in list(folder.iterdir()):
            if place.name.startswith(("etl.db", ".etl.db")):
                copy = shutil.copytree if place.is_dir() else shutil.copyfile
                copy(place, folder / f"copy-{place.name}")
        return None
    way = task.params["way"]
    return globals()[way](value_of(way), q)


async def plant_async(task: TaskDef, q: Channel) -> Any:
    return plant(task, q)


pipeline = Pipeline(
    "planted",
    worker_fn=plant_async if os.environ.get("PLANT") == "async" else plant,
    secrets=[*NAMES, "KEY_FILE"],
)


@pipeline.handler(Broken)
def _store_broken(_conn: Any, msg: Broken) -> None:
    raise ValueError(f"cannot store {msg.value}")


@pipeline.handler(Told)
def _store_told(_conn: Any, msg: Told) -> None:
    print("storing", msg.value)


@pipeline.tasks
def tasks(token: Secret, url: str = "") -> Iterable[TaskDef]:
    """One task for each way, and one that copies the files."""
    Secret(os.environ["EARLY"])
    for way in (way.__name__ for way in WAYS):
        more: dict[str, Any] = {}
        if way == "params":
            more = {"token": token, "nested": [{"token": token}], "url": f"?{value_of(way)}&{url}"}
        inputs, version = ([os.environ["INPUT"]], value_of(way)) if way == "input_file" else ([], None)
        name = f"task {value_of(way)}" if way == "task_name" else way
        yield TaskDef(way, name, params={"way": way, **more}, inputs=inputs, version=version)
    yield TaskDef("copy")
