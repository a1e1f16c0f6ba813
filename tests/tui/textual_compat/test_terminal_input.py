"""What a terminal sends: keys come through whatever lies between, and nothing that is no key becomes one."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.events import Event, Key, MouseEvent, Paste
from textual.message import Message

from pipeloom.tui.textual_compat.terminal_input import ESCAPE, TerminalInput


def osc() -> Iterator[str]:
    for end in ("\x1b\\", "\x07"):
        for number in (*range(10, 20), *(f"4;{color}" for color in range(32))):
            yield f"\x1b]{number};rgb:{0x1A:04x}/{0x2B:04x}/{0xFFFF:04x}{end}"
        yield f"\x1b]52;c;cXFx{end}"
        yield f"\x1b]lquit rR{end}"
        yield f"\x1b]7;file://host/r/q{end}"
        yield f"\x1b]1337;ReportCellSize=8.0;16.0{end}"


def dcs() -> Iterator[str]:
    yield from (f"\x1bP1$r{setting}\x1b\\" for setting in ("0m", "2 q", "1;40r", '61;1"p', "0q", "38:2::1:2:3m"))
    yield from (
        f"\x1bP{ok}+r{name}={value}\x1b\\"
        for ok in (0, 1)
        for name in ("544e", "436f", "524742")
        for value in ("78", "")
    )
    yield from (
        f"\x1bP>|{name}\x1b\\"
        for name in ("xterm(390)", "WezTerm 20240203", "kitty(0.35.2)", "tmux 3.4", "foot(1.16.2)")
    )
    yield "\x1bP!|7E565445\x1b\\"
    yield "\x1bP>0;1;r\x1b\\"


def apc_and_others() -> Iterator[str]:
    yield from (f"\x1b_Gi={number};OK\x1b\\" for number in range(1, 9))
    yield "\x1b_Gi=31;EBADF:r q R\x1b\\"
    yield "\x1b^private rRqx\x1b\\"
    yield "\x1bXstart of string r\x1b\\"


def csi() -> Iterator[str]:
    yield from (
        f"\x1b[?{attributes}c" for attributes in ("1;2", "6", "62;22", "64;1;2;6;9;15;16;17;18;21;22;28", "65;1;9")
    )
    yield from (f"\x1b[>{attributes}c" for attributes in ("0;276;0", "1;4000;29", "41;390;0", "65;6800;1"))
    yield from (f"\x1b[={attributes}c" for attributes in ("0", "1"))
    yield from ("\x1b[0n", "\x1b[3n", "\x1b[?13n", "\x1b[?50n", "\x1b[?997;1n", "\x1b[?997;2n")
    yield from (f"\x1b[?{flags}u" for flags in (0, 1, 5, 31))
    yield from (
        f"\x1b[{kind};{height};{width}t"
        for kind in (4, 6, 8, 9)
        for height, width in ((40, 120), (24, 80), (1080, 1920))
    )
    yield from ("\x1b[1t", "\x1b[2t", "\x1b[3;10;20t")
    yield from (f"\x1b[?{item};0;{value}S" for item in (1, 2, 3) for value in (256, 1024))
    yield from (f"\x1b[{mode};{value}$y" for mode in (4, 20) for value in (0, 1, 2))
    yield from (f"\x1b[{kind};1;1;128;128;1;0x" for kind in (2, 3))
    yield from (f"\x1b[{number}*y" for number in range(4))
    yield from (f"\x1b[{place}&w" for place in ("0", "1;1;10;20;0"))
    yield from (f"\x1b[>{number}m" for number in range(5))
    yield from (f"\x1b[?{mode};{value}$y" for mode in (1, 7, 12, 25, 1000, 1002, 1004, 2004, 1049) for value in (1, 2))


REPLIES = [*osc(), *dcs(), *apc_and_others(), *csi()]
KEYS = [
    "j",
    "k",
    "\r",
    "\t",
    "q",
    "R",
    "é",
    "日",
    "\x1b[A",
    "\x1b[B",
    "\x1b[1;5C",
    "\x1bOP",
    "\x1b[15~",
    "\x1b[Z",
    "\x1b[[A",
    "\x1b[97;5u",
]


def events_of(pieces: Iterable[str]) -> list[Message]:
    """What the driver posts for what is read in `pieces`, with a long pause after each."""
    typed, parser = TerminalInput(), XTermParser()
    found: list[Message] = []
    for piece in pieces:
        for part in typed.feed(piece):
            found += [Key("escape", ESCAPE)] if part == ESCAPE else parser.feed(part)
    if typed.give_up_escape():
        found.append(Key("escape", ESCAPE))
    parser._timeout_time = None if parser._timeout_time is None else 0.0
    return [*found, *parser.tick()]


def keys_of(pieces: Iterable[str]) -> list[str]:
    return [event.key for event in events_of(pieces) if isinstance(event, Key)]


def cut(text: str, chance: random.Random) -> list[str]:
    """Cut into reads; a lone escape at the end of one is a key, so no cut comes right after one."""
    places = [place for place in range(1, len(text)) if text[place - 1] != ESCAPE]
    chosen = sorted(chance.sample(places, min(len(places), chance.randrange(6))))
    return [text[start:stop] for start, stop in zip([0, *chosen], [*chosen, len(text)], strict=True)]


def test_there_are_enough_replies() -> None:
    assert len(set(REPLIES)) == len(REPLIES) >= 150


@pytest.mark.parametrize("reply", REPLIES, ids=repr)
def test_a_reply_is_no_key_however_it_is_cut(reply: str) -> None:
    for place in range(1, len(reply)):
        assert keys_of([reply[:place], reply[place:]]) == []
    assert keys_of(reply) == []  # one character at a time


@pytest.mark.parametrize("seed", range(200))
def test_keys_come_through_among_replies(seed: int) -> None:
    chance = random.Random(seed)
    typed = [chance.choice(KEYS) for _ in range(20)]
    wanted = [event.key for key in typed for event in XTermParser().feed(key) if isinstance(event, Key)]
    text = "".join(key + "".join(chance.choices(REPLIES, k=chance.randrange(3))) for key in typed)
    assert keys_of(cut(text, chance)) == wanted


@pytest.mark.parametrize("sequence", sorted(ANSI_SEQUENCES_KEYS), ids=repr)
def test_every_key_that_textual_knows_comes_through(sequence: str) -> None:
    def keys(events: Iterable[Message]) -> list[str]:
        return [event.key for event in events if isinstance(event, Key)]

    parser = XTermParser()
    wanted = keys(parser.feed(sequence))
    parser._timeout_time = None if parser._timeout_time is None else 0.0
    assert keys_of([sequence]) == [*wanted, *keys(parser.tick())]


@pytest.mark.parametrize("seed", range(50))
def test_a_report_of_the_mouse_is_never_typed(seed: int) -> None:
    chance = random.Random(seed)
    report = f"\x1b[<{chance.choice([0, 2, 35, 64, 65])};{chance.randrange(1, 300)};{chance.randrange(1, 90)}{chance.choice('mM')}"
    events = events_of(cut(report * 5, chance))
    assert len(events) == 5
    assert all(isinstance(event, MouseEvent) for event in events)


@pytest.mark.parametrize("seed", range(50))
def test_a_paste_is_one_paste_however_it_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(chance.choices("qrRx \n\x1b[;~201", k=60)).replace("\x1b[201~", "")
    pieces = cut(f"j\x1b[200~{text}\x1b[201~k", chance)
    events: list[Event] = [event for event in events_of(pieces) if isinstance(event, Event)]
    assert [event.key for event in events if isinstance(event, Key)] == ["j", "k"]
    assert [event.text for event in events if isinstance(event, Paste)] == [text.replace("\x1b", "")]


def test_an_escape_is_a_key_and_so_is_alt_with_one() -> None:
    assert keys_of(["\x1b"]) == ["escape"]
    assert keys_of(["\x1b", "\x1b"]) == ["escape", "escape"]
    assert keys_of(["\x1bx"]) == ["alt+x"]
    assert keys_of(["\x1b]", "jj"])[-2:] == ["j", "j"]


def test_a_string_without_an_end_is_given_up() -> None:
    assert keys_of(["\x1b]11;" + "r" * 100, "\x1b", "[A"]) == ["up"], "an escape ends it"
    assert "j" in keys_of(["\x1b]11;" + "r" * (1 << 16), "j"])
