"""Shells in pseudo-terminals, in which the programs are completed."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ptyprocess import PtyProcessUnicode

from pipeloom.cli.shell.scripts import SCRIPTS, Shell

SHIM = """#!{python}
import json, os, sys
if "_PIPELOOM_COMPLETE" in os.environ:
    from pipeloom.cli import {entry}
    {entry}()
print("ARGV" + json.dumps(sys.argv[1:]), flush=True)
"""
STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--private", "-i"],
}


class Terminal:
    """A shell that has read the completion; the programs that it finds print their arguments."""

    def __init__(self, shell: str, folder: Path, environment: dict[str, str]) -> None:
        self._process = PtyProcessUnicode.spawn(STARTS[shell], cwd=str(folder), env=environment, dimensions=(40, 200))
        self._seen = ""
        self.shell = shell

    def type(self, text: str) -> None:
        """Type a text."""
        self._process.write(text)

    def completed(self, line: str) -> list[str]:
        """Return the arguments of the program after a line was typed, with its tabs, and enter."""
        self.type(f"{line}\r")
        found: list[str] = json.loads(self.wait_for(r"ARGV(\[.*\])\r?\n"))
        return found

    def wait_for(self, pattern: str, timeout: float = 60) -> str:
        """Return what the first group of a pattern has matched; fails the test when it does not come."""
        deadline = time.monotonic() + timeout
        while (found := re.search(pattern, self._seen)) is None:
            assert time.monotonic() < deadline, f"{pattern!r} did not come: {self._seen!r}"
            if select.select([self._process.fd], [], [], 1.0)[0]:
                self._seen += self._process.read(65536)
        self._seen = self._seen[found.end() :]
        return found[1]

    def close(self) -> None:
        self._process.terminate(force=True)
        self._process.close(force=True)


def shells() -> list[str]:
    """Return the shells of this machine: bash is always there."""
    return [name for name in STARTS if name == "bash" or shutil.which(name)]


OpenShell = Callable[[str], Terminal]


@pytest.fixture
def open_shell(tmp_path: Path) -> Iterator[OpenShell]:
    """Return a function that opens a shell in the folder of the test."""
    opened: list[Terminal] = []
    programs = tmp_path / "home" / "bin"
    programs.mkdir(parents=True)
    for name, entry in {"pipeloom": "run_main", "pipeloom-tui": "tui_main"}.items():
        (programs / name).write_text(SHIM.format(python=sys.executable, entry=entry))
        (programs / name).chmod(0o755)

    def start(shell: str) -> Terminal:
        environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path / "home")}
        environment |= {
            "TERM": "dumb" if shell == "bash" else "xterm",
            "XDG_CONFIG_HOME": str(tmp_path / "home/.config"),
        }
        script = tmp_path / "home" / f"completion.{shell}"
        script.write_text(SCRIPTS[Shell(shell)], encoding="utf-8")
        opened.append(Terminal(shell, tmp_path, environment))
        opened[-1].type(f"source {script}; echo REA''DY\r")
        opened[-1].wait_for("(READY)")
        return opened[-1]

    yield start
    for one in opened:
        one.close()
