"""Which pipeline a command line names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeloom.errors import UsageError
from pipeloom.loader import load_pipeline

ONE = "from pipeloom import Pipeline\nfirst = Pipeline('first', [], print)\n"
TWO = ONE + "second = Pipeline('second', [], print)\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A Python file in a folder whose name holds a colon."""
    folder = tmp_path / "a:b"
    folder.mkdir()
    return folder / "jobs.py"


def test_a_file_with_one_pipeline_needs_no_name(file: Path) -> None:
    file.write_text(ONE + "also = first\n")
    assert load_pipeline(str(file)).name == "first"


def test_one_of_several_is_chosen_by_its_name(file: Path) -> None:
    file.write_text(TWO)
    assert load_pipeline(f"{file}:second").name == "second"
    with pytest.raises(UsageError, match=r"choose one with .*:first or :second"):
        load_pipeline(str(file))


def test_a_file_may_import_its_neighbours_and_nothing_else_is_put_on_the_path(file: Path) -> None:
    (file.parent / "neighbour_of_jobs.py").write_text(ONE)
    file.write_text("from neighbour_of_jobs import first\n")
    before = list(sys.path)
    try:
        assert load_pipeline(str(file)).name == "first"
        assert [place for place in sys.path if place not in before] == [str(file.parent.resolve())]
    finally:
        sys.path[:] = before


def test_a_module_is_found_as_python_finds_it() -> None:
    assert load_pipeline("pipeloom.demo").name == "demo"
    with pytest.raises(UsageError, match=r"There is no module pipeloom\.nowhere"):
        load_pipeline("pipeloom.nowhere")


def test_ctrl_c_while_the_file_is_imported_is_ctrl_c(file: Path) -> None:
    file.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_pipeline(str(file))


@pytest.mark.parametrize(("name", "words"), [("jobs.txt", "must end in .py"), ("missing.py", "There is no file")])
def test_what_is_no_python_file_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "jobs.txt").write_text(ONE)
    with pytest.raises(UsageError, match=words):
        load_pipeline(str(tmp_path / name))
