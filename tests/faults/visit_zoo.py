"""Runs hostile workers beside good ones, and looks what became of the good ones: `python tests/faults/visit_zoo.py [name ...]`.

Without names each hostile worker has a run of its own, in threads and in worker processes.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

sys.path[:0] = [str(Path(__file__).parents[2])]

from tests.faults import zoo  # noqa: E402 - a script finds it only now

RUN = [sys.executable, "-c", "from pipeloom.cli import run_main; run_main()", "run", "etl.db", zoo.__file__]
GRACE_S = 1.0
LEAVES_IN_S = GRACE_S + 2.0
STARTS_IN_S = 60.0
"""Seconds that the machine may take for what is not the zoo's fault: starting Python, a busy processor."""
CODES = {"done": 0, "error": 1, "cancelled": 3, "interrupted": 3}
Executor = Literal["thread", "process"]


def groups(executor: Executor, size: int = 8) -> list[list[str]]:
    """Return the names of all whom `executor` can hold, several to a run; those that never come back by themselves."""
    held = [name for name in zoo.ZOO if executor == "process" or name not in zoo.LETHAL]
    kinds = [[name for name in held if (name in zoo.ENDLESS) is endless] for endless in (False, True)]
    return [kind[start : start + size] for kind in kinds for start in range(0, len(kind), size)]


def rows(folder: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{folder / 'etl.db'}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def good_are_done(folder: Path) -> bool:
    try:
        (done,) = rows(folder, "SELECT count(*) FROM task_runs WHERE name LIKE 'good-%' AND status = 'done'")[0]
    except sqlite3.Error:
        return False  # it has not been made yet
    return bool(done == zoo.GOOD)


def faults_of(folder: Path) -> list[str]:
    """Return what the file shows that must not be."""
    short = rows(
        folder,
        "SELECT r.name, r.status, count(DISTINCT n.number), count(n.number) FROM task_runs r "
        "LEFT JOIN rows n ON n.task_id = r.task_id WHERE r.name LIKE 'good-%' GROUP BY r.id",
    )
    found = [
        f"{name}: {status}, {kinds}/{count} rows"
        for name, status, kinds, count in short
        if (status, kinds, count) != ("done", zoo.ROWS, zoo.ROWS)
    ]
    found += [f"good tasks: {len(short)}"] * (len(short) != zoo.GOOD)
    open_rows = rows(
        folder, "SELECT name, status FROM task_runs WHERE status NOT IN ('done', 'error', 'cancelled', 'interrupted')"
    )
    return found + [f"{name} is {status}" for name, status in open_rows]


def has_ended(folder: Path) -> bool:
    """Return whether the run has come to its end."""
    return bool(rows(folder, "SELECT status FROM pipeline_runs") != [("running",)])


def code_of(folder: Path) -> int:
    """Return the exit code that the README names for what the file holds."""
    ends = {status for (status,) in rows(folder, "SELECT DISTINCT status FROM task_runs")}
    return min((code for status, code in CODES.items() if status in ends and code), default=0)


def visit(names: Sequence[str], executor: Executor, folder: Path) -> list[str]:
    """Run `names` beside the good tasks and return what is wrong; nothing for a run as it should be."""
    with (folder / "told").open("w") as told:
        process = subprocess.Popen(
            [*RUN, "--executor", executor, "--workers", str(len(names) + 1), "--grace", str(GRACE_S)],
            cwd=folder,
            env={**os.environ, "ZOO": ",".join(names), "HOME": str(folder), "XDG_STATE_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,
        )
        stopped = any(name in zoo.ENDLESS for name in names)
        if stopped:
            until = time.monotonic() + STARTS_IN_S
            while not good_are_done(folder) and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(LEAVES_IN_S + 3 if stopped else STARTS_IN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return [*faults_of(folder), "it did not leave"]
    found = faults_of(folder)
    expected = 128 + signal.SIGTERM if stopped else code_of(folder)
    return found + [f"exit code {code}, not {expected}"] * (code != expected)


def visit_each(names: Iterable[str], executors: Sequence[Executor] = ("thread", "process")) -> dict[str, list[str]]:
    """Give each worker a run of its own, two side by side, and return what is wrong by worker and executor."""

    def one(name: str, executor: Executor) -> list[str]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            found = visit([name], executor, Path(folder))
            return [*found, (Path(folder) / "told").read_text(errors="replace")[-500:]] if found else []

    each = [
        (name, executor) for name in names for executor in executors if executor == "process" or name not in zoo.LETHAL
    ]
    with ThreadPoolExecutor(2) as pool:
        return {
            f"{name} in a {executor}": found
            for (name, executor), found in zip(each, pool.map(lambda pair: one(*pair), each), strict=True)
        }


def main() -> int:
    wrong = 0
    for place, found in visit_each(sys.argv[1:] or list(zoo.ZOO)).items():
        print(f"{place:<60}{'FAILED' if found else 'held'}")
        wrong += bool(found)
        for line in found:
            print("    ", line)
    print(f"{wrong} of them harmed others")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
