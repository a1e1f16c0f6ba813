"""Attempts as files: what is in them, and what becomes of the files."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import tracemalloc
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeloom.errors import StoreError, UsageError
from pipeloom.export.attempts import ExportPlan, export, whole_rows
from pipeloom.export.case_file import case_file, fenced
from pipeloom.export.formats import Format, text_of
from pipeloom.export.target_file import new_file
from pipeloom.filters import Filter, parse
from pipeloom.messages import TaskId
from pipeloom.status import Status
from pipeloom.store.maintenance.backup import back_up
from pipeloom.store.read.history import History
from pipeloom.store.read.paging import Sort
from pipeloom.store.rows import AttemptRow
from pipeloom.store.write.connect import close_writer, open_writer
from pipeloom.store.write.ledger import Ledger, LogLine

EVERYTHING = Filter()


def row(number: int, **changes: Any) -> AttemptRow:
    given: dict[str, Any] = {"status": Status.DONE, "name": f"task-{number}"}
    task: TaskId = changes.pop("task_id", number)
    return AttemptRow(number, 1, task, changes.pop("attempt", 1), **(given | changes))


class MakeDb(Protocol):
    """Makes a file of the given attempts."""

    def __call__(self, *rows: AttemptRow, logs: Sequence[LogLine] = ()) -> Path: ...


@pytest.fixture
def db(tmp_path: Path) -> MakeDb:
    def make(*rows: AttemptRow, logs: Sequence[LogLine] = ()) -> Path:
        path = tmp_path / "etl.db"
        connection = open_writer(path, durability="normal")
        ledger = Ledger(connection)
        ledger.begin()
        ledger.insert_attempts(rows)
        ledger.insert_logs(logs)
        ledger.commit()
        close_writer(connection)
        return path

    return make


def written(path: Path, format_: Format, where: Filter = EVERYTHING, **options: Any) -> str:
    target = path.with_name("out")
    target.unlink(missing_ok=True)
    export(path, where, ExportPlan(format_, target, **options))
    return target.read_bytes().decode()


def test_a_csv_reads_back_as_what_is_in_the_file(db: MakeDb) -> None:
    awkward = 'a "quoted", text\r\nof\rlines; ü'
    path = db(row(1), row(2, message=awkward, error=awkward, result='{"a": 1}', status=Status.ERROR, duration_s=1.5))
    found = list(csv.DictReader(written(path, Format.CSV).splitlines(keepends=True)))
    assert [entry["id"] for entry in found] == ["2", "1"]
    wanted = {"message": awkward, "error": awkward, "result": '{"a": 1}', "status": "error", "duration_s": "1.5"}
    assert wanted.items() <= found[0].items()
    assert tuple(found[0]) == AttemptRow._fields


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_looks_like_a_formula_is_none_unless_asked_for(db: MakeDb, text: str) -> None:
    path = db(row(1, name=text, message="2-1=1"))
    for guard, wanted in ((True, "'" + text), (False, text)):
        found = next(csv.DictReader(written(path, Format.CSV, guard=guard).splitlines(keepends=True)))
        assert (found["name"], found["message"]) == (wanted, "2-1=1")


UNSEEN = " \t\r\n\v\f\0\x1f\x85\xa0\xad\u034f\u061c\u115f\u180e\u2003\u200b\u200c\u200d\u200e\u200f\u2028\u2060\u2800\u3000\u3164\ufe0f\ufeff\U000e0041"
SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"


def cell(value: object, **options: bool) -> str:
    """Return what a spreadsheet reads of a name."""
    text = "".join(text_of([row(1, name=value)], Format.CSV, **options))
    return next(csv.DictReader(io.StringIO(text, newline="")))["name"]


@given(st.text(UNSEEN, max_size=6), st.sampled_from(SIGNS), st.text(max_size=6))
def test_whatever_is_not_seen_before_a_formula_it_is_none(unseen: str, sign: str, rest: str) -> None:
    assert cell(unseen + sign + rest) == f"'{unseen}{sign}{rest}"
    assert cell(unseen + sign + rest, guard=False) == unseen + sign + rest
    assert cell(unseen + sign + rest, cleaned=True).startswith("'")


@given(st.text(UNSEEN, max_size=6), st.sampled_from("\t\r\n"), st.text(max_size=6))
def test_a_line_or_a_cell_that_ends_at_once_begins_no_other(unseen: str, end: str, rest: str) -> None:
    assert cell(unseen + end + rest) == f"'{unseen}{end}{rest}"


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6), st.text(max_size=6))
def test_a_text_that_is_no_formula_stays_as_it_is(word: str, rest: str) -> None:
    assume(not set(word) & set(UNSEEN))
    for text in (word + rest, "  " + word + rest, "", "  ", "é=1", "“=1”"):
        assert cell(text) == text


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_stays_a_number(number: float) -> None:
    assert cell(number) == str(number)


def test_json_lines_hold_result_and_params_as_what_they_are(db: MakeDb) -> None:
    path = db(row(1, result='{"rows": [1, null]}', params="nonsense", error="é\n\x1b[31m"), row(2, result="NaN"))
    second, first = (json.loads(line) for line in written(path, Format.JSONL).splitlines())
    assert (first["result"], first["params"], first["error"]) == ({"rows": [1, None]}, "nonsense", "é\n\x1b[31m")
    assert second["result"] == "NaN"


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5_000, "1e999", '{"a": -Infinity}', ""])
def test_what_is_no_json_stays_text(db: MakeDb, text: str) -> None:
    assert json.loads(written(db(row(1, result=text)), Format.JSONL))["result"] == text


def test_markdown_shows_what_is_in_the_file_and_is_never_markup(db: MakeDb) -> None:
    path = db(
        row(1, name="a|b<script>*x*", message="one\ntwo `three` [a](b)\x1b", status=Status.ERROR, error="Traceback")
    )
    head, rule, line = written(path, Format.MARKDOWN).splitlines()
    assert head.count("|") == rule.count("|") == line.replace("\\|", "").count("|") == 13
    assert "a\\|b&lt;script&gt;\\*x\\*" in line
    assert "one<br>two \\`three\\` \\[a\\](b)␛" in line


def test_what_goes_to_a_terminal_holds_no_control_characters() -> None:
    entry = row(1, message="\x1b[31mred\x9b", name="\x07", result='"\\u009b"', error="a\nb")
    for format_ in Format:
        text = "".join(text_of([entry], format_, cleaned=True))
        assert not {"\x1b", "\x9b", "\x07"} & set(text)


def test_filter_and_order_are_those_that_are_asked_for(db: MakeDb) -> None:
    path = db(*(row(number, duration_s=float(number % 5)) for number in range(1, 20)))
    target = path.with_name("out.csv")
    assert export(path, parse("dur:>=3"), ExportPlan(Format.CSV, target), sort=Sort("duration_s")) == 8
    took = [float(entry["duration_s"]) for entry in csv.DictReader(target.read_text().splitlines())]
    assert took == [4.0] * 4 + [3.0] * 4


def test_paging_ends_when_long_names_begin_alike(db: MakeDb) -> None:
    path = db(*(row(number, name="x" * 600 + str(number)) for number in range(1, 1_200)))
    with History(path) as history:
        for descending in (False, True):
            found = [entry.id for entry in whole_rows(history, EVERYTHING, Sort("name", descending), limit=2_000)]
            assert (len(found), len(set(found))) == (1_199, 1_199)


def test_long_texts_are_whole(db: MakeDb) -> None:
    path = db(row(1, result=json.dumps("x" * 900_000)))
    assert len(json.loads(written(path, Format.JSONL))["result"]) == 900_000


def test_memory_does_not_grow_with_the_rows(db: MakeDb) -> None:
    path = db(*(row(number, error="e" * 20_000) for number in range(1, 2_000)))
    tracemalloc.start()
    try:
        written_rows = export(path, EVERYTHING, ExportPlan(Format.CSV, path.with_name("out")))
        assert (written_rows, tracemalloc.get_traced_memory()[1] < 8_000_000) == (1_999, True)
    finally:
        tracemalloc.stop()


def test_a_file_is_for_its_owner_alone_and_comes_whole_or_not_at_all(db: MakeDb) -> None:
    path = db(*(row(number) for number in range(1, 100)))
    target = path.with_name("out.csv")
    before = os.umask(0)
    try:
        export(path, EVERYTHING, ExportPlan(Format.CSV, target))
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o600
    target.unlink()
    asked = itertools.count()
    with pytest.raises(InterruptedError):
        export(path, EVERYTHING, ExportPlan(Format.CSV, target), should_stop=lambda: next(asked) > 50)
    assert [entry.name for entry in path.parent.iterdir() if not entry.name.startswith("etl.db")] == []


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(db: MakeDb) -> None:
    path = db(row(1))
    target = path.with_name("out.csv")
    target.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        export(path, EVERYTHING, ExportPlan(Format.CSV, target))
    assert target.read_text() == "mine"
    export(path, EVERYTHING, ExportPlan(Format.CSV, target, overwrite=True))
    assert target.read_text().startswith("id,run_id")


def test_a_file_that_somebody_makes_meanwhile_stays(db: MakeDb) -> None:
    path = db(row(1))
    target = path.with_name("out.csv")
    with pytest.raises(UsageError, match="is there already"), new_file(target, path, overwrite=False):
        target.write_text("mine")
    assert target.read_text() == "mine"
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("name", ["etl.db", "etl.db-wal", "etl.db-shm", "etl.db.lock", "./etl.db", "link.db"])
def test_the_database_itself_is_never_replaced(db: MakeDb, name: str) -> None:
    path = db(row(1))
    path.with_name("link.db").symlink_to(path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match=r"belongs to the database|not an ordinary file"):
        export(path, EVERYTHING, ExportPlan(Format.CSV, path.parent / name, overwrite=True))
    assert path.read_bytes() == before


FILES = ["etl.db", "etl.db-wal", "etl.db-shm", "etl.db-journal", "etl.db.lock"]


def test_a_file_in_which_messages_wait_is_never_written_to(db: MakeDb) -> None:
    path = db(row(1))
    target = path.with_name("etl.db.held-17")
    with pytest.raises(UsageError, match="belongs to the database"):
        export(path, EVERYTHING, ExportPlan(Format.CSV, target, overwrite=True))
    with pytest.raises(UsageError, match="belongs to the database"):
        back_up(path, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *product([*FILES, "etl.db.control", "etl.db.control/x"], ["there", "not there", "folder is a link", "above"]),
        *product(FILES, ["hard link"]),
    ],
)
def test_what_belongs_to_the_database_is_never_written_to(db: MakeDb, name: str, way: str, tmp_path: Path) -> None:
    path = db(row(1))
    target = path.parent / name
    if name.startswith("etl.db.control"):
        path.with_name("etl.db.control").mkdir()
    elif way in ("there", "hard link"):
        target.write_bytes(target.read_bytes() if target.exists() else b"held")
    if way == "hard link":
        path.with_name("apart").hardlink_to(target)
        target = path.with_name("apart")
    elif way == "folder is a link":
        (tmp_path / "elsewhere").symlink_to(path.parent)
        target = tmp_path / "elsewhere" / name
    elif way == "above":
        target = path.parent / "." / ".." / path.parent.name / name
    before = sorted((found, found.is_file() and found.read_bytes()) for found in path.parent.rglob("*"))
    with pytest.raises(UsageError, match="belongs to the database"):
        export(path, EVERYTHING, ExportPlan(Format.CSV, target, overwrite=True))
    with pytest.raises(UsageError, match="belongs to the database"):
        back_up(path, target)
    assert sorted((found, found.is_file() and found.read_bytes()) for found in path.parent.rglob("*")) == before


def test_targets_that_are_no_files_are_refused_in_one_sentence(db: MakeDb) -> None:
    path = db(row(1))
    cases = [
        (path.parent, "not an ordinary file"),
        (Path("/dev/full"), "not an ordinary file"),
        (path.parent / "no" / "x", "no folder"),
    ]
    for target, words in cases:
        with pytest.raises((UsageError, StoreError), match=words):
            export(path, EVERYTHING, ExportPlan(Format.CSV, target, overwrite=True))


def test_a_case_file_tells_all_there_is(db: MakeDb) -> None:
    path = db(
        row(1, task_id="t", status=Status.ERROR, message="first"),
        row(
            2,
            task_id="t",
            attempt=2,
            status=Status.ERROR,
            error_type="KeyError",
            error="Traceback\nKeyError: 'x'",
            params='{"a": 1}',
        ),
        logs=[(2, 1, "2026-08-01T12:00:00.000000+00:00", "INFO", "reading")],
    )
    with History(path) as history:
        text = "".join(case_file(history, 2))
    for part in (
        "# task-2: error",
        "| 1 | 1 | error |",
        "KeyError: 'x'",
        '{"a": 1}',
        "INFO     reading",
        "| SQLite |",
        "| Python |",
    ):
        assert part in text, part


def test_nothing_in_an_attempt_can_end_a_block_of_its_case_file() -> None:
    for text in ("```\n# free", "`````\n", "~~~", "\x1b[31m"):
        block = fenced(text).splitlines()
        fence = block[0].removesuffix("text")
        assert set(fence) == {"`"}
        assert block[-1] == fence
        assert not any(line.startswith(fence) for line in block[1:-1])
        assert "\x1b" not in "".join(block)


def test_a_case_file_of_nothing_is_refused(db: MakeDb) -> None:
    with History(db(row(1))) as history, pytest.raises(UsageError, match="no attempt 7"):
        "".join(case_file(history, 7))
