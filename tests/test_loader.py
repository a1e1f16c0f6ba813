"""Which pipeline a command line names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeloom.code.sources import PREFIX
from pipeloom.errors import UsageError
from pipeloom.loader import being_imported, load_pipeline

ONE = "from pipeloom import Pipeline\nfirst = Pipeline('first', [], print)\n"
TWO = ONE + "second = Pipeline('second', [], print)\n"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A Python file in a folder whose name holds a colon; its module is forgotten, for worker processes load it too."""
    folder = tmp_path / "a:b"
    folder.mkdir()
    before = set(sys.modules)
    yield folder / "jobs.py"
    for name in [name for name in sys.modules.keys() - before if PREFIX in name]:
        del sys.modules[name]


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
    assert load_pipeline(str(file)).name == "first"
    assert [place for place in sys.path if place not in before] == [str(file.parent.resolve())]


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


@pytest.mark.parametrize("ui", ["none", "tui"])
def test_a_file_that_runs_its_pipeline_when_it_is_imported_is_refused(file: Path, ui: str) -> None:
    mine = file.parent / "mine.db"
    call = f"run_pipeline({str(mine)!r}, pipeline, ui={ui!r})"
    head = (
        "from pipeloom import Pipeline, TaskDef, run_pipeline\npipeline = Pipeline('mine', [TaskDef(1, 'a')], print)\n"
    )
    file.write_text(head + call)
    with pytest.raises(UsageError, match=r"run_pipeline is called while .* is imported"):
        load_pipeline(str(file))
    assert not mine.exists()
    assert being_imported() is None
    file.write_text(f"{head}if __name__ == '__main__':\n    {call}")
    assert load_pipeline(str(file)).name == "mine"
    assert not mine.exists()


@pytest.mark.parametrize(
    "line",
    [
        "sys.exit(3)",
        "argparse.ArgumentParser().parse_args(['--no-such'])",
        "json.loads('{')",
        "Pipeline()",
        "1 / 0",
    ],
)
def test_what_fails_at_import_names_the_line_of_the_user(file: Path, line: str) -> None:
    file.write_text(f"import argparse, json, sys\nfrom pipeloom import Pipeline\n\n{line}\n")
    with pytest.raises(UsageError, match=rf"cannot be imported: .*\({file.name}, line 4\)"):
        load_pipeline(str(file))


def test_a_neighbour_that_imports_from_the_file_gets_the_same_classes(file: Path) -> None:
    (file.parent / "helper_of_shared.py").write_text("from shared_of_helper import Row\ndef made(): return Row()\n")
    path = file.with_name("shared_of_helper.py")
    path.write_text(
        "from pipeloom import Pipeline\nclass Row: pass\nfrom helper_of_shared import made\n"
        "assert type(made()) is Row\npipeline = Pipeline('shared', [], print)\n"
    )
    assert load_pipeline(str(path)).name == "shared"


@pytest.mark.parametrize(
    "how", ["from .near import name", "from . import near; name = near.name", "from ..far import name"]
)
def test_a_file_in_a_package_may_import_with_dots(tmp_path: Path, how: str) -> None:
    inner = tmp_path / "outer_package" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("")
    (inner / "near.py").write_text("name = 'found'\n")
    (inner.parent / "far.py").write_text("name = 'found'\n")
    path = inner / f"dotted_{abs(hash(how))}.py"
    path.write_text(f"from pipeloom import Pipeline\n{how}\npipeline = Pipeline(name, [], print)\n")
    try:
        assert load_pipeline(str(path)).name == "found"
    finally:
        for name in [name for name in sys.modules if name.startswith("outer_package")]:
            del sys.modules[name]


def test_a_dot_outside_a_package_is_an_error_that_says_what_makes_one(file: Path) -> None:
    file.write_text("from .near import name\n")
    with pytest.raises(UsageError, match=r"put an __init__\.py into the folder a:b/"):
        load_pipeline(str(file))


@pytest.mark.parametrize(
    ("theirs", "text"),
    [("raise ValueError", "ValueError"), ("", "AttributeError: module 'sched' has no attribute 'scheduler'")],
    ids=["raises", "lacks"],
)
def test_a_neighbour_with_the_name_of_one_of_pythons_modules_is_named_as_the_trouble(
    file: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, text: str
) -> None:
    monkeypatch.delitem(sys.modules, "sched", raising=False)
    (file.parent / "sched.py").write_text(theirs)
    file.write_text("import sched\nsched.scheduler\n" + ONE)
    named = f"{text}.*/sched.py is loaded in the place of Python's own module sched: rename it"
    with pytest.raises(UsageError, match=named):
        load_pipeline(str(file))
    sys.modules.pop("sched", None)


def test_a_pipeline_may_have_the_name_of_one_of_pythons_modules(file: Path) -> None:
    path = file.with_name("calendar.py")
    path.write_text("raise KeyError('day')\n")
    with pytest.raises(UsageError) as raised:
        load_pipeline(str(path))
    assert "rename it" not in str(raised.value)


def test_a_pipeline_stands_in_the_place_of_no_module_that_python_imports_later(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sched", raising=False)
    path = file.with_name("sched.py")
    path.write_text(ONE)
    assert load_pipeline(str(path)).name == "first"
    assert callable(importlib.import_module("sched").scheduler)


LAYOUTS = {
    "siblings": (("job.py", "near.py"), "job.py", "from near import NAME"),
    "package": (("pkg/__init__.py", "pkg/near.py", "pkg/job.py"), "pkg/job.py", "from .near import NAME"),
    "package, by its name": (
        ("pkg/__init__.py", "pkg/near.py", "pkg/job.py"),
        "pkg/job.py",
        "from pkg.near import NAME",
    ),
    "package within": (
        ("pkg/__init__.py", "pkg/near.py", "pkg/sub/__init__.py", "pkg/sub/job.py"),
        "pkg/sub/job.py",
        "from ..near import NAME",
    ),
    "src": (("pyproject.toml", "src/pkg/__init__.py", "src/pkg/near.py"), "src/pkg/job.py", "from .near import NAME"),
    "src, by its name": (
        ("pyproject.toml", "src/pkg/__init__.py", "src/pkg/near.py", "src/other.py"),
        "src/pkg/job.py",
        "import other; from pkg.near import NAME",
    ),
    "src, without __init__.py": (
        ("pyproject.toml", "src/pkg/near.py"),
        "src/pkg/job.py",
        "from .near import NAME; from pkg.near import NAME as SAME; assert NAME is SAME",
    ),
    "src, below without __init__.py": (
        ("setup.cfg", "src/pkg/near.py", "src/pkg/jobs/__init__.py"),
        "src/pkg/jobs/job.py",
        "from ..near import NAME",
    ),
    "src, beside packages": (("pyproject.toml", "src/near.py"), "src/job.py", "from near import NAME"),
    "a folder named src of no project": (("src/pkg/near.py",), "src/pkg/job.py", "from near import NAME"),
}
"""The files, the one that is named, and how it imports another."""


@pytest.mark.parametrize(("files", "job", "imports"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_file_runs_by_its_path_in_each_layout(tmp_path: Path, files: tuple[str, ...], job: str, imports: str) -> None:
    for name in (*files, job):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("NAME = 'from near'" if path.name == "near.py" else "")
    (tmp_path / job).write_text(f"{imports}\nfrom pipeloom import Pipeline\npipeline = Pipeline(NAME, [], print)\n")
    before = set(sys.modules)
    try:
        assert load_pipeline(str(tmp_path / job)).name == "from near"
    finally:
        for name in sys.modules.keys() - before:
            if name.partition(".")[0] in ("pkg", "near", "other", "job") or PREFIX in name:
                del sys.modules[name]


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:  # root may read everything
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "secret.py").touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UsageError, match=r"secret\.py cannot be read: Permission denied\.$"):
        load_pipeline(str(tmp_path / "secret.py"))
