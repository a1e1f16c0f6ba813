"""`pipeloom web` without a browser: what is refused, and what is handed on to the run."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import util
from pathlib import Path

import pytest
from tests.conftest import WaitFor

from pipeloom.cli.common import exit_code_of
from pipeloom.cli.main import program
from pipeloom.cli.options.run import DurabilityChoice, ExecutorChoice, RunOptions
from pipeloom.cli.web.command import arguments
from pipeloom.demo import demo
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.errors import UsageError
from pipeloom.store.file.owner import is_owned, owner
from pipeloom.web.server import CockpitServer, free_port


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = exit_code_of(lambda: program(["web", *words], prog_name="pipeloom", standalone_mode=False))
    return code, capsys.readouterr().err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    engine = Engine(tmp_path / "etl.db", demo, EngineOptions())
    engine.start()
    engine.close(0)
    return engine.db_path


def test_without_the_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = util.find_spec
    monkeypatch.setattr("pipeloom.cli.web.command.find_spec", lambda name: None if "serve" in name else found(name))
    assert said(capsys, "etl.db") == (2, "pipeloom: pipeloom web needs textual-serve: pip install 'pipeloom[web]'\n")


def test_what_cannot_be_served_is_told(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    code, told = said(capsys, "none.db")
    assert (code, told.startswith("pipeloom: There is no file")) == (2, True)
    code, told = said(capsys, str(file), "--host", "0.0.0.0")
    assert (code, "one address" in told) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, told = said(capsys, str(file), "--port", str(port))
    assert (code, told) == (
        2, f"pipeloom: Nothing can listen on 127.0.0.1, port {port}: Address already in use. Choose another one with --port.\n"
    )  # fmt: skip


def test_a_port_that_is_free_is_found_and_one_that_is_none_is_told() -> None:
    assert free_port("127.0.0.1", 0) > 1023
    with pytest.raises(UsageError, match="There is no port 70000"):
        free_port("127.0.0.1", 70_000)


def test_the_options_of_the_run_are_those_that_were_given() -> None:
    given = RunOptions(
        workers=3, executor=ExecutorChoice.PROCESS, durability=DurabilityChoice.NORMAL, no_wal=True, resume=False,
        changed=True, params=["a=1", "b=x y"], only="name:a", grace=0.5,
    )  # fmt: skip
    words = [*arguments(given)]
    assert words == [
        "--workers=3", "--executor=process", "--durability=normal", "--no-wal", "--no-resume", "--changed",
        "--param=a=1", "--param=b=x y", "--only=name:a", "--grace=0.5",
    ]  # fmt: skip
    assert [*arguments(RunOptions())] == []


def test_the_page_names_its_own_script_and_nothing_from_elsewhere(file: Path) -> None:
    server = CockpitServer(file, "::1", 8000, control=True, announce=print)
    assert re.fullmatch(r"http://\[::1\]:8000/\?token=[\w-]{22}", server.address)
    assert server.command.startswith("exec ")
    assert server.command.endswith(f"-m pipeloom.web.tab {file} --control")
    page = (Path(server.templates_path) / "app_index.html").read_text(encoding="utf-8")
    assert "http" not in page


# -- the run beside the server -----------------------------------------------------------------------------------------

ENDLESS = """
from pathlib import Path
from pipeloom import Pipeline, TaskDef
def work(task, q):
    Path("arrived").touch()
    while True:
        q.sleep(0.02)
pipeline = Pipeline("endless", [TaskDef(name="one")], work)
"""


@pytest.fixture
def server(tmp_path: Path, wait_for: WaitFor) -> Iterator[subprocess.Popen[str]]:
    """A server with a run beside it, started as `&` in a script does: ctrl+c is ignored."""
    (tmp_path / "endless.py").write_text(ENDLESS, encoding="utf-8")
    words = [sys.executable, "-m", "pipeloom", "web", "etl.db", "endless.py", "--port", "0"]
    with subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any("The page is" in line for line in process.stderr)
        wait_for((tmp_path / "arrived").exists)
        yield process
        process.kill()


def statuses(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "etl.db")) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM task_runs")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=str)
def test_the_signal_that_ends_the_server_stops_the_run(
    server: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    server.send_signal(signal.SIGINT)
    server.send_signal(number)
    _, told = server.communicate(timeout=60)
    assert (server.returncode, statuses(tmp_path)) == (128 + number, ["interrupted"])
    assert "endless  run 1: 1 interrupted" in told


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a process that its parent has ended")
def test_a_server_that_is_killed_takes_the_run_along_and_leaves_the_terminal_alone(
    server: subprocess.Popen[str], tmp_path: Path, wait_for: WaitFor
) -> None:
    run = owner(tmp_path / "etl.db")["pid"]
    told = {str(Path(f"/proc/{pid}/fd/2").readlink()) for pid in (run, server.pid)}
    assert (len(told), {one.partition(":")[0] for one in told}) == (2, {"pipe"})
    server.kill()
    wait_for(lambda: not is_owned(tmp_path / "etl.db"))
    assert statuses(tmp_path) == ["interrupted"]
