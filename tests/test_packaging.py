"""What is released: the wheel and the sdist, the version, and the files at the top of the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import pipeloom
from pipeloom.tui.style.theme import SHEETS, css_paths

ROOT = Path(__file__).parents[1]
MOST_BYTES = 800_000
"""Of the wheel: the modules, compressed, and no tests, pictures or pages."""
AT_THE_TOP = {
    ".ci", ".git", ".gitattributes", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md",
    "css", "docs", "examples", "pyproject.toml", "src", "tests",
}  # fmt: skip
"""What people see first, and nothing else: settings of tools are in pyproject.toml, or with what they are about."""


def python(*arguments: str) -> None:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it, as they are published."""
    folder = tmp_path_factory.mktemp("dist")
    python("build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


def test_a_checkout_uses_the_sheets_at_its_top() -> None:
    assert not (ROOT / "src" / "pipeloom" / "css").exists()
    if (ROOT / "src" / "pipeloom") in Path(css_paths()[0]).parents or css_paths()[0].parent == ROOT / "css":
        assert [path.parent for path in css_paths()] == [ROOT / "css"] * len(SHEETS)


@pytest.mark.slow
def test_the_wheel_and_the_sdist_carry_the_sheets(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"pipeloom/css/{sheet}" for sheet in SHEETS} | {
        "pipeloom/py.typed",
        "pipeloom/web/templates/app_index.html",
    } <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pipeloom"}
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        inside = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {f"css/{sheet}" for sheet in SHEETS} | {"README.md", "LICENSE", "tests/conftest.py"} <= inside


@pytest.mark.slow
def test_the_wheel_is_small_and_what_is_published_is_in_order(dist: Path) -> None:
    assert next(dist.glob("*.whl")).stat().st_size <= MOST_BYTES
    python("twine", "check", "--strict", *map(str, dist.iterdir()))


@pytest.mark.slow
def test_the_sdist_builds_the_wheel_of_the_checkout(dist: Path, tmp_path: Path) -> None:
    python("build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(ROOT))
    (direct,) = tmp_path.iterdir()
    assert (dist / direct.name).read_bytes() == direct.read_bytes()


def test_the_newest_changes_are_those_of_the_version_and_dated() -> None:
    version = pipeloom.__version__
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert re.fullmatch(re.escape(f"[{version}] - ") + r"\d{4}-\d\d-\d\d", released[0])


def test_the_top_of_the_repository_is_tidy() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    assert {name.split("/")[0] for name in done.stdout.splitlines()} <= AT_THE_TOP
