"""Values of secrets that are planted in every kind of text are found nowhere."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.secrets import planted

FILE = Path(__file__).with_name("planted.py")
TOKEN, VAULT, EARLY = "run-param/ünd+7f3b99c1d2", "vault-only-5e1c77aa03", "program-only-77d0e41b95"
KEY = [f"MIIEvQIBADANBgkqhkiG9w0B{number}e{number}Xq7" for number in range(3)]


ALL = """
import json, sys
from pipeloom.cli import run_main

codes = []
for words in map(json.loads, sys.argv[1:]):
    sys.argv[1:] = words
    try:
        run_main()
    except SystemExit as ended:
        codes.append((words[0], ended.code or 0))
assert {code for _, code in codes} <= {0, 1}, codes
"""
"""Runs each command line that it is given as JSON."""


class Scene:
    """A folder with a run of the planted pipeline, and all that the commands have written about it."""

    def __init__(self, folder: Path, executor: str) -> None:
        self.folder = folder / "scene"
        self.folder.mkdir()
        vault = folder / "vault"
        vault.write_text(VAULT, encoding="utf-8")
        self.cores = {way.__name__: f"c0re{number:02}x{number * 7919:06x}" for number, way in enumerate(planted.WAYS)}
        values = {
            f"PLANTED_{way.upper()}": f"""p&ss "{core}" /ü+'{way[:1]}{core[::-1]}""" for way, core in self.cores.items()
        }
        values |= {f"PLANTED_{way.upper()}": f"{self.cores[way]}-file" for way in ("input_file", "error_type")}
        given = folder / values["PLANTED_INPUT_FILE"]
        given.write_text("content", encoding="utf-8")
        self.environment = os.environ | values | {
            "KEY_FILE": "\n".join(["-----BEGIN PRIVATE KEY-----", *KEY, "=="]),
            "VAULT": str(vault),
            "EARLY": EARLY,
            "INPUT": str(given),
            "SCENE": str(self.folder),
            "PLANT": executor,
            "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip
        self.executor = executor

    def run(self, *arguments: str, code: int) -> None:
        self._call("-m", "pipeloom", *arguments, code=code)

    def tell_all(self, db: str, pipeline: str, params: list[str]) -> None:
        """Have each command that shows or writes something do so, in one process that knows no secret but the plan's."""
        exports = [["export", db, "-f", kind, "-o", f"export.{kind}"] for kind in ("csv", "jsonl", "md")]
        shown = [["show", db, "9"], ["show", db, "9", "--json"], ["export", db, "--case", "9"], ["status", db]]
        self._call(
            "-c", ALL, *map(json.dumps, [*exports, *shown, ["runs", db], ["plan", db, pipeline, *params]]), code=0
        )

    def _call(self, *arguments: str, code: int) -> None:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=170, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        for number, text in enumerate((done.stdout, done.stderr)):
            with (self.folder / f"told-{number}.txt").open("a", encoding="utf-8") as told:
                told.write(text)

    def traces(self) -> dict[str, list[str]]:
        """Return, by file, what of the values is in it."""
        needles = {core: [core] for core in self.cores.values()}
        needles |= {planted.LITERAL: [planted.LITERAL], "param": ["7f3b99c1d2"], "vault": [VAULT], "early": [EARLY]}
        needles |= {line: [line] for line in KEY}
        for core in self.cores.values():
            for before in range(3):
                begin, end = -(-before * 8 // 6), (before + len(core)) * 8 // 6
                needles[core].append(base64.b64encode(b"\0" * before + core.encode())[begin:end].decode())
        found: dict[str, list[str]] = {}
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name == "copy-etl.db-wal" for path in files)
        for path in files:
            content = path.read_bytes()
            here = [name for name, texts in needles.items() if any(text.encode() in content for text in texts)]
            if here:
                found[path.name] = here
        return found


@pytest.mark.parametrize("executor", ["thread", "process", "async", pytest.param("dask", marks=pytest.mark.slow)])
def test_planted_values_are_found_nowhere(tmp_path: Path, executor: str) -> None:
    scene = Scene(tmp_path, executor)
    db, pipeline = "etl.db", f"{FILE}:pipeline"
    options = ["--executor", executor, "-p", f"token={TOKEN}", "-p", f"url=https://{TOKEN}"]
    scene.run("run", db, pipeline, *options, *(["--json"] if executor == "process" else []), code=1)
    if executor == "thread":
        scene.tell_all(db, pipeline, options[2:])
    with closing(sqlite3.connect(scene.folder / db)) as connection:
        kept = dict(connection.execute("SELECT task_id, status FROM task_runs WHERE run_id=1 ORDER BY id"))
        results = dict(connection.execute("SELECT task_id, result FROM task_runs WHERE result IS NOT NULL"))
        stored = dict(connection.execute("SELECT task_id, params FROM task_runs WHERE params IS NOT NULL"))
        logs = connection.execute("SELECT text FROM task_logs").fetchall()
        (params,) = connection.execute("SELECT params FROM pipeline_runs WHERE id=1").fetchone()
    assert len(kept) == len(planted.WAYS) + 2  # the copy, and what was found
    assert {way for way, status in kept.items() if status != "done"} == {
        "error_text", "error_cause", "error_note", "error_source", "error_type", "state", "found", "found_secret",
        "handler_fails", "known_to_the_program_alone",
    }  # fmt: skip
    assert all(json.loads(text) is not None for text in (*results.values(), *stored.values(), params))
    assert any("•••" in text for (text,) in logs)
    assert json.loads(stored["params"])["token"] == "•••"
    assert scene.traces() == {}
