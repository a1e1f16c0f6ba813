"""The words of the source and of the pages: those of the field, in plain English."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "pipeloom"
FILES = sorted(SOURCE.rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

NOT_PLAIN = {
    "anew", "everybody", "nobody", "shall", "somebody", "whoever", "whosoever",
    "bury", "buries", "buried", "crew", "deaf", "hush", "muster", "roster", "station", "stations", "tally", "verdict",
}  # fmt: skip
"""Words that stand nowhere: not in a name, a docstring, a comment, a text or a page."""

NOT_A_NAME = {
    "Book", "ControlDesk", "Look", "Looking", "Pace", "Pasts", "Picture", "Retrying", "Running", "Showing", "Silence",
    "Standing", "Try", "Viewing", "_facade", "_gone", "_leaked", "facade", "leaked",
}  # fmt: skip
"""What is not the whole name of anything."""

ALLOWED = {'"Verdict"': "The label of a column of the comparison, as users know it."}
"""Texts that stay, to the reason."""

CODE_IN_NAME = re.compile(r"\btest_[a-z]\d+_")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words(text: str) -> Iterator[str]:
    """Yield the words of a text in small letters; `open_anew` and `OpenAnew` are two each."""
    for phrase in ALLOWED:
        text = text.replace(phrase, "")
    yield from (word.lower() for word in _WORD.findall(text))


def faults(source: str) -> Iterator[str]:
    """Yield the words of a module that are not plain, each with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        for number, line in enumerate(token.string.split("\n"), token.start[0]):
            yield from (f"{number}: {word}" for word in words(line) if word in NOT_PLAIN)
        if token.type == tokenize.NAME and token.string in NOT_A_NAME:
            yield f"{token.start[0]}: {token.string} as a name"


def page_faults(text: str) -> list[str]:
    """Return the words of a page that are not plain, each with its line."""
    lines = enumerate(text.split("\n"), 1)
    return [f"{number}: {word}" for number, line in lines for word in words(line) if word in NOT_PLAIN]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_the_source_has_plain_words(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_pages_have_plain_words(path: Path) -> None:
    assert page_faults(path.read_text(encoding="utf-8")) == []


def test_what_is_unreleased_is_told_in_plain_words() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert page_faults(changes.partition("\n## Unreleased\n")[2].partition("\n## ")[0]) == []


def test_the_name_of_a_test_says_what_holds_without_a_code() -> None:
    named = {path.name: CODE_IN_NAME.findall(path.read_text(encoding="utf-8")) for path in ROOT.glob("tests/**/*.py")}
    assert {name: codes for name, codes in named.items() if codes} == {}


@pytest.mark.parametrize(
    "source",
    [
        "opened_anew = 1",
        "class Roster: ...",
        "x = 'Nobody'",
        "# deaf",
        '"""One.\n\nWhoever."""',
        "f'{x} shall'",
        "_gone = 1",
    ],
)
def test_the_lint_finds(source: str) -> None:
    assert list(faults(source))


@pytest.mark.parametrize("source", ["marshal = 1", "# it has gone", "is_gone = 1"])
def test_the_lint_lets_pass(source: str) -> None:
    assert not list(faults(source))
