"""The pages of the site: what they show is run in their order, and what is made for them is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pipeloom.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
RUN = ("pipeloom ", "python ", "pytest ")
"""What a line of a `sh` block begins with that is run; other lines install something or need a terminal."""
PAGES = sorted(path for path in DOCS.rglob("*.md") if 'title="' in path.read_text(encoding="utf-8"))
TESTS = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]


def title(path: Path) -> str:
    return path.relative_to(DOCS).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def build() -> Any:
    sys.path.insert(0, str(DOCS / "site"))
    try:
        yield import_module("build")
    finally:
        sys.path.remove(str(DOCS / "site"))


def test_a_link_has_words() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    named = re.compile(r"\[[a-z/-]+\.md\]\(")
    assert [path.name for path in pages if named.search(path.read_text(encoding="utf-8"))] == []


def test_the_readme_and_the_first_page_install_the_same() -> None:
    pages = (ROOT / "README.md", DOCS / "index.md")
    first = [re.search(r"^uv tool install (\S+) ", page.read_text(encoding="utf-8"), re.MULTILINE) for page in pages]
    assert {found and found[1] for found in first} == {"'pipeloom[uv]'"}


def test_every_block_of_python_is_run() -> None:
    """Here, or by a test that names the page: those are one script each (test_docs.py)."""
    with_code = [path for path in DOCS.rglob("*.md") if "```python" in path.read_text(encoding="utf-8")]
    apart = [path for path in with_code if path not in PAGES]
    assert [path.name for path in apart if not any(f'"{path.name}"' in test for test in TESTS)] == []


@pytest.mark.parametrize("path", PAGES, ids=title)
def test_a_page_is_run_from_its_first_line_to_its_last(path: Path, tmp_path: Path) -> None:
    """Write the files that it shows, and type what it says; a comment in a line names another exit code than 0."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    typed = 0
    for language, file, text in BLOCK.findall(path.read_text(encoding="utf-8")):
        if file:
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
            if language == "python":
                compile(text, file, "exec")
        for line in text.splitlines() if language == "sh" else ():
            if line.startswith(RUN):
                expected = re.search(r"# exit code (\d+)", line)
                done = subprocess.run(
                    line,
                    shell=True,
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == (int(expected[1]) if expected else 0), (line, done.stdout, done.stderr)
                typed += 1
    assert typed


def test_the_program_fills_the_reference(build: Any) -> None:
    pages = build.made_pages()
    assert "Run PIPELINE and write every attempt to DB." in pages["commands"]
    assert "## `pipeloom retry`" in pages["commands"]
    assert "| `x` | Cancel | Cancel the marked tasks, else the one under the cursor. | `live.cancel` |" in pages["keys"]
    assert "`rows_high`" in pages["tables"]
    assert "::: pipeloom.api.run_pipeline" in pages["python"]
    assert pages["settings"].startswith("# Settings\n\n`settings.toml` in the user's")
    assert "`status:error,cancelled`" in pages["filters"]


def test_pictures_are_those_of_the_snapshots(build: Any, tmp_path: Path) -> None:
    build.copy_pictures(tmp_path / "pictures")
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert {"live-dark.svg", "live-light.svg", "history.svg"} <= names
    for path in (tmp_path / "pictures").iterdir():
        assert "font-face" not in path.read_text(encoding="utf-8")
    shown = build.with_pictures("<!-- picture: live -->", 1)
    assert set(re.findall(r"\]\(\.\./pictures/([\w.-]+)#only", shown)) == {"live-dark.svg", "live-light.svg"}


def test_the_help_of_each_command_is_text_that_a_narrow_page_wraps(build: Any) -> None:
    page = build.made_pages()["commands"]
    for name in ("pipeloom-tui", *(f"pipeloom {name}" for name in COMMANDS)):
        help_of = page.partition(f"## `{name}`\n")[2].partition("\n## ")[0]
        assert help_of.startswith(f"\n<p><code>{name} ")
        assert "<dt><code>-h, --help</code></dt><dd>" in help_of
    assert "<dt><code>--every TIME</code></dt>" in page


def test_a_page_without_a_place_is_told(build: Any) -> None:
    config = (DOCS / "site" / "zensical.toml").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no place for stray\.md"):
        build.check_navigation(config, {"index.md", "stray.md"})
