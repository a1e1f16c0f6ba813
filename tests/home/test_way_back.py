"""The way back to the home screen: the program starts again, as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeloom.environment.enter import CHANGED, GUARD
from pipeloom.home.way_back import WayBack

PROGRAM = """
import atexit, os, sys, threading
from pathlib import Path
from pipeloom.home.way_back import WayBack
seen = Path(sys.argv[1])
if seen.exists():
    print(os.getcwd(), os.environ.get("LEFT"), sys.argv[2:], "seen" in os.environ)
    sys.exit(7)
seen.touch()
way = WayBack.from_here()
os.environ["LEFT"] = "behind"
os.chdir("/")
atexit.register(print, "at exit")
may_end = threading.Event()
threading.Thread(target=lambda: (may_end.wait(), print("a thread"))).start()
may_end.set()
way.go()
"""


def test_the_program_starts_again_as_it_was_after_what_python_does_at_its_end(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "seen", "--ascii", "a b"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.stdout.splitlines() == ["a thread", "at exit", f"{tmp_path.resolve()} None ['--ascii', 'a b'] False"]
    assert (ended.returncode, ended.stderr) == (7, "")


def test_the_way_is_told_once_to_the_program_in_another_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHANGED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin")
    way = WayBack.from_here()
    with way.for_the_next():
        monkeypatch.setenv("PATH", "/environment/bin:/usr/bin")
        monkeypatch.setenv(GUARD, "digest")
        monkeypatch.setenv("REGION", "eu")
        found = WayBack.noted()
        assert WayBack.noted() is None
    assert found is not None
    assert (found.words, found.folder) == (way.words, way.folder)
    assert [found.variables[name] for name in ("PATH", GUARD, "REGION")] == ["/usr/bin", None, "eu"]
    assert os.environ[GUARD] == "digest"


@pytest.mark.parametrize("noted", ["", "x", "[]", "1", '["a"]'])
def test_what_is_no_way_leads_nowhere(noted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELOOM_WAY_BACK", noted)
    assert WayBack.noted() is None
