"""Tasks that ask for a password at the terminal: the cockpit keeps its keys, or says who takes them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

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


def test_the_leader_of_a_session_keeps_its_keys_too(start: Start, write: Write, rows: Rows) -> None:
    """As `docker run -it` and `tmux new-session` start it."""
    terminal = start("etl.db", write("asking.py", ASKING))
    terminal.wait_for("2 error", "half way", "EOFError")
    assert "Secret" not in terminal.text
    terminal.process.setwinsize(30, 90)
    terminal.screen.resize(30, 90)
    terminal.wait_for("q Quit")
    terminal.press("\x1a")
    terminal.wait_for("no shell to go to")
    terminal.press("q")
    terminal.wait_for("Stop and quit")
    terminal.press("y")
    terminal.wait_for("2 error, 1 interrupted")
    assert terminal.end() == 1
    assert rows("SELECT error_type FROM task_runs ORDER BY task_id")[0] == ("EOFError",)


READING = """
def work(task, q):
    with open(os.environ["HERE"], "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | os.O_NOCTTY)) as tty:
        while True: tty.read(1)
os.environ["HERE"] = os.ttyname(2)
pipeline = Pipeline("reading", [TaskDef(n, "reads") for n in range(4)], work, workers=4)
"""


def test_a_task_that_reads_the_terminal_by_its_name_is_told_of(start: Start, write: Write) -> None:
    terminal = start("etl.db", write("reading.py", READING))
    terminal.wait_for("4 running")
    terminal.press_until("jk", "Keys are lost")
    assert f"kill {terminal.process.pid}" in terminal.text


LEADER = """
import fcntl, os, signal, sys, termios
from pipeloom.tui.controlling_tty import give_up, take_back
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
pid = os.fork()  # in the same process group
if pid == 0:
    signal.pause()
def has_terminal():
    try: os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError: return False
    return True
had = has_terminal()
print(had, give_up(0), has_terminal(), give_up(0))
ended, _ = os.waitpid(pid, os.WNOHANG)
take_back(0)
print(ended, has_terminal(), os.tcgetpgrp(0) == os.getpgrp(), flush=True)
os.kill(pid, signal.SIGKILL)
"""


def test_a_leader_gives_the_terminal_up_alone_and_takes_it_back() -> None:
    master, terminal = pty.openpty()
    ended = subprocess.run([sys.executable, "-c", LEADER], stdin=terminal, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "True", "False", "False", "0", "True", "True"], ended.stderr
    os.close(master)
    os.close(terminal)
