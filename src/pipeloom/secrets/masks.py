"""Masks the values of secrets in texts: the one place that knows which values, and in which forms they are found.

The values are those of this process. Nothing of them is stored: a worker process learns them from what it is sent.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Final

MASK: Final = "•••"
"""What stands in the place of a value."""
SHORTEST: Final = 4
"""Characters that a value has at least: a shorter one is in many texts by chance."""
_ESCAPE: Final = re.compile("%[0-9A-F]{2}")


class _Known:
    """The values that this process knows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        """Made when the first text is masked after a value was learnt."""
        self.longest = 0
        """Characters of the longest form; 0 while no value is known, which is all that most texts cost."""

    def learn(self, value: str) -> None:
        with self._lock:
            if value not in self._values:
                self._values.add(value)
                self._forms |= set(_forms(value))
                self._pattern = None
                self.longest = max(map(len, self._forms))

    def values(self) -> list[str]:
        with self._lock:
            return list(self._values)

    def pattern(self) -> re.Pattern[str]:
        found = self._pattern
        if found is None:
            with self._lock:
                found = self._pattern = re.compile(_alternation(self._forms))
        return found

    def after_fork(self) -> None:
        self._lock = threading.Lock()  # another thread may have held it


_known: Final = _Known()
os.register_at_fork(after_in_child=_known.after_fork)


def learn(value: str) -> None:
    """Mask `value`, and each line of it, from now on in this process; blanks around it do not count."""
    _known.learn(value.strip())


def values() -> list[str]:
    """Return what is masked."""
    return _known.values()


def longest() -> int:
    """Return the characters of the longest text that is masked; 0 when none is."""
    return _known.longest


def masked(text: str) -> str:
    """Return `text` with `MASK` in the place of each known value."""
    return _known.pattern().sub(MASK, text) if _known.longest else text


def masked_start(text: str, limit: int) -> str:
    """Return the masked `text`, or of a longer one enough for its first `limit` characters, and no part of a value."""
    longest = _known.longest
    if not longest:
        return text
    if len(text) <= limit + longest:
        return masked(text)
    return masked(text[: limit + longest])[:-longest] + "…"  # a value may have been cut at the end


def masked_json(text: str) -> str:
    """Return the JSON `text` with the values masked in its texts, keys and numbers: it stays JSON."""
    if not _known.longest or masked(text) == text:
        return text
    told = json.dumps(_masked_value(json.loads(text)), ensure_ascii=False)
    return told if masked(told) == told else json.dumps(MASK, ensure_ascii=False)


def hides(value: object) -> bool:
    """Tell whether something was masked in a text, or in one of a list of texts."""
    return any(isinstance(one, str) and MASK in one for one in (value if isinstance(value, list) else [value]))


def _masked_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {masked(key): _masked_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked_value(item) for item in value]
    if isinstance(value, str):
        return masked(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return MASK if is_number and masked(text := json.dumps(value)) != text else value


def _forms(value: str) -> Iterator[str]:
    """Yield the texts that a value is found as: itself, and as programs write it; of each of its lines as well."""
    for text in {value, *(line.strip() for line in value.splitlines())}:
        if len(text) >= SHORTEST:
            yield from _forms_of_text(text)


def _forms_of_text(text: str) -> Iterator[str]:
    from urllib.parse import quote, quote_plus

    raw = text.encode("utf-8", "surrogateescape")
    yield text
    for quoted in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield quoted
        yield _ESCAPE.sub(lambda found: found[0].lower(), quoted)
    for in_json in _as_json(text):
        yield in_json
        yield from _as_json(in_json)
    yield from (shown[1:-1] for shown in (repr(text), ascii(text)))
    yield repr(raw)[2:-1]
    yield from _in_base64(raw)


def _as_json(text: str) -> Iterator[str]:
    for as_ascii in (True, False):
        yield json.dumps(text, ensure_ascii=as_ascii)[1:-1]


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield what the base64 of any bytes that hold `raw` has of it alone: by its place there are three such texts."""
    import base64

    for before in range(3):
        begin, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            if len(text := encode(b"\0" * before + raw)[begin:end].decode()) >= SHORTEST:
                yield text


def _alternation(forms: Iterable[str], depth: int = SHORTEST - 1) -> str:
    """Return a pattern that finds the longest form; forms that begin alike are together, so that few are tried."""
    if not depth:
        return "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
    groups: dict[str, list[str]] = {}
    for form in sorted(forms):
        groups.setdefault(form[0], []).append(form[1:])
    return "|".join(f"{re.escape(first)}(?:{_alternation(rest, depth - 1)})" for first, rest in groups.items())
