"""The terminal goes away or stops reading: the run is stopped or goes on, as it was told, and nothing spins."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.terminal.conftest import Rows, Start, Write

pytestmark = [pytest.mark.pty, pytest.mark.kill]

TICKING = """
def work(task, q):
    with open("ticks", "a") as file:
        file.write(f"{os.getpid()}\\n")
    for number in range(10_000):
        q.put(MsgTaskProgress(task.task_id, number, 10_000, "ticking"))
        q.sleep(0.05)
        if os.path.exists("enough"):
            return
pipeline = Pipeline("ticking", [TaskDef(1, "ticking")], work)
"""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pid_of(folder: Path) -> int:
    return int((folder / "ticks").read_text().split()[0])


def step(rows: Rows) -> float:
    return float(rows("SELECT step FROM task_runs")[0][0] or 0)


def past(rows: Rows, count: float) -> Callable[[], bool]:
    return lambda: step(rows) > count


@pytest.mark.parametrize(
    ("program", "detached"), [("tui_main", False), ("tui_main", True), ("run_main", False)], ids=str
)
def test_a_terminal_that_is_gone_stops_the_run(
    start: Start, write: Write, rows: Rows, program: str, detached: bool
) -> None:
    arguments = ["run"] if program == "run_main" else []
    terminal = start(*arguments, "etl.db", write("ticking.py", TICKING), program=program, detached=detached)
    terminal.wait_for("ticking", "0/1")
    terminal.wait_for("ticking" if program == "run_main" else "1 running")
    terminal.hang_up()
    assert terminal.end() == 128 + signal.SIGHUP
    assert rows("SELECT status, message FROM task_runs") == [("interrupted", "stopped by SIGHUP")]


@pytest.mark.alone
@pytest.mark.parametrize(
    ("program", "detached"), [("tui_main", False), ("tui_main", True), ("run_main", False)], ids=str
)
def test_a_run_that_may_go_on_without_its_terminal_does_so_without_spinning(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor, program: str, detached: bool
) -> None:
    arguments = ["run"] if program == "run_main" else []
    terminal = start(
        *arguments,
        "etl.db",
        write("ticking.py", TICKING),
        "--on-hangup",
        "continue",
        program=program,
        detached=detached,
    )
    terminal.wait_for("ticking", "0/1")
    wait_for(lambda: step(rows) > 3)
    terminal.hang_up()
    begin = step(rows)
    wait_for(lambda: step(rows) > begin + 10)
    pid, begin = pid_of(tmp_path), step(rows)
    before = cpu_seconds(pid)
    wait_for(lambda: step(rows) > begin + 40, timeout=20)
    assert cpu_seconds(pid) - before < 0.5, "2 s of waiting cost half a second of the processor"
    (tmp_path / "enough").touch()
    assert terminal.end() == 0
    assert rows("SELECT status FROM task_runs") == [("done",)]


@pytest.mark.parametrize(
    ("program", "detached"), [("tui_main", False), ("tui_main", True), ("run_main", False)], ids=str
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_without_its_terminal_can_still_be_stopped(
    start: Start,
    write: Write,
    rows: Rows,
    tmp_path: Path,
    wait_for: WaitFor,
    program: str,
    detached: bool,
    number: signal.Signals,
) -> None:
    arguments = ["run"] if program == "run_main" else []
    terminal = start(
        *arguments,
        "etl.db",
        write("ticking.py", TICKING),
        "--on-hangup",
        "continue",
        program=program,
        detached=detached,
    )
    terminal.wait_for("ticking", "0/1")
    wait_for(lambda: step(rows) > 3)
    terminal.hang_up()
    begin = step(rows)
    wait_for(lambda: step(rows) > begin + 10)
    os.kill(pid_of(tmp_path), number)
    assert terminal.end() == 128 + number
    assert rows("SELECT status, message FROM task_runs") == [("interrupted", f"stopped by {number.name}")]


def test_a_terminal_that_stops_reading_holds_up_neither_the_writer_nor_the_end(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor
) -> None:
    terminal = start("etl.db", write("ticking.py", TICKING), "--grace", "1")
    terminal.wait_for("1 running")
    terminal.stall()
    begin = step(rows)
    for more in range(1, 61):  # each is a screen to be painted, until there is no room for more
        terminal.process.setwinsize(40 - more % 2, 120)
        wait_for(past(rows, begin + more), timeout=30)
    os.kill(pid_of(tmp_path), signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert terminal.modes_left() == set()
    assert rows("SELECT status, message FROM task_runs") == [("interrupted", "stopped by SIGTERM")]


def test_a_signal_that_only_says_so_gives_the_terminal_back_and_the_run_goes_on(
    start: Start, write: Write, rows: Rows, tmp_path: Path, wait_for: WaitFor
) -> None:
    terminal = start("etl.db", write("ticking.py", TICKING), "--on-hangup", "continue")
    terminal.wait_for("1 running")
    os.kill(pid_of(tmp_path), signal.SIGHUP)
    wait_for(lambda: b"\x1b[?1049l" in terminal.raw)
    begin = step(rows)
    wait_for(lambda: step(rows) > begin + 10)
    (tmp_path / "enough").touch()
    assert terminal.end() == 0
    assert rows("SELECT status FROM task_runs") == [("done",)]


def test_a_terminal_that_is_gone_before_anything_was_begun_is_the_exit_code(start: Start, write: Write) -> None:
    pipeline = write("ticking.py", TICKING)
    terminal = start("etl.db", pipeline)
    terminal.wait_for("1 running")
    os.kill(terminal.process.pid, signal.SIGKILL)
    terminal.end()
    terminal = start("etl.db", pipeline, "--on-hangup", "continue")
    terminal.wait_for("did not come to its end")
    terminal.hang_up()
    assert terminal.end() == 128 + signal.SIGHUP


@pytest.mark.parametrize("name", ["SIGQUIT", "SIGUSR1", "SIGALRM", "SIGXCPU"])
def test_any_signal_that_ends_a_program_gives_the_terminal_back_and_closes_the_rows(
    start: Start, write: Write, rows: Rows, tmp_path: Path, name: str
) -> None:
    terminal = start("etl.db", write("ticking.py", TICKING))
    terminal.wait_for("1 running", "ticking")
    for _ in range(2):  # the kernel repeats some of them
        os.kill(pid_of(tmp_path), signal.Signals[name])
    assert terminal.end() == 128 + signal.Signals[name]
    assert terminal.modes_left() == set()
    assert rows("SELECT status, message FROM task_runs") == [("interrupted", f"stopped by {name}")]
