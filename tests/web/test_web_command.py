"""`pipeloom web` without a browser: what is refused, and what is handed on to the run."""

from __future__ import annotations

import re
import socket
from importlib import util
from pathlib import Path

import pytest

from pipeloom.cli.common import exit_code_of
from pipeloom.cli.main import program
from pipeloom.cli.options import DurabilityChoice, ExecutorChoice, RunOptions
from pipeloom.cli.web.command import arguments
from pipeloom.demo import demo
from pipeloom.engine.engine import Engine
from pipeloom.engine.options import EngineOptions
from pipeloom.errors import UsageError
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
