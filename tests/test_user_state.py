"""The user's own files: private, whatever the umask, and whatever they were before."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeloom.cli.cockpit import _file
from pipeloom.export.target_file import new_file
from pipeloom.store.maintenance.backup import back_up
from pipeloom.store.write.backup import back_up as back_up_before
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.tui.settings import save_filter
from pipeloom.tui.terminal import log_path
from pipeloom.user_state import UserState, last_pipeline, remember_pipeline

UMASKS = (0, 0o022, 0o077, 0o277, 0o777)


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each umask, for the time of a test."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own directories, of which none is there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a" / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a" / "config"))
    return tmp_path / "a"


@pytest.mark.usefixtures("umask")
def test_what_is_remembered_is_private_whatever_the_umask(home: Path) -> None:
    remember_pipeline(Path("etl.db"), "pipeline.py")
    UserState(Path("etl.db")).save()
    save_filter("slow", "dur:>5m")
    log_path()
    demo = _file(None, demo=True)
    assert demo.parent == home / "state" / "pipeloom"
    found = {str(path.relative_to(home)): mode(path) for path in (home, *home.rglob("*"))}
    folders = (".", "state", "config", "state/pipeloom", "state/pipeloom/log", "config/pipeloom")
    files = (
        "state/pipeloom/pipelines.json",
        "state/pipeloom/screens.json",
        "state/pipeloom/log/tui.log",
        "config/pipeloom/settings.toml",
    )
    assert found == {**dict.fromkeys(folders, "0o700"), **dict.fromkeys(files, "0o600")}
    assert last_pipeline(Path("etl.db")) == "pipeline.py"


def test_what_was_open_to_others_is_closed_to_them_when_it_is_written_again(home: Path) -> None:
    folders = (home / "state" / "pipeloom", home / "config" / "pipeloom")
    files = (folders[0] / "pipelines.json", folders[1] / "settings.toml")
    for folder, file in zip(folders, files, strict=True):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        file.touch()
        file.chmod(0o666)
    before = mode(home / "state")
    remember_pipeline(Path("etl.db"), "pipeline.py")
    save_filter("slow", "dur:>5m")
    assert [mode(path) for path in (*folders, *files)] == ["0o700", "0o700", "0o600", "0o600"]
    assert mode(home / "state") == before


def test_the_folder_and_the_file_that_links_lead_to_are_private_too(home: Path, tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    collection.mkdir(mode=0o755)
    (collection / "mine.toml").write_text("workers = 2\n")
    settings = home / "config" / "pipeloom" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.symlink_to(collection / "mine.toml")
    save_filter("slow", "dur:>5m")
    assert settings.is_symlink()
    assert (mode(collection / "mine.toml"), mode(collection)) == ("0o600", "0o755")
    assert "slow" in (collection / "mine.toml").read_text()
    assert [path.name for path in collection.iterdir()] == ["mine.toml"]


@pytest.mark.usefixtures("umask")
def test_files_that_the_program_makes_are_their_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    connection = open_writer(path)
    connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
    close_writer(connection)
    back_up(path, tmp_path / "copy.db")
    with new_file(tmp_path / "out.csv", path, overwrite=False) as stream:
        stream.write("x")
    modes = {found.name: mode(found) for found in tmp_path.iterdir()}
    assert {"etl.db", "copy.db", "out.csv"} <= modes.keys()
    assert {*modes.values()} == {"0o600"}


@pytest.mark.usefixtures("umask")
def test_the_copy_of_a_file_that_is_brought_up_to_date_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "etl.db"
    close_writer(open_writer(path))
    with closing(sqlite3.connect(path)) as connection:
        copy = back_up_before(connection, path)
    assert mode(copy) == "0o600"


# The tests may run as root, who may write anywhere: a child that is another user has to try.
AS_NOBODY = """
import os, sys
from pathlib import Path
from pipeloom.tui.settings import save_filter
from pipeloom.user_state import last_pipeline, remember_pipeline
import tomlkit, tempfile
os.setgid(65534); os.setuid(65534); os.umask(0o277)
for number in range(2):
    remember_pipeline(Path("/etl.db"), f"pipeline-{number}.py")
    save_filter(f"slow-{number}", "dur:>5m")
print(last_pipeline(Path("/etl.db")))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_umask_that_takes_the_users_own_rights_does_no_harm() -> None:
    home = Path("/tmp") / f"pipeloom-home-{os.getpid()}"
    home.mkdir()
    os.chown(home, 65534, 65534)
    try:
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=False, cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_STATE_HOME": f"{home}/state", "XDG_CONFIG_HOME": f"{home}/config"},
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("pipeline-1.py\n", "")
        assert (home / "config" / "pipeloom" / "settings.toml").read_text().count("slow-") == 2
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)
