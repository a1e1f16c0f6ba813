"""Versions of a pipeline's code: what is noted, what counts as changed, and what pickles name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeloom.code.pickles import dumps, loads, translated
from pipeloom.code.sources import PREFIX
from pipeloom.code.version import Version, Watch, version_of
from pipeloom.errors import UsageError
from pipeloom.loader import load_pipeline, reload_pipeline

FILE = """\
import json, sys
from pipeloom import Pipeline, TaskDef
import neighbour_of_version
from parts_of_version.one import part

class Row:
    def __init__(self, value): self.value = value

def work(task, q): pass

first = Pipeline("first", [], work)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    for place in ("parts_of_version", ".venv/lib/python3/site-packages"):
        (tmp_path / "jobs" / place).mkdir(parents=True)
    (tmp_path / "jobs" / "pipeline.py").write_text(FILE)
    (tmp_path / "jobs" / "neighbour_of_version.py").write_text("import installed_of_version\n")
    (tmp_path / "jobs" / "parts_of_version" / "one.py").write_text("from . import two\npart = two\n")
    (tmp_path / "jobs" / "parts_of_version" / "two.py").write_text("")
    (tmp_path / "jobs" / "unused_of_version.py").write_text("")
    packages = tmp_path / "jobs" / ".venv/lib/python3/site-packages"
    (packages / "installed_of_version.py").write_text("")
    sys.path.append(str(packages))
    yield tmp_path / "jobs"
    for name in [name for name in sys.modules.keys() - before if "_of_version" in name or PREFIX in name]:
        del sys.modules[name]
    sys.modules.pop("pipeline", None)


def noted(version: Version) -> set[str]:
    return {Path(source.path).name for source in version.sources}


def test_what_the_file_has_imported_from_its_folder_is_noted(folder: Path) -> None:
    version = version_of(load_pipeline(str(folder / "pipeline.py")))
    assert noted(version) == {"pipeline.py", "neighbour_of_version.py", "one.py", "two.py"}
    assert version.spec == str(folder / "pipeline.py")
    assert version.hash is not None
    assert len(version.hash) == 8


def test_the_hash_is_of_the_texts_wherever_they_are(folder: Path, tmp_path: Path) -> None:
    here = version_of(load_pipeline(str(folder / "pipeline.py"))).hash
    for name in [name for name in sys.modules if "_of_version" in name or name == "pipeline"]:
        del sys.modules[name]
    sys.path[:] = [place for place in sys.path if place != str(folder)]
    folder.rename(tmp_path / "elsewhere")
    sys.path.append(str(tmp_path / "elsewhere" / ".venv/lib/python3/site-packages"))
    assert version_of(load_pipeline(str(tmp_path / "elsewhere" / "pipeline.py"))).hash == here


def test_a_change_is_another_content_and_not_another_time(folder: Path) -> None:
    watch = Watch(version_of(load_pipeline(str(folder / "pipeline.py"))))
    assert watch.look() is None
    os.utime(folder / "pipeline.py", (1, 1))
    (folder / "unused_of_version.py").write_text("changed = True\n")
    assert watch.look() is None
    (folder / "parts_of_version" / "two.py").write_text("new = True\n")
    change = watch.look()
    assert change is not None
    assert (Path(change.path).name, change.others) == ("two.py", 0)
    (folder / "pipeline.py").unlink()  # an editor is about to rename another one to it
    again = watch.look()
    assert again == change
    (folder / "parts_of_version" / "two.py").write_text("")
    assert watch.look() is None


def test_what_a_function_imports_later_is_watched_and_loaded_again_but_not_hashed(folder: Path) -> None:
    late = folder / "late_of_version.py"
    late.write_text("value = 1\n")
    (folder / "pipeline.py").write_text(FILE.replace("pass", "import late_of_version; return late_of_version.value"))
    pipeline = load_pipeline(str(folder / "pipeline.py"))
    version = version_of(pipeline)
    watch = Watch(version)
    late.write_text("value = 2\n")
    assert watch.look() is None, "it is not imported yet"
    assert pipeline.worker_fn(None, None) == 2
    assert (watch.look(), version.is_on_disk()) == (None, True)
    late.write_text("value = 3\n")
    change = watch.look()
    assert change is not None
    assert (Path(change.path).name, version.is_on_disk()) == ("late_of_version.py", False)
    assert noted(version_of(load_pipeline(str(folder / "pipeline.py")))) == noted(version)
    taken: list[Any] = []
    reload_pipeline(version, lambda new, _: taken.append(new))
    assert taken[0].worker_fn(None, None) == 3
    assert Watch(version_of(taken[0])).look() is None
    assert version_of(taken[0]).hash == version.hash


def test_an_edit_of_the_same_size_in_the_same_second_is_seen_and_run(folder: Path) -> None:
    file = folder / "parts_of_version" / "two.py"
    file.write_text("value = 1\n")
    version = version_of(load_pipeline(str(folder / "pipeline.py")))
    at = file.stat().st_mtime_ns
    file.write_text("value = 2\n")
    os.utime(file, ns=(at, at + 1))
    taken: list[Version] = []
    reload_pipeline(version, lambda _, new: taken.append(new))
    assert taken[0].modules["parts_of_version.one"].part.value == 2


def test_each_version_keeps_its_classes_and_pickles_find_them(folder: Path) -> None:
    old = version_of(load_pipeline(str(folder / "pipeline.py")))
    versions = [old]
    reload_pipeline(old, lambda _, version: versions.append(version))
    new = versions[1]
    row: Any = old.find("pipeline", "Row")(7)
    assert new.find("pipeline", "Row") is not type(row)
    assert type(loads(dumps(row, old), old)) is type(row)
    moved = translated({"rows": [row]}, new)["rows"][0]
    assert (type(moved), moved.value) == (new.find("pipeline", "Row"), 7)
    kept = translated({"row": row, "lambda": lambda: 0}, new)
    assert kept["row"] is row, "what cannot be pickled stays as it is"


def test_what_fails_leaves_all_modules_as_they_were(folder: Path) -> None:
    old = version_of(load_pipeline(str(folder / "pipeline.py")))
    before = {name: module for name, module in sys.modules.items() if name in old.modules}
    (folder / "parts_of_version" / "two.py").write_text("raise KeyError('x')\n")
    with pytest.raises(UsageError, match=r"KeyError: 'x' \(two.py, line 1\)"):
        reload_pipeline(old, lambda _, __: None)
    (folder / "parts_of_version" / "two.py").write_text("")

    def refuse(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reload_pipeline(old, refuse)
    assert {name: sys.modules[name] for name in before} == before
    assert sys.modules["parts_of_version"].one is before["parts_of_version.one"]
