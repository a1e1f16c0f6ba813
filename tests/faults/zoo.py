"""A pipeline of hostile workers beside good ones: `ZOO=name,name pipeloom run etl.db tests/faults/zoo.py`.

Each function of `ZOO` is a way to break the program that runs it. The good tasks write 50 rows each meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextlib
import gc
import io
import locale
import logging
import logging.config
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeloom import MsgTaskFinished, MsgTaskProgress, MsgTaskStarted, Pipeline, TaskDef

GOOD, ROWS = 3, 50
Animal = Callable[[Any, Any], object]

ZOO: dict[str, Animal] = {}
ENDLESS: set[str] = set()
"""Those that never come back: the run has to be stopped."""
LETHAL: set[str] = set()
"""Those that end their own process: worker processes alone can hold them."""


@dataclass(frozen=True)
class Row:
    """A row of a good task."""

    task_id: int
    number: int


def animal(function: Animal) -> Animal:
    ZOO[function.__name__] = function
    return function


def endless(function: Animal) -> Animal:
    ENDLESS.add(function.__name__)
    return animal(function)


def lethal(function: Animal) -> Animal:
    LETHAL.add(function.__name__)
    return animal(function)


# -- ends --------------------------------------------------------------------------------------------------------------------


def raises(name: str, make: Callable[[], BaseException]) -> None:
    def end(task: Any, q: Any) -> None:
        raise make()

    ZOO[name] = end


def odd(**members: object) -> BaseException:
    made: Any = types.new_class("OddError", (Exception,), exec_body=lambda body: body.update(members))
    error: BaseException = made("odd")
    return error


def leaves(*_: object) -> Any:
    raise SystemExit(7)


def in_a_circle() -> BaseException:
    error = ValueError("round")
    error.__context__ = KeyError("and")
    error.__context__.__context__ = error
    return error


class NeedsTwoError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.lock = threading.Lock()


for each in (
    SystemExit(0),
    SystemExit("text"),
    KeyboardInterrupt(),
    GeneratorExit(),
    StopIteration(1),
    MemoryError(),
    EOFError(),
):
    raises(f"raises_{type(each).__name__}_{each.args[0] if each.args else ''}", lambda error=each: error)  # type: ignore[misc]
raises("raises_cancelled", asyncio.CancelledError)
raises("raises_group", lambda: BaseExceptionGroup("many", [ValueError(), KeyboardInterrupt()]))
raises("raises_loud_text", lambda: odd(__str__=leaves))
raises("raises_loud_class", lambda: odd(__class__=property(leaves)))
raises("raises_loud_notes", lambda: odd(__notes__=property(leaves)))
raises("raises_long_text", lambda: ValueError("x" * 5_000_000))
raises("raises_surrogates", lambda: ValueError("\ud800 \x00 \x1b[2J [/]"))
raises("raises_in_a_circle", in_a_circle)
raises("raises_what_cannot_travel", lambda: NeedsTwoError("one", "two"))


@animal
def recurses(task: Any, q: Any) -> object:
    return recurses(task, q)


@animal
def returns_a_coroutine(task: Any, q: Any) -> object:
    async def work() -> None: ...

    made = work()
    atexit.register(made.close)
    return made


@animal
def returns_a_lock(task: Any, q: Any) -> object:
    return threading.Lock()


@animal
def finishes_twice(task: Any, q: Any) -> None:
    for status in ("done", "error"):
        q.put(MsgTaskFinished(task.task_id, status, "2026-01-01T00:00:00Z"))
    q.put(MsgTaskProgress(task.task_id, 1, 2))


@animal
def finishes_oddly(task: Any, q: Any) -> None:
    q.put(MsgTaskFinished(task.task_id, "odd", "yesterday", result=object()))


@animal
def starts_oddly(task: Any, q: Any) -> None:
    q.put(MsgTaskStarted(task.task_id, task.name, "yesterday"))


# -- messages --------------------------------------------------------------------------------------------------------------


@animal
def puts_garbage(task: Any, q: Any) -> None:
    for thing in (None, 1, "x", object(), Row, [Row(1, 1)]):
        with contextlib.suppress(Exception):
            q.put(thing)


@animal
def puts_for_others(task: Any, q: Any) -> None:
    q.put(MsgTaskProgress(0, 1, 1))


@animal
def puts_what_is_no_number(task: Any, q: Any) -> None:
    for step, total in ((float("nan"), 1), (1, float("inf")), (-5, -1), (10**400, 1), (1, 0)):
        q.put(MsgTaskProgress(task.task_id, step, total, "\x1b[31m\ud800" * 1000))


@animal
def puts_an_iterator(task: Any, q: Any) -> None:
    q.put(MsgTaskProgress(task.task_id, iter([1]), 2))  # type: ignore[arg-type]


@animal
def puts_a_flood(task: Any, q: Any) -> None:
    for step in range(30_000):
        q.put(MsgTaskProgress(task.task_id, step, 30_000))


@animal
def puts_from_threads_after_the_end(task: Any, q: Any) -> None:
    def later() -> None:
        for step in range(100):
            time.sleep(0.005)
            q.put(MsgTaskProgress(task.task_id, step, 100))

    threading.Thread(target=later, daemon=True).start()


@animal
def spoils_its_channel(task: Any, q: Any) -> None:
    for name in list(vars(q)):
        setattr(q, name, None)


@animal
def spoils_its_task(task: Any, q: Any) -> None:
    task.params.clear()
    for name in ("task_id", "name", "params"):
        object.__setattr__(task, name, [object()])


# -- output and logs -------------------------------------------------------------------------------------------------------


@animal
def prints_without_end_of_line(task: Any, q: Any) -> None:
    print("x" * 20_000_000)


@animal
def prints_many_lines(task: Any, q: Any) -> None:
    for number in range(20_000):
        print(number)


@animal
def prints_oddly(task: Any, q: Any) -> None:
    print("\ud800\x00\x1b[2J\x1b]0;title\x07[/red]\r\x08\u202e")


@animal
def writes_to_descriptors(task: Any, q: Any) -> None:
    os.write(1, b"\x1b[2Jone")
    os.write(2, b"\x1b[2Jtwo")


@animal
def closes_its_streams(task: Any, q: Any) -> None:
    sys.stdout.close()
    sys.stderr.close()
    print("after")


@animal
def replaces_its_streams(task: Any, q: Any) -> None:
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()


@animal
def removes_its_streams(task: Any, q: Any) -> None:
    sys.stdout = sys.stderr = sys.stdin = None


@animal
def sets_up_logging(task: Any, q: Any) -> None:
    logging.basicConfig(force=True, level=logging.DEBUG)
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})


@animal
def shuts_logging_down(task: Any, q: Any) -> None:
    logging.shutdown()
    logging.getLogger().handlers.clear()
    logging.disable(logging.CRITICAL)


@animal
def logs_what_raises(task: Any, q: Any) -> None:
    class Loud:
        __str__ = __repr__ = leaves

    with contextlib.suppress(SystemExit):
        logging.getLogger("zoo").error("%s", Loud())
    logging.getLogger("zoo").error("%d", "no number")


@animal
def makes_warnings_errors(task: Any, q: Any) -> None:
    warnings.simplefilter("error")


# -- the interpreter ---------------------------------------------------------------------------------------------------------


@animal
def replaces_the_clocks(task: Any, q: Any) -> None:
    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, lambda: 0.0)
    time.sleep = leaves


@animal
def sets_a_socket_timeout(task: Any, q: Any) -> None:
    socket.setdefaulttimeout(0.001)


@animal
def lowers_the_recursion_limit(task: Any, q: Any) -> None:
    sys.setrecursionlimit(60)


@animal
def traces(task: Any, q: Any) -> None:
    sys.settrace(leaves)
    threading.settrace(leaves)
    threading.setprofile(leaves)


@animal
def removes_the_hooks(task: Any, q: Any) -> None:
    sys.excepthook = threading.excepthook = sys.unraisablehook = None  # type: ignore[assignment]


@animal
def clears_the_environment(task: Any, q: Any) -> None:
    os.environ.clear()
    sys.path.clear()
    sys.argv.clear()


@animal
def changes_the_folder(task: Any, q: Any) -> None:
    with tempfile.TemporaryDirectory() as gone:
        os.chdir(gone)


@animal
def changes_the_mask(task: Any, q: Any) -> None:
    os.umask(0o777)


@animal
def changes_the_locale(task: Any, q: Any) -> None:
    locale.setlocale(locale.LC_ALL, "C")


@animal
def replaces_builtins(task: Any, q: Any) -> None:
    builtins.print = builtins.open = builtins.input = leaves  # type: ignore[assignment]


@animal
def stops_the_garbage_collector(task: Any, q: Any) -> None:
    gc.disable()
    gc.set_threshold(0)
    random.seed(0)


@animal
def sets_handlers_of_signals(task: Any, q: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of the main thread alone


@animal
def leaves_functions_for_the_end(task: Any, q: Any) -> None:
    atexit.register(threading.Event().wait)


# -- threads -------------------------------------------------------------------------------------------------------------------


@animal
def leaves_threads(task: Any, q: Any) -> None:
    for _ in range(20):
        threading.Thread(target=threading.Event().wait).start()


@animal
def leaves_a_pool(task: Any, q: Any) -> None:
    ThreadPoolExecutor(2).submit(threading.Event().wait)


@animal
def raises_in_a_thread(task: Any, q: Any) -> None:
    thread = threading.Thread(target=leaves)
    thread.start()
    thread.join()


@endless
def waits_for_ever(task: Any, q: Any) -> None:
    threading.Event().wait()


@endless
def sleeps_for_long(task: Any, q: Any) -> None:
    time.sleep(3600)


@endless
def computes_for_ever(task: Any, q: Any) -> None:
    while True:
        sum(range(1000))


@endless
def catches_everything(task: Any, q: Any) -> None:
    while True:
        try:
            q.put(MsgTaskProgress(task.task_id, 1, 2))
            q.sleep(0.05)
        except BaseException:
            time.sleep(0.05)


@endless
def waits_for_a_child(task: Any, q: Any) -> None:
    subprocess.run(["sleep", "3600"], check=False)


@endless
def reads_from_the_terminal(task: Any, q: Any) -> None:
    sys.stdin.read()
    threading.Event().wait()


# -- processes -------------------------------------------------------------------------------------------------------------------


def forked(leave: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        leave()


@animal
def forks_and_returns_twice(task: Any, q: Any) -> None:
    forked(lambda: None)


@animal
def forks_and_exits(task: Any, q: Any) -> None:
    forked(sys.exit)


@animal
def forks_and_raises(task: Any, q: Any) -> None:
    forked(lambda: 1 / 0)


@animal
def leaves_children(task: Any, q: Any) -> None:
    subprocess.Popen(["sleep", "30"])


@animal
def has_a_pool_of_processes(task: Any, q: Any) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(abs, [1, 2])


@animal
def signals_its_group_harmlessly(task: Any, q: Any) -> None:
    os.kill(os.getpid(), signal.SIGWINCH)
    os.kill(os.getpid(), signal.SIGCHLD)


@lethal
def exits_at_once(task: Any, q: Any) -> None:
    os._exit(0)


@lethal
def is_killed(task: Any, q: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@lethal
def has_a_fault(task: Any, q: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@lethal
def aborts(task: Any, q: Any) -> None:
    os.abort()


@lethal
def closes_every_descriptor(task: Any, q: Any) -> None:
    os.closerange(0, 500)


@lethal
def kills_its_group(task: Any, q: Any) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


# -- the pipeline ----------------------------------------------------------------------------------------------------------------


def work(task: Any, q: Any) -> object:
    if task.name in ZOO:
        return ZOO[task.name](task, q)
    for number in range(ROWS):
        q.put(Row(task.task_id, number))
        q.sleep(0.002)
    return None


def tasks() -> list[TaskDef]:
    chosen = [name for name in os.environ.get("ZOO", "").split(",") if name]
    good = [TaskDef(number, f"good-{number}") for number in range(GOOD)]
    hostile = [TaskDef(GOOD + number, name, params={"of": ["zoo"]}) for number, name in enumerate(chosen)]
    return [good[0], *hostile, *good[1:]]


pipeline = Pipeline("zoo", tasks(), work, workers=2)


@pipeline.schema
def schema(connection: Any) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS rows (task_id INTEGER, number INTEGER)")


@pipeline.handler(Row)
def insert(connection: Any, row: Row) -> None:
    connection.execute("INSERT INTO rows VALUES (?, ?)", (row.task_id, row.number))
