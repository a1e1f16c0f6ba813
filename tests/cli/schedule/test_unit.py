"""`pipeloom unit`: what systemd and cron are given."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Run, command

from pipeloom.cli.schedule.calendar import as_cron, on_calendar
from pipeloom.cli.schedule.quoting import crontab_command, systemd_command
from pipeloom.errors import UsageError

ODD = "a b 100% $HOME 'q' \"d\" ; é"
"""The name of a folder that every kind of quoting has something to do with."""


def unit(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        command("pipeloom", "unit", *arguments, "--json"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    given: dict[str, Any] = json.loads(done.stdout)
    return given


@pytest.fixture
def odd(folder: Path) -> Path:
    made = folder / ODD
    made.mkdir()
    shutil.copy(folder / "good.py", made)
    return made


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("0 2 * * *", ["*-*-* 02:00:00"]),
        ("*/20 9-11 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 09,10,11:00,20,40:00"]),
        ("5 * 1,15 jan *", ["*-01-01,15 *:05:00"]),
        ("0 0 1 * sun", ["*-*-01 00:00:00", "Sun *-*-* 00:00:00"]),
        ("0 0 * * 0,7", ["Sun *-*-* 00:00:00"]),
        ("* * * jul 0-7", ["*-07-* *:*:00"]),
    ],
)
def test_a_cron_expression_in_the_words_of_systemd(expression: str, values: list[str]) -> None:
    assert on_calendar(expression) == values
    if analyze := shutil.which("systemd-analyze"):
        for value in values:
            subprocess.run([analyze, "calendar", value], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("expression", ["0 0 L * *", "0 0 * * 5L", "0 0 * * 5#2"])
def test_what_cron_does_not_know_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="Neither cron nor systemd knows"):
        on_calendar(expression)


@pytest.mark.parametrize(
    ("period_s", "expression"),
    [
        (60, "* * * * *"), (900, "*/15 * * * *"), (3600, "0 * * * *"), (7200, "0 */2 * * *"), (86_400, "0 0 * * *"),
        (604_800, "0 0 * * 0"), (30, None), (90, None), (45 * 60, None), (5400, None), (5 * 3600, None), (172_800, None),
    ],
)  # fmt: skip
def test_a_period_as_a_cron_expression(period_s: float, expression: str | None) -> None:
    assert as_cron(period_s) == expression


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("plain", "plain"), ("a b", '"a b"'), ("100%", "100%%"), ("$HOME", "$$HOME"), ("", '""'), ("it's", '"it\'s"'),
        ('say "x"', '"say \\"x\\""'), ("back\\slash", '"back\\\\slash"'), ("a;b", '"a;b"'), ("é", "é"),
    ],
)  # fmt: skip
def test_words_of_a_unit(word: str, quoted: str) -> None:
    assert systemd_command(["/bin/x", word]) == f"/bin/x {quoted}"


def test_a_crontab_line_is_what_the_shell_gets_back(tmp_path: Path) -> None:
    (tmp_path / ODD).mkdir()
    words = [sys.executable, "-c", "import os, sys; print(os.getcwd(), sys.argv[1])", ODD]
    line = crontab_command(words, str(tmp_path / ODD))
    assert line.count("%") == line.count("\\%") > 0
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("\\%", "%")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == f"{tmp_path / ODD} {ODD}\n"


def test_a_line_end_in_a_path_is_refused() -> None:
    with pytest.raises(UsageError, match="have a line for each setting"):
        systemd_command(["/bin/x", "a\nb"])
    with pytest.raises(UsageError, match="have a line for each setting"):
        crontab_command(["x"], "a\nb")


@pytest.mark.parametrize("when", [["--at", "*/20 2 1 * 1-5"], ["--every", "15m"], ["--watch", "."], []], ids=str)
def test_systemd_takes_the_units(odd: Path, when: list[str], tmp_path: Path) -> None:
    given = unit(odd, "etl 1.db", "good.py:pipeline", *when, "-p", "day=50%", "--no-resume", "-w", "3")
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    for name, text in given["units"].items():
        (tmp_path / name).write_text(text.replace(os.path.realpath(odd), str(odd)), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", "--man=no", *given["units"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "pipeloom" not in done.stderr, done.stderr
    assert [Path(name).suffix for name in given["units"]] == [
        ".service",
        *[".timer"] * bool(when and when[0] != "--watch"),
    ]


def test_the_crontab_line_runs_the_pipeline_with_its_options(odd: Path) -> None:
    given = unit(odd, "etl 1.db", "good.py:failing", "--every", "15m", "--only", "name:fine")
    start, _, line = given["crontab"].partition(" * * * * ")
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("\\%", "%")], cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert (start, done.returncode) == ("*/15", 0), done.stderr
    assert "1 done" in done.stderr
    assert (odd / "etl 1.db").exists()
    assert shlex.split(line)[-2:] == ["--only", "name:fine"]


@pytest.mark.parametrize(
    "wrong", [["--at", "x"], ["--at", "0 0 * * 5L"], ["--every", "1m", "--watch", "."], []], ids=str
)
def test_what_cannot_be_is_a_sentence(run: Run, wrong: list[str]) -> None:
    done = run("pipeloom", "unit", "etl.db", "good.py" if wrong else "gone.py", *wrong)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (".", ". is a folder: name the Python file in it"),
        ("none.py", "There is no file none.py"),
        ("data.csv", "data.csv is not a Python file"),
        ("none.py:pipeline", "There is no file none.py"),
    ],
)
def test_a_unit_is_made_for_a_file_that_can_hold_a_pipeline(run: Run, folder: Path, spec: str, told: str) -> None:
    (folder / "data.csv").touch()
    done = run("pipeloom", "unit", "etl.db", spec, "--every", "15m")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr


def test_the_text_says_where_each_part_goes(run: Run) -> None:
    told = run("pipeloom", "unit", "etl.db", "good.py", "--every", "45m").stdout
    assert "# ~/.config/systemd/user/pipeloom-good-etl.timer\n[Unit]" in told
    assert told.endswith("# cron has no expression for every 45m\n")
