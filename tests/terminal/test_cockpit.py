"""The real program in a pseudo-terminal: what a user sees, and what is left behind."""

from __future__ import annotations

import os
import signal
import termios
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.terminal.conftest import Rows, Start, Write

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.pty


def test_weather_runs_to_its_end_and_leaves_a_summary_and_a_sane_terminal(start: Start, rows: Rows) -> None:
    terminal = start("etl.db", EXAMPLES / "weather.py", WEATHER_PACE="0.02")
    terminal.wait_for("weather", "running", "seattle-daily-2012-01")
    terminal.wait_for("72/72", "100%", "72 done")
    terminal.press("2")
    terminal.wait_for("history", "72 attempts", "sf-hourly-2010-12")
    terminal.press("/")
    terminal.wait_for("Clear")
    terminal.press("status:error")
    terminal.wait_for("0 of 72 attempts", "No attempts match the filter.")
    terminal.press("\x1b")
    terminal.wait_for("72 attempts", gone="0 of")
    terminal.press("1")
    terminal.wait_for("72/72")
    terminal.press("q")
    assert terminal.end() == 0
    assert "72 done" in terminal.text
    assert "pipeloom-tui etl.db" in terminal.text
    for restored in (b"\x1b[?1049l", b"\x1b[?25h"):
        assert terminal.raw.rfind(restored) > terminal.raw.rfind(b"\x1b[?1049h")
    assert rows("SELECT status, count(*) FROM task_runs GROUP BY 1") == [("done", 72)]
    assert rows("SELECT count(*) FROM daily_weather") == [(1461,)]
    assert rows("SELECT count(*) FROM hourly_temps") == [(17518,)]


def test_at_80_by_24_the_table_is_readable(start: Start) -> None:
    terminal = start("etl.db", EXAMPLES / "weather.py", size=(24, 80), WEATHER_PACE="0.05")
    terminal.wait_for("weather", "running", "Message")
    terminal.wait_for("72/72")
    terminal.press("q")
    assert terminal.end() == 0


def test_with_ascii_nothing_else_is_written(start: Start) -> None:
    terminal = start("etl.db", EXAMPLES / "weather.py", "--ascii", WEATHER_PACE="0.02")
    terminal.wait_for("72/72", "+ 72 done")
    terminal.press("d")
    terminal.wait_for("Overview", "finished")
    terminal.press("?")
    terminal.wait_for("Mark every task in view.")
    terminal.press("\x1b")
    terminal.wait_for("Overview", gone="Mark every task in view.")
    terminal.press("\x10")
    terminal.wait_for("Search for commands")
    terminal.press("\x1b")
    terminal.wait_for("Overview", gone="Search for commands")
    terminal.press("2")
    terminal.wait_for("history", "72 attempts")
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.raw.isascii()


def test_with_ascii_control_characters_and_the_summary_keep_to_it(start: Start, write: Write) -> None:
    write(
        "odd.py", r'pipeline = Pipeline("odd", [TaskDef(1, "a\x1b[31m\ufffd" + 80 * "b")], lambda task, q: q.no_such)'
    )
    terminal = start("etl.db", "odd.py", "--ascii")
    terminal.wait_for("1 error", "a^[31m?b")
    terminal.press("q")
    assert terminal.end() == 1
    assert "x a^[31m?bb" in terminal.text
    assert terminal.raw.isascii()


SLOW = """
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half way"))
    q.sleep(600)
pipeline = Pipeline("slow", [TaskDef(n, f"slow-{n}") for n in range(3)], work, workers=2)
"""


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_run_and_gives_the_terminal_back(
    start: Start, number: signal.Signals, write: Write, rows: Rows
) -> None:
    terminal = start("etl.db", write("slow.py", SLOW))
    terminal.wait_for("half way", "2 running")
    os.kill(terminal.process.pid, number)
    assert terminal.end() == 128 + number
    assert (b"\x1b[?1049l" in terminal.raw, terminal.modes_left()) == (True, set())
    assert rows("SELECT DISTINCT status, message FROM task_runs") == [("interrupted", f"stopped by {number.name}")]


@pytest.mark.kill
def test_ctrl_z_gives_the_terminal_to_the_shell_until_fg(start: Start, write: Write) -> None:
    terminal = start("etl.db", write("slow.py", SLOW), shell=True)
    terminal.wait_for("half way", "2 running")
    terminal.press("\x1a")
    terminal.wait_for("Stopped", "ready")
    assert terminal.modes_left() == {b"2004"}  # bash's own
    terminal.press("fg\n")
    terminal.wait_for("half way", "2 running", "filter: words", "palette", gone="Stopped")
    terminal.press("/")
    terminal.wait_for("Clear")
    terminal.press("zz")
    terminal.wait_for("0 of 3")
    terminal.press("\x1b")
    terminal.wait_for("3 of 3")
    terminal.press("q")
    terminal.wait_for("Stop and quit")
    terminal.press("y")
    terminal.wait_for("3 interrupted", "ready")
    terminal.press("exit\n")


def test_the_demo_ends_with_the_line_that_other_runs_print(start: Start) -> None:
    terminal = start("--demo")
    terminal.wait_for("4 running")
    terminal.press("q")
    terminal.wait_for("Stop and quit")
    terminal.press("y")
    assert terminal.end() == 3
    assert "interrupted in" in terminal.text
    assert "pipeloom-tui state/pipeloom/demo-" in terminal.text


DEAF = """
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half way"))
    threading.Event().wait()
pipeline = Pipeline("deaf", [TaskDef(1, "deaf")], work)
"""


def test_quitting_does_not_wait_for_a_task_that_never_comes_back(start: Start, write: Write, rows: Rows) -> None:
    terminal = start("etl.db", write("deaf.py", DEAF), "--grace", "0.3")
    terminal.wait_for("half way")
    terminal.press("q")
    terminal.wait_for("Stop the run and quit?")
    terminal.press("\x1b[C\r")
    assert terminal.end() == 3
    assert rows("SELECT status FROM task_runs") == [("interrupted",)]


STUCK = """
from dataclasses import dataclass
@dataclass(frozen=True)
class Row:
    number: int
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half way"))
    q.sleep(0.3)
    q.put(Row(1))
    q.sleep(600)
pipeline = Pipeline("stuck", [TaskDef(1, "stuck")], work)
@pipeline.handler(Row)
def insert(connection, msg):
    open("arrived", "w").close()
    threading.Event().wait()
"""


@pytest.mark.parametrize("how", ["q", "SIGTERM"])
def test_a_handler_that_never_returns_can_be_left_and_what_is_unsaved_is_told(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor, how: str
) -> None:
    terminal = start("etl.db", write("stuck.py", STUCK), "--grace", "0.3")
    terminal.wait_for("half way")
    wait_for((tmp_path / "arrived").exists)
    if how == "q":
        terminal.press("q")
        terminal.wait_for("Stop the run and quit?")
        terminal.press("\x1b[C\r")
    else:
        os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.end() == (4 if how == "q" else 128 + signal.SIGTERM)
    assert "the handler for Row does not return" in terminal.text
    assert terminal.modes_left() == set()
    assert rows("SELECT status FROM task_runs") == [("interrupted",)]


def test_a_second_signal_does_not_wait_and_gives_the_terminal_back(start: Start, write: Write) -> None:
    terminal = start("etl.db", write("deaf.py", DEAF), "--grace", "30")
    terminal.wait_for("half way")
    for _ in range(2):
        os.kill(terminal.process.pid, signal.SIGTERM)
        signal.sigtimedwait([], 0.1)  # or the two would be one
    assert terminal.end() == 128 + signal.SIGTERM
    assert terminal.modes_left() == set()
    assert termios.tcgetattr(terminal.process.fd) == terminal.before


LOUD = """
import subprocess, logging
handler = logging.StreamHandler(sys.stderr)
def work(task, q):
    print("LOUD-print")
    os.write(1, b"LOUD-fd1")
    os.write(2, b"LOUD-fd2")
    handler.emit(logging.LogRecord("x", 30, "", 1, "LOUD-log", (), None))
    subprocess.run(["echo", "LOUD-child"])
    subprocess.run(["stty", "sane"], stderr=subprocess.DEVNULL)
    try:
        answer = input()
    except EOFError:
        answer = "EOF"
    q.put(MsgTaskProgress(task.task_id, 1, 1, "read " + (sys.stdin.read() or answer)))
pipeline = Pipeline("loud", [TaskDef(1, "loud")], work)
"""


def test_tasks_can_neither_draw_on_the_screen_nor_read_the_keys(start: Start, tmp_path: Path, write: Write) -> None:
    terminal = start("etl.db", write("loud.py", LOUD))
    terminal.wait_for("read EOF", "1 done")
    terminal.press("?")
    terminal.wait_for("Keys")
    terminal.press("q")
    terminal.wait_for("1 of 1")
    terminal.press("q")
    assert terminal.end() == 0
    assert b"LOUD" not in terminal.raw
    logged = next((tmp_path / "state").rglob("tui.log"))
    assert {word for word in ("LOUD-print", "LOUD-fd1", "LOUD-fd2", "LOUD-log", "LOUD-child") if word in logged.read_text()} >= {
        "LOUD-fd1", "LOUD-fd2", "LOUD-log", "LOUD-child",
    }  # fmt: skip
    assert logged.stat().st_mode & 0o777 == 0o600


CRASH = """
from pipeloom.tui.live.screen import LiveScreen
def action_pause(self):
    secret = "s3cr" + "et"
    raise RuntimeError("a bug of the screen")
LiveScreen.action_pause = action_pause
def work(task, q):
    for n in range(20):
        q.sleep(0.1)
        q.put(MsgTaskProgress(task.task_id, n, 20, "half way"))
pipeline = Pipeline("crash", [TaskDef(1, "one")], work)
"""


def test_a_crash_of_the_screen_leaves_the_run_alone_and_tells_no_secrets(
    start: Start, tmp_path: Path, write: Write, rows: Rows
) -> None:
    terminal = start("etl.db", write("crash.py", CRASH))
    terminal.wait_for("half way")
    terminal.press("p")
    assert terminal.end() == 5
    assert "the screen has crashed; its traceback is in" in terminal.text.replace("\n", "")
    assert rows("SELECT status FROM task_runs") == [("done",)]
    logged = next((tmp_path / "state").rglob("tui.log")).read_text()
    assert "a bug of the screen" in logged
    assert "s3cret" not in logged
    assert b"s3cret" not in terminal.raw


def test_nothing_in_a_name_or_message_commands_the_terminal(start: Start, write: Write) -> None:
    body = r"""
names = ["\x1b]0;OWNED\x07", "\x1b[6nOWNED", "\x9bOWNED", "\x1b[2JOWNED", "[/]OWNED"]
def work(task, q):
    q.put(MsgTaskProgress(task.task_id, 1, 1, task.name))
    if task.task_id % 2:
        raise ValueError(task.name)
pipeline = Pipeline("\x1b]0;OWNED\x07", [TaskDef(n, name) for n, name in enumerate(names)], work)
"""
    terminal = start("etl.db", write("hostile.py", body))
    terminal.wait_for("5/5")
    terminal.press("d2")
    terminal.wait_for("5 attempts")
    terminal.press("q")
    assert terminal.end() == 1
    for token in (b"\x1b]0;OWNED", b"\x1b[6nOWNED", b"\x9bOWNED", b"\x1b[2JOWNED"):
        assert token not in terminal.raw.replace(b"\xc2\x9b", b"")


TALKATIVE = """
def work(task, q):
    print("[red]said[/]")
    while not os.path.exists("go"):
        q.sleep(0.01)
    print("and done")
pipeline = Pipeline("talkative", [TaskDef(1, "one")], work)
"""


def test_the_log_follows_a_task_while_it_runs_and_to_its_end(start: Start, write: Write, tmp_path: Path) -> None:
    terminal = start("etl.db", write("talkative.py", TALKATIVE))
    terminal.wait_for("1 running")
    terminal.press("l")
    terminal.wait_for("STDOUT  [red]said[/]", "1 running")
    (tmp_path / "go").touch()
    terminal.wait_for("STDOUT  and done", "1 done")
    terminal.press("q")
    assert terminal.end() == 0


PROCESSES = """
def work(task, q):
    os.write(1, b"LOUD-fd1")
    os.write(2, b"LOUD-fd2")
    print("LOUD-print", flush=True)
    q.put(MsgTaskProgress(task.task_id, 1, 2, "in a process"))
    if task.name == "deaf":
        threading.Event().wait()
pipeline = Pipeline("processes", [TaskDef(1, "deaf"), TaskDef(2, "good")], work, executor="process")
"""


def test_worker_processes_start_under_the_screen_and_cannot_draw_on_it(start: Start, write: Write, rows: Rows) -> None:
    terminal = start("etl.db", write("processes.py", PROCESSES))
    terminal.wait_for("in a process", "1 done", "1 running")
    terminal.press("x")
    terminal.wait_for("Cancel this task?")
    terminal.press("\x1b[C\r")
    terminal.wait_for("1 cancelling")
    terminal.press("x")
    terminal.wait_for("Abandon")
    terminal.press("\x1b[C\r")
    terminal.wait_for("1 cancelled", "2/2")
    terminal.press("q")
    assert terminal.end() == 3
    assert b"LOUD" not in terminal.raw
    assert rows("SELECT status, message FROM task_runs WHERE task_id=1") == [
        ("cancelled", "its worker did not stop and was killed")
    ]
