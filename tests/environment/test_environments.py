"""A wheel of pipeloom, installed by uv into an empty home, runs a file that says what it needs."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ptyprocess
import pytest
from uv import find_uv_bin

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.environment import extras
from pipeloom.environment.enter import enter, refuse_unmet
from pipeloom.environment.environments import Environment
from pipeloom.environment.own import own
from pipeloom.environment.script import read_script, scripts_of
from pipeloom.environment.uv import find_uv
from pipeloom.errors import UsageError

ROOT = Path(__file__).parents[2]
UV = find_uv_bin()

JOB = """
# /// script
# requires-python = ">=3.11"
# dependencies = ["cowsay>=6"]
# ///
import os, sys
from pathlib import Path
from pipeloom import Pipeline, TaskDef

def load(task, q):
    import cowsay
    if Path("fail").exists():
        raise ValueError("as asked")
    if Path("hang").exists():
        Path("hangs").touch()
        while True:
            q.sleep(0.05)
    q.put(said.rows([{"id": task.task_id, "text": cowsay.get_output_string("cow", "moo"), "place": sys.prefix, "pid": os.getpid()}]))

pipeline = Pipeline("cows", [TaskDef(1, "cow")], load)
said = pipeline.table("said", {"id": int, "text": str, "place": str, "pid": int}, key="id")
"""


@dataclass
class Machine:
    """A user's machine: a home without anything, and Python."""

    home: Path
    surroundings: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.home / "work"

    def run(self, *command: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*map(str, command)], cwd=self.work, env={**self.surroundings, **more}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip

    def ask(self, answer: str, *command: object) -> tuple[int, str]:
        """Run on a terminal, and answer the question once."""
        process = ptyprocess.PtyProcess.spawn([*map(str, command)], cwd=str(self.work), env=self.surroundings)
        told = b""
        while True:
            try:
                told += process.read()
            except EOFError:
                break
            if answer and b"[y/N]" in told:
                process.write(f"{answer}\n".encode())
                answer = ""
        process.wait()
        return process.exitstatus, told.decode()

    def rows(self, name: str = "etl.db") -> list[tuple[str, str, int]]:
        with closing(sqlite3.connect(self.work / name)) as connection:
            return connection.execute("SELECT text, place, pid FROM said").fetchall()


LEFT_OUT = ("XDG", "PYTHON", "VIRTUAL", "UV_CACHE", "UV_OFFLINE", "UV_PROJECT", "UV_PYTHON", "UV_TOOL", "PIPELOOM")
"""Beginnings of variables that would tell of another home; those of an index and its certificates stay."""


def without_uv(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return {**kept, "HOME": str(home), "PATH": f"{home}/.local/bin:/usr/bin:/bin", "TERM": "xterm-256color"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which `uv tool install` has installed a wheel of this pipeloom, with two of its extras."""
    home = tmp_path_factory.mktemp("home")
    machine = Machine(home, without_uv(home))
    machine.work.mkdir()
    (machine.work / "job.py").write_text(JOB)
    built = machine.run(UV, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", home / "dist", ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = (home / "dist").glob("*.whl")
    installed = machine.run(
        UV, "tool", "install", "--quiet", "--python", sys.executable, f"pipeloom[schedule,uv] @ {wheel.as_uri()}"
    )
    assert installed.returncode == 0, installed.stderr
    wheel.unlink()  # as it is after an install from an index
    return machine


@pytest.mark.slow
def test_one_command_and_one_yes_lead_to_rows(machine: Machine) -> None:
    program = machine.home / ".local" / "bin" / "pipeloom"

    refused = machine.run(program, "run", "etl.db", "job.py")
    assert refused.returncode == 2
    assert refused.stderr.endswith("type: pipeloom run --yes etl.db job.py\n"), refused.stderr
    assert machine.ask("n", program, "run", "etl.db", "job.py")[0] == 2
    assert not (machine.work / "etl.db").exists()
    assert not (machine.home / ".cache" / "pipeloom").exists()

    code, told = machine.ask("y", program, "run", "etl.db", "job.py")
    assert code == 0, told
    assert "cowsay==6" in told.partition("[y/N]")[0]
    ((text, place, _),) = machine.rows()
    assert "moo" in text
    assert Path(place).parent == machine.home / ".cache" / "pipeloom" / "environments"
    assert machine.run(Path(place) / "bin" / "python", "-c", "import cronsim, watchfiles").returncode == 0
    state = machine.home / ".local" / "state" / "pipeloom" / "environments.json"
    assert [*json.loads(state.read_text())] == [str(machine.work / "job.py")]
    assert stat.S_IMODE(state.stat().st_mode) == 0o600

    # Without a question, a terminal and a network; with the exit code, and in worker processes too.
    again = machine.run(program, "run", "again.db", "job.py", "--executor", "process", UV_OFFLINE="1")
    assert (again.returncode, machine.rows("again.db")[0][1]) == (0, place), again.stderr
    (machine.work / "fail").touch()
    assert machine.run(program, "run", "etl.db", "job.py").returncode == 1
    (machine.work / "fail").unlink()

    # Another block is another question, the same text in another file too.
    (machine.work / "other.py").write_text(JOB)
    assert machine.run(program, "run", "other.db", "other.py").returncode == 2
    (machine.work / "job.py").write_text(JOB.replace("cowsay>=6", "cowsay>=5"))
    assert machine.run(program, "plan", "etl.db", "job.py").returncode == 2
    (machine.work / "job.py").write_text(JOB)


@pytest.mark.slow
def test_a_signal_reaches_the_run_in_there(machine: Machine, wait_for: Callable[..., None]) -> None:
    program = machine.home / ".local" / "bin" / "pipeloom"
    (machine.work / "hang").touch()
    process = subprocess.Popen(
        [program, "run", "--yes", "hang.db", "job.py"], cwd=machine.work, env=machine.surroundings
    )
    try:
        wait_for((machine.work / "hangs").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    finally:
        process.kill()
        (machine.work / "hang").unlink()
        (machine.work / "hangs").unlink(missing_ok=True)


@pytest.mark.slow
def test_two_starts_at_a_time_make_one_environment_and_half_a_one_is_made_again(machine: Machine) -> None:
    program = machine.home / ".local" / "bin" / "pipeloom"
    folder = machine.home / ".cache" / "pipeloom" / "environments"
    assert machine.run(program, "run", "--yes", "a.db", "job.py").returncode == 0
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    (made / "pipeloom-ready").unlink()
    (made / "bin" / "python").unlink()
    both = [
        subprocess.Popen(
            [program, "run", "--yes", f"{name}.db", "job.py"], cwd=machine.work, env=machine.surroundings,
            stderr=subprocess.PIPE, text=True,
        )
        for name in "bc"
    ]  # fmt: skip
    told = [one.communicate(timeout=100)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert [path for path in folder.iterdir() if path.is_dir()] == [made]
    assert len(machine.rows("b.db")) == len(machine.rows("c.db")) == 1


@pytest.mark.slow
def test_the_cockpit_asks_too(machine: Machine) -> None:
    (machine.work / "seen.py").write_text(JOB)
    code, told = machine.ask("n", machine.home / ".local" / "bin" / "pipeloom-tui", "seen.db", "seen.py")
    assert code == 2
    assert "Nothing was installed, and nothing was run." in told


@pytest.mark.slow
def test_what_uv_cannot_install_is_told_by_uv(machine: Machine) -> None:
    (machine.work / "bad.py").write_text(JOB.replace("cowsay>=6", "cowsay>=999"))
    done = machine.run(machine.home / ".local" / "bin" / "pipeloom", "run", "--yes", "bad.db", "bad.py")
    assert done.returncode == 2
    assert "uv could not make the environment" in done.stderr
    assert "cowsay>=999" in done.stderr
    assert not (machine.work / "bad.db").exists()


@pytest.mark.parametrize(
    ("program", "arguments", "typed"),
    [
        ("run_main", "run etl.db job.py", "pipeloom run --yes etl.db job.py"),
        ("run_main", "plan etl.db job.py", "pipeloom plan --yes etl.db job.py"),
        ("run_main", "retry etl.db status:error job.py", "pipeloom retry --yes etl.db status:error job.py"),
        ("tui_main", "etl.db job.py:pipeline", "pipeloom-tui --yes etl.db job.py:pipeline"),
        ("run_main", "run etl.db job.py --help", "pipeloom run --yes etl.db job.py --help"),
    ],
)
def test_each_program_that_loads_a_file_tells_what_to_type(
    tmp_path: Path, program: str, arguments: str, typed: str
) -> None:
    (tmp_path / "job.py").write_text(JOB)
    run_pipeline(tmp_path / "etl.db", Pipeline("cows", [TaskDef(1, "cow")], print), ui="none")
    done = subprocess.run(
        [sys.executable, "-c", f"from pipeloom.cli import {program}; {program}()", *arguments.split()],
        cwd=tmp_path, env=without_uv(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    told = " ".join((done.stdout + done.stderr).split())
    assert "job.py needs cowsay>=6, which is not installed here." in told
    assert typed in told
    assert done.returncode == (0 if "--help" in arguments else 2)
    assert not (tmp_path / ".cache").exists()


# -- in this process ---------------------------------------------------------------------------------------------------


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "job.py"
    path.write_text(JOB)
    return path


def environment_of(job: Path) -> Environment:
    script = read_script(job)
    assert script is not None
    return Environment((script,), own())


def test_what_is_here_needs_no_environment(job: Path) -> None:
    job.write_text(JOB.replace("cowsay>=6", "rich"))
    enter(scripts_of([job]), "pipeloom", [], yes=False)
    refuse_unmet(*scripts_of([job]))


def test_a_path_that_a_file_or_a_list_names_never_leads_to_an_install(job: Path) -> None:
    with pytest.raises(UsageError, match=r"job\.py needs cowsay>=6, .* name the file on the command line"):
        refuse_unmet(*scripts_of([job]))
    assert not (job.parent / "cache").exists()


def test_without_uv_the_ways_to_get_it_are_told(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(job.parent))
    assert find_uv() is None
    with pytest.raises(UsageError, match=r"pip install 'pipeloom\[uv\]'. Or install it: pip install 'cowsay>=6'"):
        enter(scripts_of([job]), "pipeloom", [], yes=True)
    with pytest.raises(UsageError, match=r"pip install 'pipeloom\[uv\]'"):  # --yes would not help
        enter(scripts_of([job]), "pipeloom", [], yes=False, ask=False)
    (job.parent / "uv").write_text("#!/bin/sh\n")
    (job.parent / "uv").chmod(0o755)
    assert find_uv() == str(job.parent / "uv")


@pytest.mark.parametrize(
    ("mark", "here", "told", "beside"),
    [
        ("none", {"uv"}, "pip install 'pipeloom[web]'", "pip install 'a>=1' b"),
        ("uv-receipt.toml", set(), "uv tool install 'pipeloom[web]'", "uv tool install pipeloom --with 'a>=1' --with b"),
        (
            "uv-receipt.toml", {"uv", "distributed", "cronsim"}, "uv tool install 'pipeloom[dask,uv,web]'",
            "uv tool install 'pipeloom[dask,uv]' --with 'a>=1' --with b",
        ),
        ("pipx_metadata.json", {"uv"}, "pipx install --force 'pipeloom[uv,web]'", "pipx inject pipeloom 'a>=1' b"),
        ("pipeloom-ready", {"uv"}, 'add "pipeloom[web]" to the dependencies in the pipeline\'s file', None),
    ],
)  # fmt: skip
def test_what_brings_an_extra_is_told_by_how_pipeloom_was_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str, here: set[str], told: str, beside: str | None
) -> None:
    (tmp_path / mark).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(extras, "find_spec", lambda name: name if name in here else None)
    assert extras.how_to_get("web") == told
    assert beside in (None, extras.how_to_add(["a>=1", "b"]))


def test_the_environment_has_the_extras_of_this_installation(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()
    for here, named in ((set(), ""), ({"cronsim", "watchfiles", "pyperclip", "uv"}, "[clipboard,schedule]")):
        monkeypatch.setattr(extras, "find_spec", lambda name, here=here: name if name in here else None)
        environment = environment_of(job)
        folders.add(environment.folder)
        assert environment.own.requirement(job.parent) == ["--editable", f"{ROOT}{named}"]
    assert len(folders) == 2


def test_an_environment_that_lacks_it_is_not_started_again(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    def note(*call: Any) -> None:
        started.append(call)
        raise OSError(2, "not there")

    monkeypatch.setattr(os, "execve", note)
    environment = environment_of(job)
    python = environment.program("python")
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (environment.folder / "pipeloom-ready").touch()
    with pytest.raises(UsageError, match="cannot be started: not there"):
        enter(scripts_of([job]), "pipeloom", ["run", "etl.db", "job.py"], yes=True)
    ((program, arguments, surroundings),) = started
    assert (program, arguments[2:]) == (str(python), ["run", "etl.db", "job.py"])
    for name in ("PIPELOOM_ENVIRONMENT", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, surroundings[name])
    monkeypatch.setattr(sys, "prefix", surroundings["VIRTUAL_ENV"])
    with pytest.raises(UsageError, match="does not have it: remove that folder"):
        enter(scripts_of([job]), "pipeloom", ["run", "etl.db", "job.py"], yes=True)
    assert len(started) == 1


@pytest.mark.parametrize(
    ("python", "wanted"), [(">=3.11", os.path.realpath(sys.executable)), (">=3.99", ">=3.11,>=3.99")]
)
def test_the_interpreter_is_this_one_where_it_fits(job: Path, python: str, wanted: str) -> None:
    job.write_text(JOB.replace(">=3.11", python))
    environment = environment_of(job)
    assert (environment.python, environment.has_this_python) == (wanted, wanted != ">=3.11,>=3.99")


UV_OF_TEST = """#!/bin/sh
echo "$1 $2" >> "$LOG"
if [ "$1" = venv ]; then
    read _ < "$GATE"
    for folder; do :; done
    mkdir -p "$folder/bin" && ln -s "$PYTHON" "$folder/bin/python"
fi
"""


def test_one_of_two_makes_the_environment_and_the_other_waits_for_it(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, gate, uv = (job.parent / name for name in ("log", "gate", "uv"))
    os.mkfifo(gate)
    uv.write_text(UV_OF_TEST)
    uv.chmod(0o755)
    for name, value in (("LOG", log), ("GATE", gate), ("PYTHON", sys.executable)):
        monkeypatch.setenv(name, str(value))
    environment = environment_of(job)
    first = threading.Thread(target=environment.make, args=(str(uv), (), lambda: None))
    first.start()
    with gate.open("w") as opened:  # it is in its first call of uv
        told: list[str] = []

        def waiting() -> None:
            told.append("waits")
            opened.write("go on\n")
            opened.flush()

        environment.make(str(uv), (), waiting)
    first.join(30)
    assert (told, log.read_text().splitlines()) == (["waits"], ["venv --quiet", "pip install"])
    assert environment.is_ready
