"""Bars, lines, summary and logging, with text that is not ours."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeloom.console.lines import LineReporter, PlainLines, json_lines
from pipeloom.console.logging import setup_logging
from pipeloom.console.progress import ProgressReporter
from pipeloom.console.summary import summary_lines
from pipeloom.engine.run.summary import FailedTask, RunSummary
from pipeloom.engine.writer.sink import CommitBatch
from pipeloom.status import Status
from pipeloom.store.rows import AttemptRow

NAMES = ["[/]", "[red]x[/red]", "\x1b[31mred", "a\nb", ":smile:"]


def row(number: int, name: str, status: Status, **changes: Any) -> AttemptRow:
    return AttemptRow(number, 1, number, 1, name, status, message=name, **changes)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_messages_are_shown_as_they_are(name: str) -> None:
    stream = io.StringIO()
    console = Console(
        file=stream, width=200, height=40, force_terminal=True, markup=False, emoji=False, highlight=False
    )
    with ProgressReporter(console, name) as bars:
        bars.committed(CommitBatch(1, (row(1, name, Status.RUNNING, progress=0.5), row(2, name, Status.QUEUED))))
        bars._progress.refresh()
    plain = "".join(PlainLines()(CommitBatch(1, (row(1, name, Status.ERROR),))))
    summary = RunSummary(1, name, Path("x.db"), {Status.ERROR: 1}, (FailedTask(1, name, name),), 1.0)
    told = "\n".join(line.plain for line in summary_lines(summary))
    for text in (plain, told):
        assert "\x1b" not in text
        assert name.replace("\x1b", "␛").replace("\n", "␊") in text
    assert name.replace("\x1b", "␛").replace("\n", "␊") in stream.getvalue()
    assert json.loads(next(json_lines(CommitBatch(1, (row(1, name, Status.DONE),)))))["name"] == name


def test_running_tasks_have_bars_as_far_as_there_is_room() -> None:
    console = Console(file=io.StringIO(), width=80, height=9, force_terminal=True)
    with ProgressReporter(console, "p") as bars:
        bars.committed(CommitBatch(1, tuple(row(n, f"t{n}", Status.RUNNING) for n in range(10))))
        assert len(bars._bars) == 3
        bars.committed(CommitBatch(2, (row(0, "t0", Status.DONE), row(1, "t1", Status.ERROR))))
        assert sorted(bars._bars) == [2, 3, 4]
        assert bars._progress.tasks[0].completed == 2


def test_many_failures_are_counted_after_ten() -> None:
    failed = tuple(FailedTask(n, f"t{n}", "E") for n in range(25))
    told = [
        line.plain
        for line in summary_lines(RunSummary(1, "p", Path("x.db"), {Status.ERROR: 25}, failed, 61.0, unsaved=3))
    ]
    assert "25 error in 1 min 01 s" in told[0]
    assert "  … and 15 more" in told
    assert "  3 changes could not be saved" in told


def test_one_of_a_kind_is_told_in_the_singular() -> None:
    summary = RunSummary(1, "p", Path("x.db"), {Status.DONE: 1}, (), -0.0, unsaved=1, late=1)
    told = [line.plain for line in summary_lines(summary)]
    assert told[0] == "p  run 1: 1 done in 0.0 s"
    assert "  1 change could not be saved" in told
    assert "  1 message came after the end of its task and was ignored" in told


def test_a_count_is_told_now_and_then() -> None:
    now = [0.0]
    lines = PlainLines(clock=lambda: now[0])
    assert list(lines(CommitBatch(1, (row(1, "a", Status.RUNNING),)))) == []
    now[0] = 31.0
    assert list(lines(CommitBatch(2, ()))) == ["… 0 of 1 task: 1 running"]


def test_the_last_line_comes_last() -> None:
    stream = io.StringIO()
    with LineReporter(stream, json_lines, last=lambda: ["the end"]) as lines:
        for number in range(100):
            lines.committed(CommitBatch(number, (row(number, "a", Status.DONE),)))
    assert stream.getvalue().splitlines()[-1] == "the end"
    assert len(stream.getvalue().splitlines()) == 101


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    for handler in [handler for handler in logger.handlers if handler not in handlers]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(level)


def test_logging_is_set_up_once_and_kept_private(root: logging.Logger, tmp_path: Path) -> None:
    setup_logging(2, tmp_path / "etl.log")
    once = len(root.handlers)
    setup_logging(2, tmp_path / "etl.log")
    assert len(root.handlers) == once
    assert root.level == logging.DEBUG
    logging.getLogger("x").warning("[red]a\x1b[31m")
    assert "[red]a␛[31m" in (tmp_path / "etl.log").read_text()
    assert (tmp_path / "etl.log").stat().st_mode & 0o777 == 0o600
    setup_logging(0, None)
    assert (root.level, len(root.handlers)) == (logging.WARNING, once - 1)
