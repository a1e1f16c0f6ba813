"""The programs in surroundings that lack something, as in a container or under a service manager."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cli.conftest import command

NO_FOLDER = "/dev/null/x"
"""A path at which nothing can be made, not even by root."""

# A user without an entry in /etc/passwd, who can read everything: Python itself may be in another user's folder.
STRANGER = (
    "setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups",
    "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search",
)  # fmt: skip
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can become another user"
)


def started(
    folder: Path, *arguments: object, program: str = "pipeloom", prefix: Sequence[str] = (), **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; a variable that is None is unset."""
    given = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), **environment}
    return subprocess.run(
        [*prefix, *command(program, *arguments)],
        cwd=folder,
        env={name: value for name, value in given.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("home", [NO_FOLDER, "/etc/passwd", "", None])
def test_a_run_needs_no_home(folder: Path, home: str | None) -> None:
    done = started(folder, "run", "etl.db", "one.py", HOME=home, XDG_STATE_HOME=NO_FOLDER)
    assert done.returncode == 0
    assert "3 done" in done.stderr


@as_root
def test_a_user_without_a_name_and_a_home_runs_and_looks(folder: Path) -> None:
    os.chown(folder, 12345, 12345)
    for each in (*folder.parents,)[:2]:
        each.chmod(0o755)
    for arguments in (["run", "etl.db", "one.py"], ["status", "etl.db"]):
        done = started(folder, *arguments, prefix=STRANGER, HOME=None, XDG_STATE_HOME=None)
        assert (done.returncode, "3 done" in done.stdout + done.stderr) == (0, True), done.stderr
    assert not (folder / "~").exists()


def test_the_demo_says_that_it_needs_a_folder(folder: Path) -> None:
    for home, missing in ((NO_FOLDER, "Not a directory"), ("/etc/passwd", "Not a directory")):
        done = started(folder, "--demo", program="pipeloom-tui", HOME=home, XDG_STATE_HOME=None)
        assert done.returncode == 2
        assert done.stderr == (
            f"pipeloom: No file for the demo can be kept in {home}/.local/state/pipeloom: {missing}. "
            "Name one: pipeloom-tui demo.db --demo\n"
        )


def test_worker_processes_need_no_short_tmpdir(folder: Path) -> None:
    long = folder / ("x" * 100)
    long.mkdir()
    done = started(folder, "run", "etl.db", "one.py", "--executor", "process", TMPDIR=str(long))
    assert done.returncode == 0
    assert "3 done" in done.stderr


@pytest.mark.parametrize("folder_for_files", [NO_FOLDER, "/proc"])
def test_worker_processes_need_no_tmpdir_that_is_there(folder: Path, folder_for_files: str) -> None:
    done = started(folder, "run", "etl.db", "one.py", "--executor", "process", TMPDIR=folder_for_files)
    assert (done.returncode, "3 done" in done.stderr) == (0, True)


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8:strict"])
def test_names_need_not_be_utf_8(folder: Path, executor: str, encoding: str) -> None:
    odd = folder / os.fsdecode(b"d\xff")
    odd.mkdir()
    file, db = odd / os.fsdecode(b"p\xff.py"), odd / os.fsdecode(b"e\xff.db")
    (folder / "one.py").rename(file)
    done = started(folder, "run", db, file, "--executor", executor, PYTHONIOENCODING=encoding, LC_ALL="C")
    assert (done.returncode, "3 done" in done.stderr) == (0, True), done.stderr
    copy, table = odd / os.fsdecode(b"c\xff.db"), odd / os.fsdecode(b"t\xff.csv")
    for arguments in (
        ["status", db],
        ["status", db, "--json"],
        ["runs", db, "--json"],
        ["show", db, "--json"],
        ["prune", db, "--keep-last", "1"],
        ["backup", db, copy],
        ["export", db, "--output", table],
        ["run", db, file, "--json"],
        ["status", odd / os.fsdecode(b"none\xff.db")],
        ["run", db, odd / os.fsdecode(b"none\xff.py")],
    ):
        done = started(folder, *arguments, PYTHONIOENCODING=encoding, LC_ALL="C")
        missing = b"none" in os.fsencode(str(arguments[-1]))
        assert done.returncode == (2 if missing else 0), (arguments, done.stderr)
        assert "internal error" not in done.stderr
        assert "Traceback" not in done.stderr
    assert copy.exists()
    assert table.exists()


def test_an_ignored_ctrl_c_stays_ignored_and_sigterm_stops(folder: Path) -> None:
    os.mkfifo(folder / "told")
    (folder / "waits.py").write_text(
        "from pipeloom import *\n"
        "def work(task, q):\n    open('told', 'w').close()\n    q.sleep(60)\n"
        "pipeline = Pipeline('waits', [TaskDef(1, 'one')], work)\n",
        encoding="utf-8",
    )
    program = " ".join(map(shlex.quote, command("pipeloom", "run", "etl.db", "waits.py")))
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' INT; exec {program}"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    (folder / "told").read_text()  # until the task runs
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "1 interrupted" in told
