"""`pipeloom-tui` alone: the list of files, the way to one of them, and a run of it."""

from __future__ import annotations

import signal

import pytest
from tests.terminal.conftest import Rows, Start, Write

pytestmark = pytest.mark.pty

FEW = 'pipeline = Pipeline("few", [TaskDef(n, f"task-{n}") for n in range(3)], lambda task, q: None)'


def test_a_file_that_was_run_is_found_opened_and_run_again(start: Start, write: Write, rows: Rows) -> None:
    write("few.py", FEW)
    empty = start()
    empty.wait_for("No file is known here yet.")
    empty.press("q")
    assert (empty.end(), empty.modes_left()) == (0, set())

    assert start("run", "etl.db", "few.py", program="run_main").end() == 0

    home = start()
    home.wait_for("1 file", "etl.db", "✓3")
    home.press("\r")
    home.wait_for("history", "3 attempts")
    home.press("q")
    home.wait_for("1 file", "✓3", gone="history")

    home.press("n")
    home.wait_for("Run the pipeline of etl.db again?", "few.py")
    home.press("y")
    home.wait_for("3/3", "3 done")
    home.press("q")
    home.wait_for("1 file", "✓3", gone="3/3")
    home.press("q")
    assert (home.end(), home.modes_left()) == (0, set())
    assert rows("SELECT count(*) FROM pipeline_runs") == [(2,)]


def test_a_run_is_left_for_home_after_a_question_and_nothing_of_it_comes_along(start: Start, write: Write) -> None:
    slow = write(
        "slow.py",
        "import os\nos.chdir('/')\nos.environ['PIPELOOM_ASCII'] = '1'\n"
        "def work(task, q):\n    if os.path.exists(__file__ + '.slow'):\n        q.sleep(600)\n"
        "pipeline = Pipeline('slow', [TaskDef(1, 'a')], work)",
    )
    assert start("run", "etl.db", "slow.py", program="run_main").end() == 0
    slow.with_name("slow.py.slow").touch()
    home = start()
    home.wait_for("1 file")
    home.press("n")
    home.wait_for("Run it")
    home.press("y")
    home.wait_for("1 running")
    home.press("q")
    home.wait_for("Stop the run and quit?")
    home.press("y")
    home.wait_for("1 file", "!1")
    home.press("n")
    home.wait_for("╭")  # drawn with more than ASCII
    home.press("n")
    home.press("q")
    assert (home.end(), home.modes_left()) == (0, set())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_file_that_was_opened_from_home(start: Start, write: Write, number: int) -> None:
    write("few.py", FEW)
    assert start("run", "etl.db", "few.py", program="run_main").end() == 0
    home = start()
    home.wait_for("1 file", "✓3")
    home.press("\r")
    home.wait_for("history", "3 attempts")
    home.process.kill(number)
    assert (home.end(), home.modes_left()) == (128 + number, set())


PARAMETERS = """
from pipeloom import Secret
pipeline = Pipeline('few', worker_fn=lambda task, q: None)
@pipeline.tasks
def tasks(region: str, names: list[str], count: int = 1{more}):
    return [TaskDef(f"{region}-{name}-{number}") for name in names for number in range(count)]
"""
GIVEN = ("-p", "region=eu", "-p", "names=a", "-p", "names=b c", "-p", "count=2")


def test_a_run_from_home_has_the_parameters_of_the_last_one(start: Start, write: Write, rows: Rows) -> None:
    write("few.py", PARAMETERS.replace("{more}", ""))
    assert start("run", "etl.db", "few.py", *GIVEN, program="run_main").end() == 0
    home = start()
    home.wait_for("1 file", "✓4")
    home.press("n")
    home.wait_for("Run the pipeline of etl.db again?", "region=eu names=a names=b c count=2", "parameters as in run 1.")
    home.press("y")
    home.wait_for("4/4", "4 done")
    home.press("q")
    home.wait_for("1 file", "✓4", gone="4/4")
    home.press("q")
    assert home.end() == 0
    assert rows("SELECT count(DISTINCT params), count(*) FROM pipeline_runs") == [(1, 2)]
    assert rows("SELECT count(*) FROM task_runs WHERE run_id = 2 AND name LIKE 'eu-%'") == [(4,)]


def test_a_secret_is_not_kept_and_the_command_that_gives_it_is_told(start: Start, write: Write) -> None:
    write("few.py", PARAMETERS.replace("{more}", ", *, token: Secret"))
    assert start("run", "etl.db", "few.py", *GIVEN, "-p", "token=12345678", program="run_main").end() == 0
    home = start(size=(40, 160))
    home.wait_for("1 file", "✓4")
    home.press("n")
    home.wait_for("token=•••", "Secrets are not kept: token")
    home.press("y")
    home.wait_for("few needs token. From a shell: pipeloom-tui")
    home.wait_for("-p region=eu -p names=a -p 'names=b c' -p count=2 -p token=…")
    assert home.end() == 2


def test_without_a_home_the_list_is_empty(start: Start) -> None:
    terminal = start(HOME="/dev/null/x", XDG_STATE_HOME="/dev/null/x/state")
    terminal.wait_for("No file is known here yet.")
    terminal.press("q")
    assert terminal.end() == 0


def test_a_signal_ends_it(start: Start) -> None:
    terminal = start()
    terminal.wait_for("No file is known here yet.")
    terminal.process.kill(15)
    assert (terminal.end(), terminal.modes_left()) == (128 + 15, set())
