"""Tasks that ask for a password at the terminal: the cockpit keeps its keys, or says who takes them."""

from __future__ import annotations

import pytest
from tests.terminal.conftest import Rows, Start, Write

pytestmark = pytest.mark.pty

ASKING = """
import getpass, subprocess
def work(task, q):
    if task.name == "asks":
        getpass.getpass("Secret: ")
    elif task.name == "starts":
        subprocess.run([sys.executable, "-c", "import getpass; getpass.getpass()"], check=True)
    q.put(MsgTaskProgress(task.task_id, 1, 2, "half way"))
    q.sleep(600)
pipeline = Pipeline("asking", [TaskDef(n, name) for n, name in enumerate(("asks", "starts", "waits"))], work, workers=3)
"""


def test_tasks_and_their_children_have_no_terminal_to_ask_at(start: Start, write: Write, rows: Rows) -> None:
    terminal = start("etl.db", write("asking.py", ASKING), shell=True)
    terminal.wait_for("2 error", "half way", "EOFError")
    assert "Secret" not in terminal.text
    terminal.press("\x1a")
    terminal.wait_for("Stopped", "ready")
    terminal.press("clear; bg\n")
    terminal.wait_for("ready", gone="Stopped")
    terminal.press("clear; echo still the shel''l\n")
    terminal.wait_for("still the shell", gone="half way")
    terminal.press("fg\n")
    terminal.wait_for("half way", "2 error")
    terminal.process.setwinsize(30, 90)
    terminal.screen.resize(30, 90)
    terminal.wait_for("q Quit")
    terminal.press("q")
    terminal.wait_for("Stop and quit")
    terminal.press("y")
    terminal.wait_for("2 error, 1 interrupted", "ready")
    terminal.press("exit\n")
    assert rows("SELECT error_type FROM task_runs ORDER BY task_id")[0] == ("EOFError",)


@pytest.mark.parametrize("reader", ["asks", "starts"])
def test_a_reader_of_the_keys_is_told_of_where_the_terminal_cannot_be_given_up(
    start: Start, write: Write, reader: str
) -> None:
    asking = ASKING.replace('("asks", "starts", "waits")', f'("{reader}", "waits")')
    terminal = start("etl.db", write("asking.py", asking))  # as the leader of its session
    terminal.wait_for("2 running", "half way", "Keys are lost", f"kill {terminal.process.pid}")
