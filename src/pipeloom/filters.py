"""The one filter grammar: for live rows (a predicate), for the history (parameterised SQL) and for the command line.

A filter is a list of terms, all of which must hold; `-` before a term turns it round::

    orders "two words"          in the name or the message, whatever the case of ASCII letters
    status:error,cancelled      one of these          run:12,14   task:17   attempt:>1
    dur:>5m  dur:10s..1m        how long it ran       age:<2h     since its start, or since it was queued
    started:2026-08-01..        a UTC day, an instant, a range of them, `today` or `yesterday`
    err:KeyError                in the error's type or text            worker:worker-2
    fail:1a2b3c4d5e6f           one group of the failures       name:"whole name"  ("" in it for a quote)

SQL and predicate give the same answer for the same row; what a row does not have (no duration yet) fulfils no
condition, so a turned-round term keeps it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pipeloom.errors import UsageError
from pipeloom.status import Status
from pipeloom.times import stamp

if TYPE_CHECKING:
    from pipeloom.store.rows import AttemptRow

MAX_LENGTH: Final = 200
TOO_LONG: Final = f"A filter has at most {MAX_LENGTH} characters."

Test = Callable[["AttemptRow"], bool]


class FilterError(UsageError):
    """A filter that cannot be understood; `column` (from 0) is where the trouble starts."""

    def __init__(self, column: int, sentence: str) -> None:
        super().__init__(sentence)
        self.column = column


@dataclass(frozen=True, slots=True)
class Term:
    """One condition, as SQL and as a predicate."""

    text: str
    sql: str
    params: tuple[Any, ...]
    test: Test
    negated: bool = False
    field: str = ""
    """The field that it is about; "" for words."""

    def holds(self, row: AttemptRow) -> bool:
        """Tell whether the row fulfils the term."""
        return self.test(row) is not self.negated


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. Empty ones let everything pass and are false."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(term.text for term in self.terms)

    def sql(self) -> tuple[str, list[Any]]:
        """Return a WHERE condition over `task_runs` and the values for its question marks."""
        # NULL fails a WHERE by itself; around a plain term, coalesce would only hide the indexes.
        conditions = [f"NOT coalesce({term.sql}, 0)" if term.negated else term.sql for term in self.terms]
        return " AND ".join(conditions) or "1", [value for term in self.terms for value in term.params]

    def matches(self, row: AttemptRow) -> bool:
        """Tell whether the row passes."""
        return all(term.holds(row) for term in self.terms)

    def statuses(self) -> list[Status] | None:
        """Return the statuses that pass; None unless there is a filter, and by status alone."""
        if not self.terms or any(term.field != "status" for term in self.terms):
            return None
        return [status for status in Status if all((status in term.params) is not term.negated for term in self.terms)]


def parse(text: str, *, now: datetime | None = None) -> Filter:
    """Return the filter that `text` describes; `now` (default: the clock) is what ages and days are counted from."""
    if len(text) > MAX_LENGTH:
        raise FilterError(MAX_LENGTH, TOO_LONG)
    if (bad := re.search("[\ud800-\udfff\0]", text)) is not None:
        raise FilterError(bad.start(), "A filter cannot hold this character.")
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return Filter(tuple(_term(column, word, moment) for column, word in words(text)))


def attempts_filter(ids: Iterable[int]) -> Filter:
    """Return the filter that lets just these attempts pass."""
    wanted = frozenset(ids)
    # The numbers are in the text: there may be more of them than a statement takes values.
    sql = f"(id IN ({', '.join(map(str, wanted))}))"
    return Filter((Term(f"{len(wanted)} marked", sql, (), lambda row: row.id in wanted),))


def marked_filter(field: str, values: Iterable[int | str]) -> Filter:
    """Return the filter that lets the attempts of these runs, names or failures pass, however many there are.

    `field` is `run`, `name` or `fail`.
    """
    column = {"run": "run_id", "name": "name", "fail": "fingerprint"}[field]
    wanted = tuple(values)
    sql, params, test = _one_of(column, wanted, operator.attrgetter(column))
    return Filter((Term(f"{len(wanted)} marked", sql, tuple(params), test, field=field),))


def status_filter(statuses: Sequence[Status]) -> Filter:
    """Return the filter that lets the attempts in one of `statuses` pass."""
    return parse(f"status:{','.join(statuses)}")


def failures_filter() -> Filter:
    """Return the filter that lets what has failed in any way that can be told apart pass."""
    sql = "fingerprint IS NOT NULL"
    return Filter((Term("failures", sql, (), lambda row: row.fingerprint is not None),))


def quoted(text: str) -> str:
    """Return `text` as one value of a filter, whatever is in it."""
    return '"' + text.replace('"', '""') + '"'


def completions(text: str, cursor: int) -> list[str]:
    """Return what could stand in place of the word that ends at `cursor`: fields first, then a field's values."""
    word = text[:cursor].rsplit(" ", 1)[-1].lstrip("-")
    field, colon, value = word.partition(":")
    if not colon:
        return [f"{name}:" for name in _FIELDS if name.startswith(field.lower())]
    *given, last = value.split(",")
    values: Sequence[str] = {"status": [*Status], "started": ["today", "yesterday"]}.get(field.lower(), [])
    return [f"{field}:{','.join([*given, known])}" for known in values if known.startswith(last) and known not in given]


def words(text: str) -> Iterator[tuple[int, str]]:
    """Yield each word with its column; quotes keep blanks together."""
    for match in re.finditer(r'(?:"[^"]*"|[^\s"])+|"', text):
        if match.group().count('"') % 2:
            raise FilterError(
                match.start() + match.group().rindex('"'), 'A quotation mark is not closed: add the second ".'
            )
        yield match.start(), match.group()


def _term(column: int, word: str, now: datetime) -> Term:
    negated = word.startswith("-") and len(word) > 1
    body = word[1:] if negated else word
    column += negated
    field, colon, value = body.partition(":")
    if not colon or not field.isalpha():
        field, value = "", _bare(body)
        sql, params, test = _contains(("name", "message"), value)
    else:
        build = _FIELDS.get(field.lower())
        if build is None:
            raise FilterError(
                column, f"There is no field {field!r}: use one of {', '.join(_FIELDS)}, or put it in quotes."
            )
        start = column + len(field) + 1
        if not value:
            raise FilterError(start, f"{field}: needs a value.")
        sql, params, test = build(start, _bare(value), now)
        body = f"{field.lower()}:{value}"
    return Term(f"{'-' if negated else ''}{body}", sql, tuple(params), test, negated, field.lower())


Built = tuple[str, Sequence[Any], Test]

_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_LIKE_ESCAPES: Final = str.maketrans({character: "\\" + character for character in "\\%_"})


def _folded(text: str) -> str:
    """Return `text` as SQLite's LIKE folds it: ASCII letters only."""
    return text.translate(_ASCII_LOWER)


def _contains(columns: tuple[str, ...], value: str) -> Built:
    wanted = _folded(value)
    pattern = value.translate(_LIKE_ESCAPES)
    # Twice as fast as instr(lower(...)), which makes a copy of each text; faster still where nothing is escaped.
    like = "LIKE ?" if pattern == value else "LIKE ? ESCAPE '\\'"
    sql = " OR ".join(f"{name} {like}" for name in columns)

    def test(row: AttemptRow) -> bool:
        return any(wanted in _folded(getattr(row, name) or "") for name in columns)

    if not wanted:
        return "1", (), lambda _row: True
    return f"({sql})", (f"%{pattern}%",) * len(columns), test


def _one_of(column: str, values: Sequence[Any], key: Callable[[Any], Any]) -> Built:
    wanted = frozenset(values)
    return f"({column} IN ({', '.join('?' * len(values))}))", values, lambda row: key(row) in wanted


_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"')


def _bare(word: str) -> str:
    """Return what a word with quotes says: two of them inside a pair stand for one."""
    return _QUOTED.sub(lambda match: match[1].replace('""', '"'), word)


def _status(column: int, value: str, _now: datetime) -> Built:
    values = []
    for part in value.lower().split(","):
        if part not in set(Status):
            raise FilterError(column, f"There is no status {part!r}: use {', '.join(Status)}.")
        values.append(str(part))
        column += len(part) + 1
    return _one_of("status", values, lambda row: str(row.status))


def _run(column: int, value: str, _now: datetime) -> Built:
    return _one_of("run_id", [_integer(column, part) for part in value.split(",")], lambda row: row.run_id)


def _task(_column: int, value: str, _now: datetime) -> Built:
    return _one_of("CAST(task_id AS TEXT)", value.split(","), lambda row: str(row.task_id))


def _attempt(column: int, value: str, _now: datetime) -> Built:
    return _compared(column, value, "attempt", lambda row: row.attempt, _integer)


def _duration(column: int, value: str, _now: datetime) -> Built:
    return _compared(column, value, "duration_s", lambda row: row.duration_s, _seconds)


def _age(column: int, value: str, now: datetime) -> Built:
    """Compare instants instead of ages, which turns the comparison round."""
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}

    def instant(place: int, text: str) -> str:
        try:
            return stamp(now - timedelta(seconds=_seconds(place, text)))
        except OverflowError:
            raise FilterError(place, f"{text!r} is longer than the calendar.") from None

    bounds = [(turned[sign], bound) for sign, bound in _bounds(column, value, instant)]
    return _all(
        bounds,
        "coalesce(started_at, queued_at)",
        _begin,
    )


def _begin(row: AttemptRow) -> str | None:
    return row.queued_at if row.started_at is None else row.started_at


def _started(column: int, value: str, now: datetime) -> Built:
    bounds: list[tuple[str, Any]] = []
    for sign, (first, after) in _bounds(column, value, lambda place, text: _span(place, text, now)):
        match sign:
            case ">=" | "<":
                bounds.append((sign, first))
            case ">":
                bounds.append((">=", after))
            case "<=":
                bounds.append(("<", after))
            case _:
                bounds += [(">=", first), ("<", after)]
    return _all(bounds, "started_at", lambda row: row.started_at)


def _error(_column: int, value: str, _now: datetime) -> Built:
    return _contains(("error_type", "error"), value)


def _failure(_column: int, value: str, _now: datetime) -> Built:
    return _one_of("fingerprint", value.lower().split(","), lambda row: row.fingerprint)


def _name(_column: int, value: str, _now: datetime) -> Built:
    return _one_of("name", [value], lambda row: row.name)


def _worker(_column: int, value: str, _now: datetime) -> Built:
    return _contains(("worker",), value)


_FIELDS: Final[dict[str, Callable[[int, str, datetime], Built]]] = {
    "status": _status,
    "run": _run,
    "task": _task,
    "attempt": _attempt,
    "dur": _duration,
    "age": _age,
    "started": _started,
    "err": _error,
    "worker": _worker,
    "fail": _failure,
    "name": _name,
}

_SIGNS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


def _compared(
    column: int, value: str, name: str, get: Callable[[AttemptRow], Any], read: Callable[[int, str], Any]
) -> Built:
    return _all(_bounds(column, value, read), name, get)


def _bounds(column: int, value: str, read: Callable[[int, str], Any]) -> list[tuple[str, Any]]:
    """Return `>5`, `5`, `1..5`, `1..` or `..5` as signs and bounds."""
    low, dots, high = value.partition("..")
    if dots:
        if not low and not high:
            raise FilterError(column, "A range needs at least one end: 1..5, 1.. or ..5.")
        found = [(">=", read(column, low))] if low else []
        return found + ([("<=", read(column + len(low) + 2, high))] if high else [])
    sign = next((sign for sign in _SIGNS if value.startswith(sign)), "")
    return [(sign or "=", read(column + len(sign), value[len(sign) :]))]


def _all(bounds: list[tuple[str, Any]], name: str, get: Callable[[AttemptRow], Any]) -> Built:
    sql = " AND ".join(f"{name} {sign} ?" for sign, _ in bounds)

    def test(row: AttemptRow) -> bool:
        value = get(row)
        return value is not None and all(_SIGNS[sign](value, bound) for sign, bound in bounds)

    return f"({sql})", [bound for _, bound in bounds], test


def _integer(column: int, text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise FilterError(column, f"{text!r} is not a whole number.")
    return int(text)


_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "": 1.0}


def _seconds(column: int, text: str) -> float:
    parts = re.findall(r"(\d{1,12}(?:\.\d{1,6})?)(ms|[smhdw]|)", text, re.ASCII)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise FilterError(column, f"{text!r} is not a duration: write 90s, 5m, 1h30m or 2d.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _span(column: int, text: str, now: datetime) -> tuple[str, str]:
    """Return the first instant of what `text` names, and the first one after it."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if text in ("today", "yesterday"):
            first, length = today - timedelta(days=text == "yesterday"), timedelta(days=1)
        elif len(text) == 10:
            first, length = datetime.fromisoformat(text).replace(tzinfo=UTC), timedelta(days=1)
        else:
            moment = datetime.fromisoformat(text)
            first, length = moment if moment.tzinfo else moment.replace(tzinfo=UTC), timedelta(microseconds=1)
        return stamp(first), stamp(first + length)
    except (ValueError, OverflowError):
        raise FilterError(
            column, f"{text!r} is no date: write 2026-08-01, 2026-08-01T12:30, today or yesterday."
        ) from None
