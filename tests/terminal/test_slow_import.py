"""An import that takes long shows itself, and can be left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.conftest import WaitFor
from tests.terminal.conftest import Rows, Start, Write

from pipeloom.times import monotonic

pytestmark = pytest.mark.pty

# The file waits, while it is imported, until something is written into the pipe named `gate`.
SLOW = """
open("gate").read()
pipeline = Pipeline("slow", [TaskDef(n, f"task-{n}") for n in range(3)], lambda task, q: None)
"""
PROMPT_S = 3.0


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


@pytest.mark.parametrize("program", ["tui_main", "run_main"])
def test_a_slow_import_is_named_until_it_is_over(start: Start, write: Write, gate: Path, program: str) -> None:
    arguments = ["run"] if program == "run_main" else []
    terminal = start(*arguments, "etl.db", write("slow.py", SLOW).name, program=program)
    terminal.wait_for("importing slow.py …")
    gate.write_text("go")
    terminal.wait_for("3/3", gone="importing")
    if program == "tui_main":
        terminal.press("q")
    assert terminal.end() == 0
    assert "importing" not in terminal.text


@pytest.mark.parametrize("program", ["tui_main", "run_main"])
def test_ctrl_c_leaves_a_slow_import_at_once(
    start: Start, write: Write, gate: Path, tmp_path: Path, program: str
) -> None:
    arguments = ["run"] if program == "run_main" else []
    terminal = start(*arguments, "etl.db", write("slow.py", SLOW).name, program=program)
    terminal.wait_for("importing slow.py …")
    began = monotonic()
    terminal.press("\x03")
    assert terminal.end() == 130
    assert monotonic() - began < PROMPT_S
    assert "importing" not in terminal.text
    assert "Traceback" not in terminal.text
    assert not (tmp_path / "etl.db").exists()


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal, as the kernel knows."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not tell")
def test_a_second_ctrl_c_ends_an_import_that_keeps_the_interpreter(
    start: Start, write: Write, tmp_path: Path, wait_for: WaitFor
) -> None:
    write("endless.py", 'import re\nopen("reached", "w").close()\nre.match("(a+)+$", "a" * 64 + "b")')
    terminal = start("etl.db", "endless.py")
    wait_for((tmp_path / "reached").exists, 30)
    terminal.press("\x03")
    wait_for(lambda: not catches(terminal.process.pid, signal.SIGINT))
    terminal.press("\x03")
    assert terminal.end() == -signal.SIGINT


def test_with_ascii_the_notice_keeps_to_it(start: Start, write: Write, gate: Path) -> None:
    terminal = start("etl.db", write("slow.py", SLOW).name, "--ascii")
    terminal.wait_for("importing slow.py ...")
    gate.write_text("go")
    terminal.wait_for("3/3", gone="importing")
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.raw.isascii()


def test_the_cockpit_that_is_up_says_what_it_imports(start: Start, write: Write, gate: Path, rows: Rows) -> None:
    fast = SLOW.replace('open("gate").read()', 'os.path.exists("later") and open("gate").read()')
    path = write("slow.py", fast)
    assert start("run", "etl.db", path.name, program="run_main").end() == 0
    (gate.parent / "later").touch()
    terminal = start("etl.db")
    terminal.wait_for("history", "3 attempts")
    terminal.press("r")
    terminal.wait_for("slow.py")
    terminal.press("y")
    terminal.wait_for("Importing")  # the path may be wrapped anywhere
    terminal.press("q")
    assert terminal.end() == 0
