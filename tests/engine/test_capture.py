"""What workers log, warn and print."""

from __future__ import annotations

import contextlib
import io
import logging
import logging.config
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.conftest import Bench, Gate

from pipeloom.engine.capture import AttemptLog, capture
from pipeloom.engine.writer.log_retention import HEAD, TAIL, log_changes
from pipeloom.loader import import_file
from pipeloom.messages import MsgTaskFinished, MsgTaskLog, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel

jobs: Any = import_file(str(Path(__file__).with_name("jobs.py")))


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("executor", ["thread", "process"])
def test_what_a_worker_says_is_in_the_log_of_its_attempt(bench: Bench, executor: str) -> None:
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.INFO)
    try:
        bench.run(jobs.talk, 3, pipeline=Pipeline("talk", [], print, executor=executor), workers=3)
    finally:
        root.setLevel(level)
    for task_id in (1, 2, 3):
        lines = bench.rows(
            "SELECT level, text FROM task_logs JOIN task_runs r ON r.id=task_run_id WHERE r.task_id=? ORDER BY seq",
            task_id,
        )
        assert [level for level, _ in lines] == ["INFO", "ERROR", "WARNING", "STDOUT", "STDERR"]
        texts = [text for _, text in lines]
        assert texts[0] == "loaded 31 rows"
        assert texts[1].startswith("row 14\nTraceback")
        assert texts[1].endswith("ValueError: odd row")
        assert texts[2].startswith(f"UserWarning: task {task_id} is old (")
        assert texts[3:] == [f"printed {task_id}", "half a line"]


def test_a_question_is_seen_before_its_answer_is_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()

    class Terminal(io.StringIO):
        def readline(self, *_: object) -> str:  # type: ignore[override]
            seen.append(shown.getvalue())
            return super().readline()

    seen: list[str] = []
    monkeypatch.setattr(sys, "stdin", Terminal("Ada\nred\nblue\n"))
    monkeypatch.setattr(sys, "stdout", shown)
    before = sys.stdin

    def worker(task: TaskDef, q: Channel) -> None:
        print("hello,", input("name? "))
        print("colours?", end=" ")
        print(*sys.stdin, end="")

    bench.run(worker)
    assert seen[:2] == ["name? \n", "name? \nhello, Ada\ncolours? \n"]
    assert bench.rows("SELECT text FROM task_logs ORDER BY seq") == [
        ("name? hello, Ada",),
        ("colours? red",),
        (" blue",),
    ]
    assert sys.stdin is before


def test_a_handler_that_prints_does_not_double_the_record(bench: Bench) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger("loud").addHandler(handler)
        logging.getLogger("loud").warning("once")
        logging.getLogger("loud").removeHandler(handler)

    bench.run(worker)
    assert bench.rows("SELECT level, text FROM task_logs") == [("WARNING", "once")]


def test_what_others_say_stays_theirs_and_everything_is_put_back(bench: Bench, gate: Gate) -> None:
    import warnings

    before = (sys.stdout, sys.stderr, warnings.showwarning, list(logging.getLogger().handlers))
    engine = bench.engine(lambda task, q: gate.pass_through())
    engine.start()
    gate.await_arrival()
    print("not the worker's")
    logging.getLogger("other").warning("not the worker's")
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert bench.rows("SELECT count(*) FROM task_logs") == [(0,)]
    assert before == (sys.stdout, sys.stderr, warnings.showwarning, list(logging.getLogger().handlers))


def test_what_is_printed_still_reaches_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    capture.start()
    try:
        print("seen")
    finally:
        capture.stop()
    assert (sys.stdout, stream.getvalue()) == (stream, "seen\n")


def test_what_tasks_print_at_the_same_time_stays_whole_lines(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    both, printed = threading.Barrier(2), threading.Barrier(2)

    def worker(task: TaskDef, q: Channel) -> None:
        both.wait(20)
        for part in ("a", "b", "c\n", "", "d" * int(task.task_id)):
            print(part, end="", flush=True)
            printed.wait(20)

    bench.run(worker, 2, workers=2)
    assert sorted(stream.getvalue().splitlines()) == ["abc", "abc", "d", "dd"]


def test_a_line_without_an_end_is_passed_on_when_it_is_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    seen = []

    def worker(task: TaskDef, q: Channel) -> None:
        for _ in range(3):
            print("x" * 40_000, end="")
            seen.append(len(stream.getvalue()))

    bench.run(worker, 1)
    assert seen == [0, 80_000, 80_000]
    assert stream.getvalue() == "x" * 120_000 + "\n"


def test_lines_after_the_workers_own_verdict_are_kept_and_a_print_never_cancels(bench: Bench, gate: Gate) -> None:
    def worker(task: TaskDef, q: Channel) -> None:
        q.put(MsgTaskFinished(task.task_id, "done", "2026-08-01T12:00:00Z"))
        gate.pass_through()
        print("after cancel was asked for")

    engine = bench.engine(worker)
    engine.start()
    gate.await_arrival()
    engine.cancel()
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert bench.rows("SELECT status FROM task_runs") == [("done",)]
    assert bench.rows("SELECT text FROM task_logs") == [("after cancel was asked for",)]
    assert engine.summary().late == 0


def test_a_long_log_keeps_its_head_and_its_tail_and_the_gap_counts_the_rest(bench: Bench) -> None:
    total = 5_000

    def worker(task: TaskDef, q: Channel) -> None:
        for number in range(1, total + 1):
            q.put(MsgTaskLog(task.task_id, f"line {number}"))

    bench.run(worker)
    rows = bench.rows("SELECT seq, text FROM task_logs ORDER BY seq")
    wanted = [*range(1, HEAD + 1), *range(total - TAIL + 1, total + 1)]
    assert rows == [(number, f"line {number}") for number in wanted]


def test_batches_of_any_size_leave_the_same_lines() -> None:
    def kept(sizes: list[int]) -> list[int]:
        lines: set[int] = set()
        counts: dict[int, int] = {}
        number = 0
        for size in sizes:
            batch = [(7, "", "", str(number + step)) for step in range(size)]
            number += size
            changes = log_changes(batch, counts)
            lines |= {line[1] for line in changes.inserts}
            for _, first, last in changes.drops:
                lines -= set(range(first, last + 1))
            counts.update(changes.counts)
        return sorted(lines)

    whole = kept([3_000])
    assert len(whole) == HEAD + TAIL
    assert kept([1] * 3_000) == kept([HEAD, TAIL, 1, 1_999]) == kept([150, 100, 2_750]) == kept([2_999, 1]) == whole


def collected() -> tuple[AttemptLog, list[str]]:
    lines: list[str] = []
    return AttemptLog(lambda _level, text, _at: lines.append(text)), lines


def test_a_huge_print_keeps_its_head_and_its_tail_and_says_what_was_cut() -> None:
    log, lines = collected()
    log.printed("STDOUT", "a" * 64_000 + "b" * 20_000_000 + "c" * 64_000)
    log.close()
    assert "".join(line for line in lines if "left out" not in line).replace("b", "") == "a" * 64_000 + "c" * 64_000
    assert [line for line in lines if "left out" in line] == ["… 19,996,000 characters left out …"]
    assert len(lines) < 40


@given(st.lists(st.integers(0, 9_000), max_size=6))
def test_text_without_a_line_end_is_kept_whole_up_to_a_bound(sizes: list[int]) -> None:
    log, lines = collected()
    for size in sizes:
        log.printed("STDOUT", "x" * size)
    log.close()
    assert "".join(lines) == "x" * sum(sizes)
    assert all(len(line) <= 4_000 for line in lines)


class Broken(io.StringIO):
    """A stream that nobody reads any more, that is closed, or that has other characters."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


BROKEN = [
    BrokenPipeError(32, "Broken pipe"),
    ValueError("I/O operation on closed file"),
    UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"),
    OSError(28, "No space left on device"),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_stream_that_cannot_take_the_text_fails_no_task(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("sys.stdout", Broken(error))

    def work(_task: TaskDef, _q: Channel) -> None:
        print("é is in the log", flush=True)

    bench.run(work, 2)
    assert bench.rows("SELECT status FROM task_runs") == [("done",)] * 2
    assert bench.rows("SELECT text FROM task_logs") == [("é is in the log",)] * 2


def test_a_task_closes_no_stream_for_the_others(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    def work(task: TaskDef, _q: Channel) -> None:
        sys.stdout.close()
        sys.stderr.close()
        print(f"said {task.task_id}")

    bench.run(work, 2)
    assert sorted(capsys.readouterr().out.split("\n")) == ["", "said 1", "said 2"]


def disable_existing() -> None:
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": True, "root": {"handlers": []}})


@pytest.mark.parametrize(
    "harm",
    [
        lambda: logging.basicConfig(force=True),
        disable_existing,
        logging.getLogger().handlers.clear,
        logging.shutdown,
        lambda: logging.disable(logging.CRITICAL),
    ],
    ids=["basicConfig", "dictConfig", "clear", "shutdown", "disable"],
)
def test_a_task_that_sets_logging_up_ends_the_logs_of_no_other(bench: Bench, harm: Callable[[], object]) -> None:
    logger = logging.getLogger("etl.before")

    def work(task: TaskDef, _q: Channel) -> None:
        if task.task_id == 1:
            harm()
        else:
            logger.warning("kept")

    before = logging.getLogger().handlers[:]
    try:
        bench.run(work, 2, workers=1)
    finally:
        logging.getLogger().handlers[:] = before
    assert bench.rows("SELECT text FROM task_logs") == [("kept",)]


@pytest.mark.parametrize("other", [None, io.StringIO(), sys.__stdout__], ids=["none", "another", "the original"])
def test_a_task_that_replaces_the_streams_ends_the_logs_of_no_other(bench: Bench, other: Any) -> None:
    def work(task: TaskDef, _q: Channel) -> None:
        if task.task_id == 1:
            sys.stdout = sys.stderr = other
        else:
            print("kept")

    before = sys.stdout, sys.stderr
    try:
        bench.run(work, 2, workers=1)
        assert bench.rows("SELECT text FROM task_logs") == [("kept",)]
        assert (sys.stdout, sys.stderr) == before
    finally:
        sys.stdout, sys.stderr = before


def test_an_attempt_left_behind_does_not_keep_the_streams_of_the_next_run(bench: Bench) -> None:
    capture.start()
    with capture.attempt():
        capture.stop()
        test_a_task_that_replaces_the_streams_ends_the_logs_of_no_other(bench, io.StringIO())


def test_a_task_may_redirect_what_it_prints_while_others_end(bench: Bench, gate: Gate) -> None:
    own = io.StringIO()

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id != 1:
            return
        with contextlib.redirect_stdout(own):
            print("one")
            gate.pass_through()
            print("two")
        print("three")

    engine = bench.engine(work, 4, workers=2)
    engine.start()
    gate.await_arrival()
    for task_id in (2, 3, 4):
        bench.recorder.wait_for_status("done", task_id)
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert own.getvalue() == "one\ntwo\n"
    assert bench.rows("SELECT text FROM task_logs") == [("three",)]
