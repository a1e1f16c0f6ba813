"""What the programs print, write and exit with."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Popen, Run, command, first_line


def rows(path: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


FILES = {
    "broken.py": "def (",
    "raises.py": "x = {}['temp_max']",
    "exits.py": "import sys; sys.exit('no')",
    "strange.py": "class Odd(BaseException): pass\nraise Odd('odd')",
    "empty.py": "x = 1",
    "needs.py": "import not_installed_anywhere",
    "doubles.py": "from pipeloom import *\npipeline = Pipeline('p', [TaskDef(1, 'a'), TaskDef(1, 'b')], print)",
    "nameless.py": "from pipeloom import *\nclass T: task_id = 1\npipeline = Pipeline('p', [T()], print)",
    "text.db": "this is no database\n" * 100,
}


@pytest.mark.parametrize("program", ["pipeloom run", "pipeloom-tui"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new.db", "missing.py"], "There is no file missing.py"),
        (["new.db", "."], "is a folder"),
        (["new.db", "x" * 300 + ".py"], "There is no file"),
        (["new.db", "no.such.module"], "There is no module no.such.module"),
        (["new.db", "broken.py"], "SyntaxError"),
        (["new.db", "raises.py"], "KeyError: 'temp_max' (raises.py, line 1)"),
        (["new.db", "exits.py"], "SystemExit: no"),
        (["new.db", "strange.py"], "Odd: odd"),
        (["new.db", "needs.py"], "No module named 'not_installed_anywhere'"),
        (["new.db", "empty.py"], "holds no Pipeline"),
        (["new.db", "good.py"], "several pipelines: choose one with good.py:pipeline or :failing"),
        (["new.db", "good.py:nobody"], "it holds pipeline, failing"),
        (["new.db", "good.py:work"], "is a function, not a Pipeline"),
        (["new.db", "doubles.py"], "more than once: 1"),
        (["new.db", "nameless.py"], "no name"),
        (["new.db", "one.py", "--workers", "0"], "workers must be"),
        (["new.db", "one.py", "--grace", "-1"], "grace must be"),
        (["no/new.db", "one.py"], "There is no folder"),
        ([".", "one.py"], "is a directory"),
        (["text.db", "one.py"], "cannot be read as an SQLite database"),
        (["text.db/new.db", "one.py"], "is not a folder"),
        ([":memory:", "one.py"], "needs a database file"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    run: Run, folder: Path, program: str, arguments: list[str], words: str
) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    before = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "__pycache__"}
    done = run(*program.split(" ")[:1], *program.split(" ")[1:], *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    after = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "__pycache__"}
    assert after == before


def test_a_file_that_somebody_else_runs_on_is_refused_by_name(run: Run, popen: Popen, folder: Path) -> None:
    (folder / "slow.py").write_text(
        "from pipeloom import *\npipeline = Pipeline('p', [TaskDef(1, 'a')], lambda t, q: (print('in', flush=True), q.sleep(60)))"
    )
    process = popen("pipeloom", "run", "etl.db", "slow.py")
    assert first_line(process) == "in\n"
    done = run("pipeloom", "run", "etl.db", "one.py")
    assert (done.returncode, f"in use by pipeloom process {process.pid}" in done.stderr) == (6, True)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def test_exit_codes_and_the_summary_tell_how_it_went(run: Run, folder: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "good.py:pipeline")
    assert (done.returncode, done.stdout) == (0, "")
    assert "good  run 1: 3 done" in done.stderr
    done = run("pipeloom", "run", "etl.db", "good.py:failing")
    assert done.returncode == 1
    assert "× bad  KeyError: 'temp_max'" in done.stderr
    assert "pipeloom-tui etl.db" in done.stderr
    assert rows(folder / "etl.db", "SELECT run_id, count(*) FROM task_runs GROUP BY 1") == [(1, 3), (2, 2)]
    assert rows(folder / "etl.db", "SELECT DISTINCT source FROM pipeline_runs") == [
        (f"{folder / 'good.py'}:pipeline",),
        (f"{folder / 'good.py'}:failing",),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_gracefully_and_is_the_exit_code(popen: Popen, folder: Path, number: signal.Signals) -> None:
    (folder / "slow.py").write_text(
        "from pipeloom import *\npipeline = Pipeline('p', [TaskDef(1, 'a')], lambda t, q: (print('in', flush=True), q.sleep(60)))"
    )
    process = popen("pipeloom", "run", "etl.db", "slow.py")
    assert first_line(process) == "in\n"
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "1 interrupted" in said
    assert rows(folder / "etl.db", "SELECT status, message FROM task_runs") == [
        ("interrupted", f"stopped by {number.name}")
    ]


def test_json_lines_are_objects_and_end_in_a_summary(run: Run) -> None:
    done = run("pipeloom", "run", "etl.db", "good.py:failing", "--json")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert {entry["type"] for entry in objects[:-1]} == {"attempt"}
    assert objects[-1]["type"] == "summary"
    assert objects[-1]["counts"] == {"done": 1, "error": 1}
    assert objects[-1]["failed"] == [{"task_id": 0, "name": "bad", "error": "KeyError: 'temp_max'"}]
    assert (done.returncode, done.stderr) == (1, "")


def test_what_tasks_print_is_kept_out_of_the_json_lines(run: Run, folder: Path) -> None:
    (folder / "loud.py").write_text(
        "import os, subprocess\nfrom pipeloom import *\n"
        "def work(task, q):\n    print('LOUD')\n    os.write(1, b'LOUD')\n    subprocess.run(['echo', 'LOUD'])\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], work)"
    )
    for executor in ("thread", "process"):
        done = run("pipeloom", "run", "etl.db", "loud.py", "--json", "--executor", executor)
        assert [json.loads(line)["type"] for line in done.stdout.splitlines()][-1] == "summary"
        assert "LOUD" not in done.stdout
        assert "LOUD" in done.stderr


@pytest.mark.parametrize(("target", "code"), [("/dev/full", 4), ("closed", 0), ("gone", 0)])
def test_output_that_goes_nowhere_does_not_stop_the_run(run: Run, folder: Path, target: str, code: int) -> None:
    line = f"{sys.executable} -c 'from pipeloom.cli import run_main; run_main()' run etl.db one.py --json"
    ending = {"/dev/full": "> /dev/full", "closed": ">&-", "gone": "| true"}[target]
    script = f"set -o pipefail; {line} {ending}"
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert rows(folder / "etl.db", "SELECT count(*) FROM task_runs WHERE status='done'") == [(3,)]


def test_what_is_opened_is_not_taken_for_a_stream_that_was_closed(folder: Path) -> None:
    code = "import os; from pipeloom.cli.common import run; run(lambda: open('told', 'w').write(str(os.dup(0) > 2)))"
    line = f'{sys.executable} -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", line], cwd=folder, timeout=60, check=False).returncode == 0
    assert (folder / "told").read_text() == "True"


@pytest.mark.parametrize(
    "redirection",
    [
        "</dev/null",
        "</dev/null >/dev/null",
        "</dev/null 2>/dev/null",
        "<&-",
        "2>&-",
        "<&- >&- 2>&-",
        "</dev/null 2>&1 | cat",
        "| cat",
    ],
)
def test_without_a_terminal_the_cockpit_runs_headless_or_says_what_it_needs(folder: Path, redirection: str) -> None:
    line = f"set -o pipefail; {sys.executable} -c 'from pipeloom.cli import tui_main; tui_main()' etl.db"
    for arguments, code in (("one.py", 0), ("", 2)):
        done = subprocess.run(
            ["bash", "-c", f"{line} {arguments} {redirection}"],
            cwd=folder,
            capture_output=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stderr
        assert b"\x1b" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stdout + done.stderr
    assert rows(folder / "etl.db", "SELECT status, count(*) FROM task_runs GROUP BY 1") == [("done", 3)]


@pytest.mark.parametrize("name", ["with space.db", "#a.db", "a%20b.db", "a?mode=memory.db"])
def test_any_file_name_will_do(run: Run, folder: Path, name: str) -> None:
    assert run("pipeloom", "run", name, "one.py").returncode == 0
    assert rows(folder / name, "SELECT count(*) FROM task_runs") == [(3,)]


def test_a_name_that_begins_with_a_dash_will_do_and_the_hint_is_usable(run: Run, folder: Path) -> None:
    done = run("pipeloom", "run", "--", "-x.db", "one.py")
    assert done.returncode == 0
    assert "pipeloom-tui ./-x.db" in done.stderr


def test_a_task_that_says_it_was_cancelled_makes_exit_code_3(run: Run, folder: Path) -> None:
    (folder / "stops.py").write_text(
        "from pipeloom import *\nfrom pipeloom.errors import TaskCancelled\n"
        "def work(task, q):\n    raise TaskCancelled\npipeline = Pipeline('p', [TaskDef(1, 'a')], work)"
    )
    done = run("pipeloom", "run", "etl.db", "stops.py")
    assert (done.returncode, "1 cancelled" in done.stderr) == (3, True)


def test_the_summary_comes_last_for_a_reader_that_takes_its_time(popen: Popen, folder: Path) -> None:
    (folder / "many.py").write_text(
        "from pipeloom import *\n"
        "pipeline = Pipeline('p', [TaskDef(n, 'task ' + 'x' * 70 + str(n)) for n in range(3000)], lambda t, q: None)"
    )
    process = popen("pipeloom", "run", "etl.db", "many.py")
    first = first_line(process)
    # The pipe is full by now, so that the program waits for us with most of its lines unwritten.
    while rows_if_any(folder / "etl.db") < 3000:
        assert process.poll() is None
    assert process.stdout is not None
    lines = [first, *process.stdout]
    assert process.wait(timeout=60) == 0
    assert len([line for line in lines if line.startswith("done ")]) == 3000
    assert "3,000 done" in lines[-2]
    assert "pipeloom-tui etl.db" in lines[-1]


def rows_if_any(path: Path) -> int:
    return int(rows(path, "SELECT count(*) FROM task_runs WHERE status='done'")[0][0])


def test_versions_and_help_are_told(run: Run) -> None:
    for program in ("pipeloom", "pipeloom-tui"):
        assert run(program, "--version").stdout.startswith("pipeloom 0.")
        assert "PIPELINE" in run(program, *(["run"] if program == "pipeloom" else []), "--help").stdout
    assert "not both" in run("pipeloom-tui", "etl.db", "one.py", "--demo").stderr


@pytest.mark.parametrize("main", ["run_main", "tui_main"])
def test_the_version_is_shown_without_the_rest_of_the_program(main: str) -> None:
    code = f"import sys; from pipeloom.cli import {main}; {main}(); print(sys.modules.keys() & {{'typer', 'typing'}})"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].startswith("pipeloom 0.")
    assert done.stdout.splitlines()[1] == "set()"


def test_without_status_the_file_holds_no_tables_of_ours(run: Run, folder: Path) -> None:
    done = run("pipeloom", "run", "etl.db", "one.py", "--no-store")
    assert (done.returncode, "3 done" in done.stderr) == (0, True)
    assert "pipeloom-tui" not in done.stderr  # there is no history to show
    assert rows(folder / "etl.db", "SELECT name FROM sqlite_schema") == []


def test_a_signal_that_the_parent_ignores_is_not_for_us(folder: Path) -> None:
    (folder / "hup.py").write_text(
        "import os, signal\nfrom pipeloom import *\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], lambda t, q: (os.kill(os.getpid(), signal.SIGHUP), q.sleep(0.1)))"
    )
    line = f"trap '' HUP; {sys.executable} -c 'from pipeloom.cli import run_main; run_main()' run etl.db hup.py"
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(folder / "etl.db", "SELECT status FROM task_runs") == [("done",)]


@pytest.mark.parametrize("given", [("etl.db", "one.py"), ("--demo",)])
def test_who_only_reads_runs_nothing(run: Run, folder: Path, given: tuple[str, ...]) -> None:
    done = run("pipeloom-tui", *given, "--read-only")
    assert done.returncode == 2
    assert done.stderr == "pipeloom: With --read-only nothing is run: leave the pipeline out.\n"
    assert not (folder / "etl.db").exists()


def test_who_only_reads_cannot_control(run: Run, folder: Path) -> None:
    done = run("pipeloom-tui", "etl.db", "--read-only", "--control")
    assert done.returncode == 2
    assert done.stderr == "pipeloom: Give either --read-only or --control, not both.\n"


LEFT = {
    "thread": ("threading.Thread(target=forever, name='poller').start()", "", "threads that do not end: poller"),
    "pool": ("", "pools.append(ThreadPoolExecutor(1)); pools[0].submit(forever)", "a pool of threads"),
    "atexit": ("atexit.register(forever)", "", "a pool of threads, or a function of atexit, that does not end"),
    "timer": ("threading.Timer(600, print).start()", "", "Thread-"),
}


@pytest.mark.parametrize("status", ["done", "error"])
@pytest.mark.parametrize(("at_import", "in_task", "words"), LEFT.values(), ids=LEFT)
def test_what_the_users_code_has_left_does_not_keep_the_program(
    run: Run, folder: Path, at_import: str, in_task: str, words: str, status: str
) -> None:
    (folder / "leaves.py").write_text(
        "import atexit, threading\nfrom concurrent.futures import ThreadPoolExecutor\nfrom pipeloom import *\n"
        f"pools = []\nforever = threading.Event().wait\n{at_import}\n"
        f"def work(task, q):\n    {in_task or 'pass'}\n    {'' if status == 'done' else '1 / 0'}\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], work)\n"
    )
    done = run("pipeloom", "run", "etl.db", "leaves.py", "--grace", "0.2")
    assert done.returncode == (0 if status == "done" else 1)
    assert f"1 {status} in" in done.stderr
    assert "Left behind: " in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(folder / "etl.db", "SELECT status FROM task_runs") == [(status,)]


def test_a_mistake_is_told_and_ends_the_program_whatever_the_file_has_started(run: Run, folder: Path) -> None:
    (folder / "starts.py").write_text(
        "import threading\nfrom pipeloom import *\nthreading.Thread(target=threading.Event().wait).start()\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a'), TaskDef(1, 'b')], print)\n"
    )
    done = run("pipeloom", "run", "etl.db", "starts.py")
    assert done.returncode == 2
    assert "more than once: 1" in done.stderr
    assert "Left behind: threads that do not end" in done.stderr


def test_what_ends_within_the_grace_is_waited_for(run: Run, folder: Path) -> None:
    (folder / "ends.py").write_text(
        "import atexit, threading, time\nfrom pathlib import Path\nfrom pipeloom import *\n"
        "atexit.register(lambda: Path('said').write_text('atexit'))\n"
        "def send():\n    time.sleep(0.3)\n    print('sent', flush=True)\n"
        "def work(task, q):\n    threading.Thread(target=send, daemon=False).start()\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], work)\n"
    )
    done = run("pipeloom", "run", "etl.db", "ends.py")
    assert done.returncode == 0
    assert "Left behind" not in done.stderr
    assert "sent" in done.stdout
    assert (folder / "said").read_text() == "atexit"


def test_a_signal_while_it_leaves_ends_it_without_a_traceback(popen: Popen, folder: Path) -> None:
    (folder / "leaves.py").write_text(
        "import threading\nfrom pipeloom import *\nthreading.Thread(target=threading.Event().wait).start()\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], lambda t, q: None)\n"
    )
    process = popen("pipeloom", "run", "etl.db", "leaves.py", "--grace", "60")
    while "shows this run" not in (line := first_line(process)):
        assert line
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM)  # the second: it came before the run was over
    assert "Traceback" not in said


def test_a_signal_while_a_file_is_imported_ends_it_whatever_thread_is_left(popen: Popen, folder: Path) -> None:
    (folder / "leaves.py").write_text(
        "import signal, threading\nthreading.Thread(target=threading.Event().wait, name='mine').start()\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    process = popen("pipeloom", "run", "etl.db", "leaves.py")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "Left behind: threads that do not end: mine." in said


@pytest.mark.parametrize("when", ["before", "within", "after", "between"])
def test_a_signal_ends_what_is_stopped_by_it_and_is_remembered_beside(when: str) -> None:
    code = f"""
from signal import SIGTERM, raise_signal
from pipeloom.cli.common import StopSignals

def call():
    if {when!r} == "within":
        raise_signal(SIGTERM)
    return "returned"

signals = StopSignals(hangup_stops=True)
if {when!r} == "before":
    raise_signal(SIGTERM)
print(signals.stop(call))
if {when!r} == "after":
    raise_signal(SIGTERM)
print(signals.first)
if {when!r} == "between":
    raise_signal(SIGTERM)
print(signals.stop(call))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout.split()
        == {
            "before": ["None", "15", "None"],
            "within": ["None", "15", "None"],
            "after": ["returned", "15", "None"],
            "between": ["returned", "None", "None"],
        }[when]
    )


STUCK = """
import threading
from dataclasses import dataclass
from pipeloom import *
@dataclass(frozen=True)
class Row:
    n: int
def work(task, q):
    q.put(Row(task.task_id))
    q.sleep(600)
pipeline = Pipeline("stuck", [TaskDef(1, "a"), TaskDef(2, "b")], work)
@pipeline.handler(Row)
def handle(conn, msg):
    print("stuck", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_handler_that_does_not_return_does_not_keep_the_program(
    popen: Popen, folder: Path, executor: str, number: signal.Signals
) -> None:
    (folder / "stuck.py").write_text(STUCK)
    process = popen("pipeloom", "run", "etl.db", "stuck.py", "--grace", "0.5", "--executor", executor)
    while (line := first_line(process)) != "stuck\n":
        assert line
    process.send_signal(number)
    begin = time.monotonic()
    said, _ = process.communicate(timeout=30)
    assert time.monotonic() - begin < 6
    assert process.returncode == 128 + number
    assert "the handler for Row does not return" in said
    assert "changes could not be saved" in said
    assert "stuck  run 1: 2 interrupted in " in said
    assert rows(folder / "etl.db", "SELECT DISTINCT status FROM task_runs") == [("interrupted",)]
    assert rows(folder / "etl.db", "SELECT status FROM pipeline_runs") == [("interrupted",)]


DROPPING = """
import os, signal
from pipeloom import *
class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # Python calls handlers between two steps, and drops what they raise in here
            pass
signal.signal(signal.SIGWINCH, lambda *_: Dropped() and None)
def work(task, q):
    os.kill(os.getpid(), signal.SIGWINCH)
    q.sleep(600)
pipeline = Pipeline("dropping", [TaskDef(1, "a")], work)
"""


def test_a_signal_whose_exception_python_drops_stops_the_run(run: Run, folder: Path) -> None:
    (folder / "dropping.py").write_text(DROPPING)
    done = run("pipeloom", "run", "etl.db", "dropping.py")
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert "Dropped.__del__" in done.stderr, "the exception was raised in vain"
    assert "dropping  run 1: 1 interrupted in " in done.stderr


def test_a_script_leaves_past_a_handler_that_does_not_return(popen: Popen, folder: Path) -> None:
    body = STUCK.replace("    print(", "    os.kill(os.getpid(), signal.SIGINT)\n    print(").replace(
        "import threading", "import os, signal, threading"
    )
    (folder / "stuck.py").write_text(
        body + "from pipeloom.engine.options import EngineOptions\n"
        "from pipeloom.engine.engine import Engine\nfrom pipeloom.api import NoDisplay, run_headless\n"
        "run_headless(Engine('etl.db', pipeline, EngineOptions(grace_s=0.2)), NoDisplay())\n"
    )
    process = subprocess.run(
        [sys.executable, "stuck.py"], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt\nNot saved: " in process.stderr
    assert "the handler for Row does not return" in process.stderr


@pytest.mark.parametrize("program", ["run", "retry"])
def test_the_paths_that_were_typed_hold_although_the_pipelines_file_goes_elsewhere(
    run: Run, folder: Path, program: str
) -> None:
    (folder / "jobs").mkdir()
    (folder / "jobs" / "away.py").write_text(
        "import os\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\nfrom pipeloom import *\n"
        "pipeline = Pipeline('away', [TaskDef(0, 'one')], lambda t, q: None)\n"
    )
    for typed in (["run", "etl.db"], [program, "etl.db", *(["status:done"] if program == "retry" else [])]):
        assert run("pipeloom", *typed, "jobs/away.py").returncode == 0
    sources = rows(folder / "etl.db", "SELECT source FROM pipeline_runs")
    assert sources == [(str((folder / "jobs" / "away.py").resolve()),)] * 2
    assert not (folder / "jobs" / "etl.db").exists()


def test_what_the_pipelines_file_prints_when_it_is_imported_is_no_line_of_json(run: Run, folder: Path) -> None:
    (folder / "loud.py").write_text(
        "print('imported')\nfrom pipeloom import *\npipeline = Pipeline('loud', [TaskDef(0, 'one')], lambda t, q: None)\n"
    )
    done = run("pipeloom", "run", "etl.db", "loud.py", "--json")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()]
    assert "imported" in done.stderr


@pytest.mark.parametrize("where", ["at import", "in a task"])
def test_hooks_that_are_taken_away_do_not_change_the_exit_code(run: Run, folder: Path, where: str) -> None:
    harm = "threading.excepthook = sys.excepthook = sys.stdout = sys.stderr = None"
    (folder / "hooks.py").write_text(
        "import sys, threading\nfrom pipeloom import *\n"
        f"{harm if where == 'at import' else ''}\n"
        f"def work(task, q):\n    {harm if where == 'in a task' else 'pass'}\n"
        "pipeline = Pipeline('p', [TaskDef(n, 'a') for n in range(5)], work)\n"
    )
    done = run("pipeloom", "run", "etl.db", "hooks.py")
    assert done.returncode == 0
    assert rows(folder / "etl.db", "SELECT DISTINCT status FROM task_runs") == [("done",)]


LOCKED = """
import re, threading
from pathlib import Path
from pipeloom import *
def work(task, q):
    q.sleep(0.5)  # until its row is in the file
    print("locked", flush=True)
    re.match(r"(a+)+$", "a" * 60 + "b")
pipeline = Pipeline("locked", [TaskDef(1, "a")], work)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another C library")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_program_whose_task_keeps_the_interpreter(
    popen: Popen, folder: Path, number: signal.Signals
) -> None:
    (folder / "locked.py").write_text(LOCKED)
    process = popen("pipeloom", "run", "etl.db", "locked.py", "--grace", "0.2")
    while (line := first_line(process)) != "locked\n":
        assert line
    time.sleep(0.5)  # until the expression has the interpreter
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(number)
    assert process.wait(10) == -number
    assert run_status(folder) == "running"
    subprocess.run(command("pipeloom", "run", "etl.db", "one.py"), cwd=folder, capture_output=True, check=True)
    assert rows(folder / "etl.db", "SELECT status FROM task_runs WHERE name = 'a'") == [("interrupted",)]


def run_status(folder: Path) -> str:
    return str(rows(folder / "etl.db", "SELECT status FROM pipeline_runs")[0][0])


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("name", ["SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGXCPU"])
def test_any_signal_that_ends_a_program_leaves_closed_rows(
    popen: Popen, folder: Path, name: str, executor: str
) -> None:
    (folder / "waits.py").write_text(
        "from pipeloom import *\ndef work(task, q):\n    print('waits\\n', end='', flush=True)\n    q.sleep(60)\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a'), TaskDef(2, 'b')], work)\n"
    )
    process = popen("pipeloom", "run", "etl.db", "waits.py", "--executor", executor)
    while (line := first_line(process)) != "waits\n":
        assert line
    for _ in range(3):  # the kernel repeats some of them
        process.send_signal(signal.Signals[name])
        time.sleep(0.02)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.Signals[name]
    assert "Traceback" not in said
    assert (
        rows(folder / "etl.db", "SELECT status, message FROM task_runs") == [("interrupted", f"stopped by {name}")] * 2
    )


FORKING = """
import os, signal, time
from pipeloom import *

def work(task, q):
    ended = set()
    for _ in range(300):
        if (child := os.fork()) == 0:
            time.sleep(20)
            os._exit(1)
        os.kill(child, signal.SIGTERM)
        ended.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    q.put(MsgTaskProgress(task.task_id, 1, 1, str(sorted(ended))))

pipeline = Pipeline("forking", [TaskDef(1, "a")], work)
"""


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_signal_reaches_the_child_that_a_task_has_forked_however_early(run: Run, folder: Path, executor: str) -> None:
    (folder / "forking.py").write_text(FORKING)
    assert run("pipeloom", "run", "etl.db", "forking.py", "--executor", executor).returncode == 0
    assert rows(folder / "etl.db", "SELECT message FROM task_runs") == [(f"[{-signal.SIGTERM}]",)]


def test_a_signal_that_the_pipeline_handles_is_its_own(run: Run, folder: Path) -> None:
    (folder / "own.py").write_text(
        "import os, signal\nfrom pipeloom import *\nsignal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], lambda t, q: (os.kill(os.getpid(), signal.SIGUSR1), q.sleep(0.1)))"
    )
    assert run("pipeloom", "run", "etl.db", "own.py").returncode == 0


def test_programs_that_tasks_have_left_are_named_at_the_end(run: Run, folder: Path) -> None:
    (folder / "starts.py").write_text(
        "import subprocess\nfrom pathlib import Path\nfrom pipeloom import *\n"
        "def work(task, q):\n    child = subprocess.Popen(['sleep', '600'], stdout=-3, stderr=-3)\n"
        "    Path('pid').write_text(str(child.pid))\n"
        "pipeline = Pipeline('p', [TaskDef(1, 'a')], work)\n"
    )
    done = run("pipeloom", "run", "etl.db", "starts.py")
    pid = int((folder / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert done.returncode == 0
    assert f"pipeloom: Left behind: process {pid} (sleep 600)." in done.stderr


@pytest.mark.parametrize("name", ["multiprocessing", "queue"])
def test_worker_processes_are_not_started_beside_a_file_that_they_would_load_for_pythons_own(
    run: Run, folder: Path, name: str
) -> None:
    (folder / "jobs").mkdir()
    (folder / "jobs" / f"{name}.py").write_text("raise ValueError\n")
    (folder / "one.py").rename(folder / "jobs" / "one.py")
    done = run("pipeloom", "run", "etl.db", "jobs/one.py", "--executor", "process")
    assert done.returncode == 2
    assert f"{name}.py has the name of one of Python's own modules" in done.stderr
    assert run("pipeloom", "run", "etl.db", "jobs/one.py").returncode == 0
