"""Makes text from anywhere safe to show: the one place that decides which characters may reach a terminal.

Every string that is not a literal of ours passes through `clean` on its way to a screen, a log or an export, and
through `storable` on its way to the file: both mask secrets.
Markup is a separate matter: `pipeloom.tui.style.text` wraps the cleaned string so that it is never parsed.
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Callable, Iterable
from typing import Final

from pipeloom.secrets import masked, masked_start

LIMIT: Final = 500
"""Characters that a cell, a toast or a line of output shows at most."""

_MAX_COMBINING: Final = 4
_BEGIN: Final = 3
"""Characters at the start of a name by which it is one of a kind."""

# C0 characters have pictures (U+2400 plus the code); others are shown as U+FFFD.
_PICTURES: Final = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
_REFUSED: Final = (
    *range(0x80, 0xA0),  # C1
    0x061C, 0x200B, 0x200C, 0x200E, 0x200F, 0x2028, 0x2029,
    *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC),
)  # fmt: skip
_TABLE: Final = _PICTURES | dict.fromkeys(_REFUSED, "\ufffd")
_MULTILINE_TABLE: Final = {code: text for code, text in _TABLE.items() if code != 0x0A} | {0x09: "    "}

_WIDE_REFUSED: Final = re.compile(
    "[\ud800-\udfff\ufdd0-\ufdef\U000e0000-\U000e007f"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
    + "]"
)
_COMBINING: Final = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_ZALGO: Final = re.compile(f"([{_COMBINING}]{{{_MAX_COMBINING}}})[{_COMBINING}]+")
_PLAIN: Final = re.compile(r"[ -~]*")
_NOT_FILES: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}


def as_text(value: object) -> str:
    """Return `str(value)`, or a note when that raises."""
    if type(value) is str:
        return value
    try:
        return str.__str__(value if issubclass(type(value), str) else str(value))  # a plain one of a subclass
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything, SystemExit included
        return f"<unprintable {type(value).__name__}>"


def clean(value: object, limit: int = LIMIT, *, multiline: bool = False) -> str:
    """Return `value` as text that a terminal shows and never obeys.

    Cut to `limit` characters first, so that a 10 MB string costs no more than a short one. Control characters become
    their Unicode pictures; what would reorder, hide or break text becomes U+FFFD. With `multiline`, line feeds stay and
    tabs become four spaces. Cleaning twice changes nothing.
    """
    text = masked_start(as_text(value), limit)
    if len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if _PLAIN.fullmatch(text):
        return text
    text = text.replace("\r\n", "\n").translate(_MULTILINE_TABLE) if multiline else text.translate(_TABLE)
    return _ZALGO.sub(r"\1", _WIDE_REFUSED.sub("\ufffd", text))[:limit]


def first_line(value: object, limit: int = LIMIT) -> str:
    """Return the first line of `value` that is not blank, cleaned."""
    text = masked_start(as_text(value), limit * 4)[: limit * 4]
    return clean(next((line.strip() for line in text.splitlines() if line.strip()), ""), limit)


def clip_middle(text: str, width: int, cells: Callable[[str], int]) -> str:
    """Return `text` cut in its middle to at most `width` cells, which `cells` counts: a path keeps its end."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    before = (width - 1) // 3 if width >= 5 else width - 1
    head, tail = text[:before], text[-width:] if width >= 5 else ""
    while cells(head) > before:
        head = head[:-1]
    while cells(tail) > width - 1 - before:
        tail = tail[1:]
    return f"{head}…{tail}"


class LongNames:
    """Names of which some are too long for their place: they are cut where all that were seen are the same.

    Names that begin alike are compared. What they share only becomes less, so that they are not cut in one way and
    then in another.
    """

    def __init__(self, names: Iterable[str] = (), *, least: int = 0) -> None:
        """Begin with `names`. Those of up to `least` characters are never cut, and do not count."""
        self._least = least
        self._kinds: dict[str, tuple[str, int, int]] = {}
        """By how names begin: the first of them, and how many characters all share at their start and at their end."""
        self.note(names)

    def note(self, names: Iterable[str]) -> bool:
        """Count more names; returns whether names are cut in another way than before."""
        changed, kinds = False, len(self._kinds)
        for name in names:
            if len(name) > self._least:
                begin = name[:_BEGIN]
                first, head, tail = before = self._kinds.get(begin, (name, len(name), len(name)))
                if not name.startswith(first[:head]):
                    head = _alike(first[:head], name)
                if tail and not name.endswith(first[-tail:]):
                    tail = _alike(first[: -tail - 1 : -1], name[::-1])
                self._kinds[begin] = first, head, tail
                changed |= (first, head, tail) != before
        return changed or kinds < 2 <= len(self._kinds)

    def cut(self, name: str, width: int, cells: Callable[[str], int]) -> str:
        """Return a name in at most `width` cells, which `cells` counts."""
        plain = clip_middle(name, width, cells)
        if plain == name or width < 2 * _BEGIN + 2:
            return plain
        _, head, tail = self._kinds.get(name[:_BEGIN], ("", 0, 0))
        start, stop = min(head, len(name)), max(head, len(name) - tail)  # of what differs
        first, lost = (width - 1) // 3, len(name) - width + 1
        if first + lost <= start or first >= stop:
            return plain
        kept = name[: min(start, _BEGIN)] if len(self._kinds) > 1 else ""
        told = [f"{name[: start - lost]}…{name[start:]}"] * (lost <= start - len(kept))
        told += [f"{name[:stop]}…{name[stop + lost :]}"] * (lost <= len(name) - stop)
        if told:  # the longer of the two parts that are shared is cut
            told = told[:1] if start >= len(name) - stop else told[-1:]
        else:
            before, after = "…" * (start > len(kept)), "…" * (stop < len(name))
            room = width - len(kept + before + after) - (stop - start)
            begin = name[: max(len(kept), room // 3)] if before else kept
            end = len(name) - max(0, room - len(begin) + len(kept))
            differs = clip_middle(name[start:stop], stop - start + min(room, 0), cells)
            told = [f"{begin}{before}{differs}{after}{name[end:]}"]
        return told[0] if cells(told[0]) <= width else plain


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts share at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (this, that) in pairs if this != that), min(len(one), len(other)))


def size(count: int) -> str:
    """Return a number of bytes as "512 bytes", "1.2 kB" or "34 MB"."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 9.95 else f"{amount:.1f} {unit}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its word, as "1 day" or "1,234 days"; `many` is the plural where an s does not make it."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def ordinal(place: int) -> str:
    """Return a place in a line, from 1, as "1st", "12th" or "1,022nd"."""
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place:,}{ending}"


def beside_usual(told: str, low: int | None, high: int | None) -> str:
    """Return what is told of a number, with the range that is usual for it where that is known."""
    if low is None or high is None:
        return told
    return f"{told}, usually {low:,}" if low == high else f"{told}, usually {low:,} to {high:,}"


def figure(value: float) -> str:
    """Return a number without needless digits, and without a sign when it is nothing."""
    return f"{value + 0.0:g}"


def as_typed(path: object) -> str:
    """Return a path as a shell takes it for one: in quotes where it needs them, never like an option."""
    text = as_text(path)
    return clean(shlex.quote(f"./{text}" if text.startswith("-") else text), 300)


def storable(text: str, limit: int) -> str:
    """Return `text` as SQLite can keep and compare it: no secret, surrogate or NUL, at most `limit` characters.

    A longer text keeps its head and its tail; the middle is replaced by a note with the number of characters left out.
    """
    text = _cut_middle(masked(str.__str__(text)), limit)  # a plain string, not a subclass
    if not text.isascii():  # escapes are longer than their characters
        text = _cut_middle(text.encode("utf-8", "backslashreplace").decode("utf-8"), limit)
    return text.replace("\0", "\u2400") if "\0" in text else text


def _cut_middle(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    note = f"\n… {len(text) - limit:,} characters left out …\n"
    room = limit - len(note)
    if room < len(note):
        return text[:limit]
    head = room * 2 // 3
    return text[:head] + note + text[len(text) - (room - head) :]


def decoded(raw: bytes) -> str:
    """Return bytes as text, with a mark for each that is no UTF-8."""
    return raw.decode("utf-8", "replace")


def kind_of_entry(mode: int) -> str | None:
    """Return what an entry of a folder is, by its mode, when it is no ordinary file."""
    return _NOT_FILES.get(stat.S_IFMT(mode))


def is_on(value: str) -> bool | None:
    """Tell what the text of a switch means: True for 1, yes, true, on; False for 0, no, false, off; None otherwise."""
    text = value.strip().lower()
    return True if text in {"1", "yes", "true", "on"} else False if text in {"0", "no", "false", "off"} else None
