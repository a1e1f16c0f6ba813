"""Requests and replies, as JSON of an exact form: any other form is refused."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, field, fields
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final

from pipeloom.engine.commands import CommandResult, EngineLoad, LimitUse, Refusal, RefusalReason
from pipeloom.engine.refusal_text import refusal_text
from pipeloom.errors import UsageError
from pipeloom.limits.limit import Limit
from pipeloom.status import Status
from pipeloom.times import valid_stamp

EXPIRES_S: Final = 30.0
"""Seconds after which a request is no longer carried out."""
_CLOCK_S: Final = 5.0
MAX_ATTEMPTS: Final = 1_000_000
MOST_EXPLAINED: Final = 1_000
"""Attempts of which one request may ask why they wait."""
_LONGEST_NAME: Final = 5_000
"""Characters of the name of a pipeline: a path, and what stands behind it."""

WITH_ATTEMPTS: Final = frozenset({"cancel", "retry", "retry_from_start", "retry_code", "abandon", "why_waiting"})
QUESTIONS: Final = frozenset({"load", "why_waiting", "waiting_for"})
"""Commands that change nothing: no record is kept of them."""
COMMANDS: Final = WITH_ATTEMPTS | QUESTIONS | {"pause", "resume", "set_workers", "set_limit"}
_OTHER_FORM: Final = "The answer has not the form that this version understands."
_EXTRA: Final = {
    "set_workers": frozenset({"workers"}),
    "set_limit": frozenset({"limit"}),
    "waiting_for": frozenset({"what"}),
}
"""What a command has besides `_KEYS`."""
_KEYS: Final = frozenset({"id", "run_id", "command", "pid", "host", "asked_at", "expires_at"})

Ranges = list[list[int]]
NamedLimit = tuple[str, Limit]
"""A limit, and the name under which it is declared."""


class RequestError(Exception):
    """The request cannot be carried out; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One command of another process."""

    id: str
    run_id: int
    command: str
    attempts: tuple[int, ...] = ()
    workers: int | None = None
    limit: NamedLimit | None = None
    pipeline: str | None = None
    """For "retry_code": the pipeline as the user named it, with an absolute path."""
    what: tuple[str, ...] = ()
    """For "waiting_for": what attempts wait for."""
    pid: int
    host: str
    asked_at: str
    expires_at: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The command's arguments, as JSON values."""
        if self.command in WITH_ATTEMPTS:
            named = {} if self.pipeline is None else {"pipeline": self.pipeline}
            return {"attempts": as_ranges(self.attempts), **named}
        if self.command == "waiting_for":
            return {"what": list(self.what)}
        if self.limit is not None:
            return {"limit": [self.limit[0], *astuple(self.limit[1])]}
        return {} if self.workers is None else {"workers": self.workers}

    def encoded(self) -> bytes:
        """Return the request as JSON."""
        given = {name: getattr(self, name) for name in sorted(_KEYS)}
        return json.dumps(given | self.arguments).encode()


def read_request(request_id: str, raw: bytes, now: datetime) -> Request:
    """Return the request in a file named `request_id`; raises `RequestError`."""
    given = _object(raw)
    command = given.get("command")
    if not isinstance(command, str) or command not in COMMANDS:
        raise RequestError("There is no such command.")
    extra = {"attempts"} if command in WITH_ATTEMPTS else _EXTRA.get(command, frozenset())
    if command == "retry_code":
        extra = {"attempts", "pipeline"}
    if given.keys() != _KEYS | extra or given["id"] != request_id:
        raise RequestError("The request has not the form that this version understands.")
    numbers = [given[name] for name in ("run_id", "pid", *(extra & {"workers"}))]
    texts = [given[name] for name in ("host", "asked_at", "expires_at")]
    texts_fit = all(isinstance(text, str) and len(text) < 300 for text in texts)
    names_fit = isinstance(given.get("pipeline", ""), str) and len(given.get("pipeline", "")) <= _LONGEST_NAME
    if not all(map(_is_number, numbers)) or not texts_fit or not names_fit:
        raise RequestError("The request has values of the wrong kind.")
    attempts = from_ranges(given["attempts"]) if "attempts" in extra else ()
    if command == "why_waiting" and len(attempts) > MOST_EXPLAINED:
        raise RequestError(f"Why they wait can be asked of {MOST_EXPLAINED:,} attempts at once.")
    asked, expires = valid_stamp(given["asked_at"]), valid_stamp(given["expires_at"])
    if asked is None or expires is None:
        raise RequestError("The request has times that are none.")
    left = datetime.fromisoformat(expires) - now
    if left > timedelta(seconds=EXPIRES_S + _CLOCK_S):
        raise RequestError("The request would last too long.")
    made = {"attempts": attempts, "asked_at": asked, "expires_at": expires}
    if "limit" in extra:
        made["limit"] = _limit(given["limit"])
    if "what" in extra:
        made["what"] = _names(given["what"])
    return Request(**{**given, **made})


def _limit(given: object) -> NamedLimit:
    """Return a limit that was sent; raises `RequestError` when it is none."""
    match given:
        case [str(name), int() | None as at_once, int() | float() | None as per_second]:
            try:
                return name, Limit(at_once, per_second)
            except UsageError as error:
                raise RequestError(str(error)) from error
    raise RequestError("The request has values of the wrong kind.")


def _names(given: object) -> tuple[str, ...]:
    """Return names that were sent; raises `RequestError` when they are none."""
    if isinstance(given, list) and len(given) <= 200 and all(isinstance(one, str) and len(one) < 300 for one in given):
        return tuple(given)
    raise RequestError("The request has values of the wrong kind.")


def has_expired(request: Request, now: datetime) -> bool:
    """Tell whether it is too late for the request."""
    return datetime.fromisoformat(request.expires_at) <= now


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request."""

    refusal: str | None = None
    """Why nothing was done, as a sentence."""
    result: CommandResult = field(default_factory=CommandResult)
    load: EngineLoad | None = None
    """How busy the engine was afterwards."""
    waits: dict[int, str] = field(default_factory=dict)
    """For "why_waiting": the reason of each attempt that waits."""
    waiting: tuple[int, ...] = ()
    """For "waiting_for": the attempts that wait for it."""

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.refusal is not None:
            return f"refused: {self.refusal}"
        reasons = sorted({refusal_text(refusal) for refusal in self.result.refused.values()})
        refused = f"{len(self.result.refused):,} refused ({'; '.join(reasons[:3])})" if reasons else ""
        accepted = f"{len(self.result.accepted):,} accepted" if self.result.accepted or reasons else "done"
        return ", ".join(filter(None, (accepted, refused)))

    def encoded(self, request_id: str) -> bytes:
        """Return the reply as JSON."""
        refused: dict[Refusal, list[int]] = {}
        for attempt_id, refusal in self.result.refused.items():
            refused.setdefault(refusal, []).append(attempt_id)
        return json.dumps(
            {
                "id": request_id,
                "refusal": self.refusal,
                "accepted": as_ranges(self.result.accepted),
                "refused": [asdict(refusal) | {"attempts": as_ranges(ids)} for refusal, ids in refused.items()],
                "load": None if self.load is None else asdict(self.load),
                "waits": list(self.waits.items()),
                "waiting": as_bits(self.waiting),
            }
        ).encode()


def read_reply(request_id: str, raw: bytes) -> Reply:
    """Return the reply to a request; raises `RequestError` when it is none."""
    given = _object(raw)
    refused, refusal, load = given.get("refused"), given.get("refusal"), given.get("load")
    if given.get("id") != request_id or not isinstance(refused, list) or not isinstance(refusal, str | None):
        raise RequestError(_OTHER_FORM)
    refusals = {attempt_id: why for entry in refused for why, ids in [_refusal(entry)] for attempt_id in ids}
    result = CommandResult(from_ranges(given.get("accepted")), refusals)
    return Reply(refusal, result, _load(load), _waits(given.get("waits")), from_bits(given.get("waiting")))


def _waits(given: object) -> dict[int, str]:
    """Return why attempts wait; raises `RequestError` when it is something else."""
    found: dict[int, str] = {}
    for one in given if isinstance(given, list) else [given]:
        match one:
            case [int(attempt_id), str(why)]:
                found[attempt_id] = why
            case _:
                raise RequestError(_OTHER_FORM)
    return found


def _refusal(given: object) -> tuple[Refusal, tuple[int, ...]]:
    """Return a refusal and the attempts that it is about; raises `RequestError` when it is none."""
    match given:
        case {"reason": str(reason), "status": str() | None as status, "detail": str(detail), "attempts": attempts}:
            try:
                refusal = Refusal(RefusalReason(reason), None if status is None else Status(status), detail)
            except ValueError as error:
                raise RequestError(_OTHER_FORM) from error
            return refusal, from_ranges(attempts)
    raise RequestError(_OTHER_FORM)


def as_ranges(ids: Iterable[int]) -> Ranges:
    """Return numbers as ordered ranges: first and last of each."""
    ranges: Ranges = []
    for one in sorted(set(ids)):
        if ranges and ranges[-1][1] == one - 1:
            ranges[-1][1] = one
        else:
            ranges.append([one, one])
    return ranges


def from_ranges(ranges: Any) -> tuple[int, ...]:
    """Return the numbers of the ranges; raises `RequestError` for anything else, and for too many."""
    if not isinstance(ranges, list):
        raise RequestError("The attempts are no list.")
    for one in ranges:
        if not isinstance(one, list) or len(one) != 2 or not all(map(_is_number, one)) or one[0] > one[1]:
            raise RequestError("The attempts are no ranges.")
    if sum(last - first + 1 for first, last in ranges) > MAX_ATTEMPTS:
        raise RequestError(f"More than {MAX_ATTEMPTS:,} attempts at once are too many.")
    return tuple(chain.from_iterable(range(first, last + 1) for first, last in ranges))


def as_bits(ids: Iterable[int]) -> list[int | str]:
    """Return numbers as the first one and a bit for each from there on, in base64; of none an empty list.

    Every other attempt of a million takes 170 kB, which is a twentieth of its ranges.
    """
    there = sorted(set(ids))
    if not there:
        return []
    first, bits = there[0], bytearray((there[-1] - there[0]) // 8 + 1)
    for one in there:
        bits[(one - first) // 8] |= 1 << (one - first) % 8
    return [first, b64encode(bits).decode("ascii")]


def from_bits(given: object) -> tuple[int, ...]:
    """Return the numbers that `as_bits` has encoded; raises `RequestError` for anything else."""
    match given:
        case []:
            return ()
        case [int(first), str(text)]:
            try:
                bits = b64decode(text, validate=True)
            except ValueError as error:
                raise RequestError(_OTHER_FORM) from error
            return tuple(
                first + place * 8 + bit for place, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1
            )
    raise RequestError(_OTHER_FORM)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RequestError("It is no JSON.") from error
    if not isinstance(given, dict):
        raise RequestError("It is no JSON object.")
    return given


def _load(given: object) -> EngineLoad | None:
    if given is None:
        return None
    names = {one.name for one in fields(EngineLoad)}
    if not isinstance(given, dict) or given.keys() != names or not isinstance(given["limits"], list):
        raise RequestError(_OTHER_FORM)
    numbers = {name: value for name, value in given.items() if name != "limits"}
    if not all(isinstance(value, int) for value in numbers.values()):
        raise RequestError(_OTHER_FORM)
    return EngineLoad(**numbers, limits=tuple(map(_use, given["limits"])))


def _use(given: object) -> LimitUse:
    """Return the use of a limit; raises `RequestError` when it is none."""
    match given:
        case {
            "name": str(name),
            "at_once": int() | None as at_once,
            "per_second": int() | float() | None as per_second,
            "held": int(held),
            "waiting": int(waiting),
        }:
            return LimitUse(name, at_once, per_second, held, waiting)
    raise RequestError(_OTHER_FORM)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62
