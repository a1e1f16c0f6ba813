"""The style sheets are found in a checkout and in a wheel."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeloom.tui.style.theme import SHEETS, css_paths

ROOT = Path(__file__).parents[1]


def test_a_checkout_uses_the_sheets_at_its_top() -> None:
    assert not (ROOT / "src" / "pipeloom" / "css").exists()
    if (ROOT / "src" / "pipeloom") in Path(css_paths()[0]).parents or css_paths()[0].parent == ROOT / "css":
        assert [path.parent for path in css_paths()] == [ROOT / "css"] * len(SHEETS)


@pytest.mark.slow
def test_the_wheel_and_the_sdist_carry_the_sheets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert {f"pipeloom/css/{sheet}" for sheet in SHEETS} | {"pipeloom/py.typed"} <= names
    assert not any(name.startswith(("tests", "examples")) for name in names)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        inside = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {f"css/{sheet}" for sheet in SHEETS} | {"README.md", "LICENSE", "tests/conftest.py"} <= inside
