"""Parses the text of a filter into terms; says where a text cannot be understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipeloom.errors import UsageError
from pipeloom.filters.conditions import Condition, Contains, HasOddRows, OneOf, WaitsFor, Within
from pipeloom.filters.filter import Filter, Term, term
from pipeloom.status import Status
from pipeloom.times import from_local, read_duration, stamp, utc_now

_VALUES: Final[dict[str, Sequence[str]]] = {
    "status": tuple(Status),
    "started": ("today", "yesterday"),
    "rows": ("odd",),
    "waits": ("after", "limit", "retry", "paused", "workers"),
}
"""Values that are offered for a field."""
ODD: Final = "rows:odd"
"""The field of the one term of `rows` that has an index."""
MAX_LENGTH: Final = 200
TOO_LONG: Final = f"A filter has at most {MAX_LENGTH} characters."


class FilterError(UsageError):
    """A filter that cannot be understood; `column` (from 0) is where the fault is."""

    def __init__(self, column: int, sentence: str) -> None:
        super().__init__(sentence)
        self.column = column


def parse(text: str, *, now: datetime | None = None, live: bool = False) -> Filter:
    """Return the filter that `text` describes; ages and days are counted from `now` (default: the clock).

    Raises `FilterError`; also for `waits:`, unless the filter is `live`: of a run that may go on.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(MAX_LENGTH, TOO_LONG)
    if (bad := re.search("[\ud800-\udfff\0]", text)) is not None:
        raise FilterError(bad.start(), "A filter cannot hold this character.")
    moment = (now or utc_now()).astimezone(UTC)
    found = [(column, _term(column, word, moment)) for column, word in words(text)]
    if not live and (waits := next((column for column, one in found if one.field == "waits"), None)) is not None:
        raise FilterError(waits, "waits: is for a run that goes on: the live screen, status, cancel and retry take it.")
    return Filter(tuple(one for _, one in found))


def quoted(text: str) -> str:
    """Return `text` as one quoted value of a filter."""
    return '"' + text.replace('"', '""') + '"'


def completions(text: str, cursor: int) -> list[str]:
    """Return the texts that may replace the word that ends at `cursor`: fields, or values of its field."""
    word = text[:cursor].rsplit(" ", 1)[-1].lstrip("-")
    field, colon, value = word.partition(":")
    if not colon:
        return [f"{name}:" for name in _FIELDS if name.startswith(field.lower())]
    *given, last = value.split(",")
    values = _VALUES.get(field.lower(), ())
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
        field, condition = "", _words(_unquoted(body))
    else:
        build = _FIELDS.get(field.lower())
        if build is None:
            raise FilterError(
                column, f"There is no field {field!r}: use one of {', '.join(_FIELDS)}, or put it in quotes."
            )
        start = column + len(field) + 1
        if not value:
            raise FilterError(start, f"{field}: needs a value.")
        condition = build(start, value if build in (_task, _pipeline, _waits) else _unquoted(value), now)
        field = field.lower()
        body = f"{field}:{value}"
    about = ODD if isinstance(condition, HasOddRows) else field
    return term(f"{'-' if negated else ''}{body}", condition, negated=negated, field=about)


def _words(text: str) -> Condition:
    return Contains(("name", "message"), text)


_PLAIN_SECONDS: Final = re.compile(r"\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"')
_NUMBER: Final = re.compile(r"-?\d{1,18}", re.ASCII)


def _unquoted(word: str) -> str:
    """Return a word without its quotes: two of them inside a pair stand for one."""
    return _QUOTED.sub(lambda match: match[1].replace('""', '"'), word)


def _split(separator: str, word: str) -> list[str]:
    """Return the parts of a word between the separators that are not in quotes."""
    return re.split(re.escape(separator) + r'(?=(?:[^"]*"[^"]*")*[^"]*$)', word)


def _status(column: int, value: str, _now: datetime) -> Condition:
    values = []
    for part in value.lower().split(","):
        if part not in set(Status):
            raise FilterError(column, f"There is no status {part!r}: use {', '.join(Status)}.")
        values.append(str(part))
        column += len(part) + 1
    return OneOf("status", tuple(values))


def _run(column: int, value: str, _now: datetime) -> Condition:
    return OneOf("run", tuple(_integer(column, part) for part in value.split(",")))


def _pipeline(_column: int, value: str, _now: datetime) -> Condition:
    return OneOf("pipeline", tuple(_unquoted(part) for part in _split(",", value)))


def _task(column: int, value: str, _now: datetime) -> Condition:
    """Read ids, or a range of them; what is in quotes is the text of an id."""
    low, *rest = _split("..", value)
    if not rest:
        return OneOf("task", tuple(_unquoted(part) for part in _split(",", value)))
    high = "..".join(rest)
    for place, bound in ((column, low), (column + len(low) + 2, high)):
        if len(_split(",", bound)) > 1:
            raise FilterError(place, "A range of ids stands alone: put an id with a comma in quotes.")
    given = [bound for bound in (low, high) if bound]
    texts = [bound for bound in given if not _NUMBER.fullmatch(bound)]
    if texts and len(texts) < len(given):
        raise FilterError(
            column,
            f"A range of ids has two numbers or two texts, and {_unquoted(texts[0])!r} is no number: "
            "put the other one in quotes to go by text.",
        )
    read = (lambda _column, text: _unquoted(text)) if texts else (lambda _column, text: int(text))
    return Within("task text" if texts else "task number", tuple(_ends(column, low, high, read)))


def _attempt(column: int, value: str, _now: datetime) -> Condition:
    return Within("attempt", tuple(_bounds(column, value, _integer)))


def _rows(column: int, value: str, _now: datetime) -> Condition:
    return HasOddRows() if value.lower() == "odd" else Within("rows", tuple(_bounds(column, value, _integer)))


def _duration(column: int, value: str, _now: datetime) -> Condition:
    return Within("dur", tuple(_bounds(column, value, _seconds)))


def _age(column: int, value: str, now: datetime) -> Condition:
    """Compare instants instead of ages, which turns the comparison round."""
    turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}

    def instant(place: int, text: str) -> str:
        try:
            return stamp(now - timedelta(seconds=_seconds(place, text)))
        except OverflowError:
            raise FilterError(place, f"{text!r} is longer than the calendar.") from None

    return Within("age", tuple((turned[sign], bound) for sign, bound in _bounds(column, value, instant)))


def _started(column: int, value: str, now: datetime) -> Condition:
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
    return Within("started", tuple(bounds))


def _error(_column: int, value: str, _now: datetime) -> Condition:
    return Contains(("error_type", "error"), value)


def _failure(_column: int, value: str, _now: datetime) -> Condition:
    return OneOf("fail", tuple(value.lower().split(",")))


def _name(_column: int, value: str, _now: datetime) -> Condition:
    return OneOf("name", (value,))


def _worker(_column: int, value: str, _now: datetime) -> Condition:
    return Contains(("worker",), value)


def _code(_column: int, value: str, _now: datetime) -> Condition:
    return OneOf("code", tuple(value.lower().split(",")))


def _waits(_column: int, value: str, _now: datetime) -> Condition:
    return WaitsFor(tuple(_unquoted(part) for part in _split(",", value)))


_FIELDS: Final[dict[str, Callable[[int, str, datetime], Condition]]] = {
    "status": _status,
    "run": _run,
    "pipeline": _pipeline,
    "task": _task,
    "attempt": _attempt,
    "rows": _rows,
    "code": _code,
    "dur": _duration,
    "age": _age,
    "started": _started,
    "err": _error,
    "worker": _worker,
    "fail": _failure,
    "name": _name,
    "waits": _waits,
}

FIELDS: Final = {
    "status": "one of these statuses: error,interrupted",
    "run": "of these runs: 12,14",
    "pipeline": "of the runs of these pipelines",
    "task": "of these tasks, or a range of ids: 17, 5..9",
    "attempt": "which attempt of its task: 1, >1",
    "rows": "rows that it has written: 0, >1000, odd",
    "code": "ran the code with this hash",
    "dur": "how long it ran: >5m, 10s..1m",
    "age": "how long ago it began: <2h",
    "started": "when it began: today, 2026-08-01..",
    "err": "in the error's type or text",
    "worker": "in the name of its worker",
    "fail": "of this kind of failure, by its fingerprint",
    "name": "the whole name of its task",
    "waits": "waits for this limit or task, or for: after, limit, retry, paused, workers",
}
"""The fields of a filter, and what each asks for."""

_SIGNS: Final = (">=", "<=", ">", "<", "=")


def _bounds(column: int, value: str, read: Callable[[int, str], Any]) -> list[tuple[str, Any]]:
    """Return `>5`, `5`, `1..5`, `1..` or `..5` as signs and bounds."""
    low, dots, high = value.partition("..")
    if dots:
        return _ends(column, low, high, read)
    sign = next((sign for sign in _SIGNS if value.startswith(sign)), "")
    return [(sign or "=", read(column + len(sign), value[len(sign) :]))]


def _ends(column: int, low: str, high: str, read: Callable[[int, str], Any]) -> list[tuple[str, Any]]:
    if not low and not high:
        raise FilterError(column, "A range needs at least one end: 1..5, 1.. or ..5.")
    found = [(">=", read(column, low))] if low else []
    return found + ([("<=", read(column + len(low) + 2, high))] if high else [])


def _integer(column: int, text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise FilterError(column, f"{text!r} is not a whole number.")
    return int(text)


def _seconds(column: int, text: str) -> float:
    seconds = float(text) if _PLAIN_SECONDS.fullmatch(text) else read_duration(text)
    if seconds is None:
        raise FilterError(column, f"{text!r} is not a duration: write 90s, 5m, 1h30m or 2d.")
    return seconds


def _span(column: int, text: str, now: datetime) -> tuple[str, str]:
    """Return the first instant of what `text` names, and the first one after it; days are those of the user's zone."""
    try:
        if text in ("today", "yesterday") or len(text) == 10:
            day = now.astimezone().date() - timedelta(days=text == "yesterday") if text[:1].isalpha() else text
            midnight = datetime.fromisoformat(str(day))
            return stamp(from_local(midnight)), stamp(from_local(midnight + timedelta(days=1)))
        instant = datetime.fromisoformat(text)
        first, last = (
            (from_local(instant), from_local(instant, again=True)) if instant.tzinfo is None else (instant, instant)
        )
        return stamp(first), stamp(last + timedelta(microseconds=1))
    except (ValueError, OverflowError, OSError):
        raise FilterError(
            column, f"{text!r} is no date: write 2026-08-01, 2026-08-01T12:30, today or yesterday."
        ) from None
