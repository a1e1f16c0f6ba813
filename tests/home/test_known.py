"""The list of the user's files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeloom import Pipeline, TaskDef, run_pipeline
from pipeloom.home.known import forget, known_files, note_opened
from pipeloom.user_state import UserRecords, last_pipeline, remember_pipeline

JOB = "from pipeloom import Pipeline, TaskDef\npipeline = Pipeline('job', [TaskDef(1, 'a')], lambda task, q: None)\n"


def names() -> list[str]:
    return [file.path.name for file in known_files()]


def test_files_are_listed_with_the_last_one_first(state: Path, tmp_path: Path) -> None:
    assert known_files() == []
    remember_pipeline(tmp_path / "a.db", "/jobs/a.py")
    note_opened(tmp_path / "b.db")
    note_opened(tmp_path / "c.db", again=False)
    assert names() == ["c.db", "b.db", "a.db"]
    note_opened(tmp_path / "b.db", again=False)
    assert names() == ["c.db", "b.db", "a.db"]
    note_opened(tmp_path / "a.db")
    assert names() == ["a.db", "c.db", "b.db"]
    assert [file.pipeline for file in known_files()] == ["/jobs/a.py", "", ""]
    (tmp_path / "link.db").symlink_to(tmp_path / "b.db")
    note_opened(tmp_path / "link.db")
    assert names() == ["b.db", "a.db", "c.db"]
    forget(tmp_path / "a.db")
    assert names() == ["b.db", "c.db"]
    assert last_pipeline(tmp_path / "a.db") == ""
    assert stat.S_IMODE((state / "pipelines.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "written", ["", "[]", "{", '{"/a.db": 3, "b.db": {}, "": {}, "/c.db": {"used": 1, "last": []}}', "\0"]
)
def test_a_list_that_is_damaged_is_read_as_far_as_it_goes(state: Path, written: str) -> None:
    state.mkdir(parents=True)
    (state / "pipelines.json").write_text(written)
    assert [str(file.path) for file in known_files()] == (["/c.db"] if "c.db" in written else [])
    note_opened(Path("/d.db"))
    assert "d.db" in names()


@pytest.mark.parametrize("name", ["pipelines", "screens", "environments"])
def test_a_table_that_cannot_be_read_is_kept_beside_the_new_one_and_told(
    state: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    state.mkdir(parents=True)
    path = state / f"{name}.json"
    for number, (written, why) in enumerate(
        [(b"{", "it is no JSON"), (b"[1]", "it is no JSON object"), (b"x" * 1_000_001, "1.0 MB")]
    ):
        path.write_bytes(written)
        caplog.clear()
        UserRecords(name).change(lambda known: known.update(a={}))
        kept = path.with_name(f"{name}.json.unreadable" + (f"-{number}" if number else ""))
        assert kept.read_bytes() == written
        (told,) = caplog.messages
        assert f"{path} cannot be read ({why}" in told.replace("it has ", "")
        assert f"it is kept as {kept.name}," in told
        assert UserRecords(name).read() == {"a": {}}
    caplog.clear()
    UserRecords(name).change(lambda known: known.update(b={}))
    path.write_bytes(b"")
    UserRecords(name).change(lambda known: known.update(b={}))
    assert (caplog.messages, len([*state.iterdir()])) == ([], 4)


def test_a_command_says_that_the_list_was_unreadable_and_the_list_of_a_link_stays_a_link(
    state: Path, tmp_path: Path
) -> None:
    state.mkdir(parents=True)
    (tmp_path / "mine.json").write_text("garbage")
    (state / "pipelines.json").symlink_to(tmp_path / "mine.json")
    (tmp_path / "job.py").write_text(JOB)
    done = subprocess.run(
        [sys.executable, "-m", "pipeloom", "run", "a.db", "job.py"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.count("pipelines.json cannot be read (it is no JSON: ") == 1
    assert (tmp_path / "mine.json.unreadable").read_text() == "garbage"
    assert (state / "pipelines.json").is_symlink()
    assert names() == ["a.db"]


def test_programs_that_note_at_the_same_time_lose_nothing(state: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom pipeloom.home.known import note_opened\ninput()\n"
        "for n in range(25): note_opened(Path(f'/{sys.argv[1]}-{n}.db'))"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", code, str(number)], stdin=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
    for program in programs:
        program.communicate(timeout=60)
    assert len(known_files()) == 100
    assert [path.name for path in state.iterdir()] == ["pipelines.json"]


def test_the_list_stays_small_enough_to_be_read(state: Path) -> None:
    long = "x" * 3900

    def fill(known: dict[str, object]) -> None:
        known.update({f"/{number}/{long}": {"used": str(number)} for number in range(600)})

    UserRecords("pipelines").change(fill)
    assert (state / "pipelines.json").stat().st_size <= 1_000_000
    assert known_files()[0].path == Path(f"/599/{long}")
    UserRecords("pipelines").change(lambda known: known.update({f"/{number}.db": {} for number in range(600)}))
    assert len(known_files()) == 500


@pytest.mark.parametrize("home", ["none", "read-only"])
def test_without_a_home_there_is_no_list_and_no_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").touch()  # no folder can be made below a file, by root neither
    monkeypatch.setenv("XDG_STATE_HOME", "" if home == "none" else str(tmp_path / "file" / "state"))
    monkeypatch.setenv("HOME", "" if home == "none" else str(tmp_path / "file"))
    if home == "none":
        monkeypatch.setattr("pipeloom.user_state.user_folder", lambda find: None)
    note_opened(tmp_path / "a.db")
    forget(tmp_path / "a.db")
    assert known_files() == []


def test_a_run_and_a_look_from_the_command_line_are_noted_and_one_from_a_script_is_not(
    state: Path, tmp_path: Path
) -> None:
    (tmp_path / "job.py").write_text(JOB)
    pipeline = Pipeline("script", [TaskDef(1, "a")], lambda task, q: None)
    for name in ("script", "seen", "run"):
        run_pipeline(tmp_path / f"{name}.db", pipeline, ui="none")
    assert known_files() == []

    def pipeloom(*arguments: str) -> int:
        command = [sys.executable, "-m", "pipeloom", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode

    assert pipeloom("status", "seen.db") == 0
    assert pipeloom("run", "run.db", "job.py") == 0
    assert pipeloom("status", "job.py") == pipeloom("status", "not-there.db") == 2
    assert names() == ["run.db", "seen.db"]
    assert [file.pipeline for file in known_files()] == [str(tmp_path / "job.py"), ""]
    assert json.loads((state / "pipelines.json").read_text()).keys() == {
        os.fspath(tmp_path / name) for name in ("run.db", "seen.db")
    }
