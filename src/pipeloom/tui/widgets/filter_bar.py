"""The filter line above a table, with the number of rows that pass."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from rich.highlighter import Highlighter
from rich.text import Text
from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from pipeloom.filters import MAX_LENGTH, TOO_LONG, Filter, FilterError, Term, completions, parse, words
from pipeloom.tui.style.text import content

_SHOWN_OFFERS: Final = 5
"""Number of completions that are listed at a time."""


def offers(text: str) -> list[str]:
    """Return what the last word of the text may become; nothing for an empty or a whole word."""
    word = _last_word(text)
    found = completions(text, len(text)) if word else []
    return [offer for offer in found if offer != word]


def completed(text: str, offer: str) -> str:
    """Return the text with its last word exchanged for an offer."""
    return text[: len(text) - len(_last_word(text))] + offer


def _last_word(text: str) -> str:
    return text.rsplit(" ", 1)[-1].lstrip("-")


@dataclass(frozen=True, slots=True)
class _Walk:
    """The offers for a word, and the one that stands in the field."""

    text: str
    """The text that was typed."""
    offers: tuple[str, ...]
    place: int = -1
    """-1: none yet."""

    @property
    def shown(self) -> str:
        """The text of the field."""
        return self.text if self.place < 0 else completed(self.text, self.offers[self.place])

    def next(self) -> _Walk:
        """Go to the next offer, after the last to the first."""
        return replace(self, place=(self.place + 1) % len(self.offers))

    def content(self) -> Content:
        """Return the line with the offers from the one in the field on, which is marked."""
        first = max(0, self.place - 1)
        said = [
            content(offer.rpartition(":")[2].rpartition(",")[2] or offer, "reverse" if place == self.place else "")
            for place, offer in enumerate(self.offers)
        ][first : first + _SHOWN_OFFERS]
        more = ["…"] * (first + _SHOWN_OFFERS < len(self.offers))
        return Content(" ").join([content("tab", "$accent"), *said, *map(Content, more)])


class _Completion(Suggester):
    """Offers the rest of a field or value, dim behind the cursor."""

    async def get_suggestion(self, value: str) -> str | None:
        """Return the completed text."""
        found = offers(value)
        return completed(value, found[0]) if found else None


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A text and its meaning as a filter; each word is parsed once."""

    text: str = ""
    where: Filter = field(default_factory=Filter)
    """The terms of all valid words."""
    styles: tuple[tuple[str, int, int], ...] = ()
    """How each word looks: style, first column, column after its last."""
    error: FilterError | None = None
    """The first mistake."""

    @property
    def is_word_begun(self) -> bool:
        """Whether the mistake is in the last word, which may still be typed."""
        if self.error is None or not self.styles:
            return False
        _, first, stop = self.styles[-1]
        return stop == len(self.text) and self.error.column >= first

    @classmethod
    def of(cls, text: str, *, live: bool) -> _Parsed:
        """Parse `text`; `live` as in `pipeloom.filters.parse`."""
        terms: list[Term] = []
        styles: list[tuple[str, int, int]] = []
        first: FilterError | None = None
        try:
            for column, word in words(text):
                style = "reverse"
                try:
                    terms += parse(" " * column + word, live=live).terms
                except FilterError as error:
                    first = first or error
                    style = "underline"
                styles.append((style, column, column + len(word)))
        except FilterError as error:
            first = first or error
            styles.append(("underline", error.column, len(text)))
        return cls(text, Filter(tuple(terms)), tuple(styles), first)


class _Reader:
    """Keeps the parsed form of the newest text, for the bar and for each paint of the field."""

    def __init__(self, *, live: bool) -> None:
        self._newest, self._live = _Parsed(), live

    def parsed(self, text: str) -> _Parsed:
        """Return the parsed form of `text`."""
        if text != self._newest.text:
            self._newest = _Parsed.of(text, live=self._live)
        return self._newest


class _Chips(Highlighter):
    """Marks each term as a chip, and underlines invalid ones."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def highlight(self, text: Text) -> None:
        """Mark the terms of a filter in place."""
        for style, start, stop in self._reader.parsed(text.plain).styles:
            text.stylize(style, start, stop)


class _Field(Input):
    """An input that says when it refuses typed or pasted text."""

    class Restricted(Message):
        """The text would be too long."""

    def restricted(self) -> None:
        """Tell the bar."""
        super().restricted()
        self.post_message(self.Restricted())


class FilterBar(Horizontal):
    """Filters as the text is typed. A mistake keeps the last valid filter and says where it is."""

    DEFAULT_CSS = """
    FilterBar { height: 1; }
    FilterBar .filter-sign { width: 3; padding: 0 1; }
    FilterBar Input { width: 1fr; }
    FilterBar .filter-note { width: auto; max-width: 60%; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear", "Clear", tooltip="Show everything again.", id="filter.clear"),
        Binding(
            "tab", "complete", "Complete", tooltip="Complete the word, or go back to the table.", id="filter.complete"
        ),
        Binding("down", "leave", "Table", tooltip="Keep the filter and go back to the table.", id="filter.leave"),
    ]

    @dataclass
    class Changed(Message):
        """Another filter applies."""

        bar: FilterBar
        where: Filter

        @property
        def control(self) -> FilterBar:
            """The bar, for `@on` selectors."""
            return self.bar

    class Left(Message):
        """The user has left the filter line."""

    _input = getters.query_one(Input)
    _note = getters.query_one(".filter-note", Static)

    def __init__(self, text: str = "", *, live: bool = False, **kwargs: Any) -> None:
        """Start with `text`; `live`: the filter is of a run that may go on."""
        super().__init__(classes="filter-line", **kwargs)
        self._text = text
        self._reader = _Reader(live=live)
        self._counts = Content("")
        self._walk = _Walk("", ())

    def compose(self) -> ComposeResult:
        """Yield sign, field and note on one line."""
        yield Static("/", classes="filter-sign")
        yield _Field(
            self._text,
            placeholder="filter: words, status:error, dur:>5m, -task:7",
            max_length=MAX_LENGTH,
            classes="filter-input",
            select_on_focus=False,
            suggester=_Completion(case_sensitive=True),
            highlighter=_Chips(self._reader),
        )
        yield Static("", classes="filter-note")

    @property
    def text(self) -> str:
        """The text of the field."""
        return self._input.value

    def set(self, text: str) -> None:
        """Set the text of the field."""
        self._input.value = text

    def mistake(self, text: str) -> FilterError | None:
        """Return the mistake in `text` as a filter; None when it is valid."""
        return self._reader.parsed(text).error

    @property
    def is_filtering(self) -> bool:
        """Whether the field has text."""
        return bool(self._input.value)

    def begin(self) -> None:
        """Take the focus now: `focus()` would take it after the keys that are typed next."""
        self.screen.set_focus(self._input)

    def toggle(self, text: str) -> None:
        """Filter by `text` alone, or by nothing when that is the filter already."""
        self._input.value = "" if self._input.value == text else text

    def show_count(self, count: Content) -> None:
        """Show the number of rows that pass."""
        if count != self._counts:
            # A layout is of the whole screen: too expensive for each new number.
            fits = count.cell_length == self._note.content_size.width
            self._counts = count
            if not self._walk.offers:
                self._note.update(count, layout=not fits)

    @on(_Field.Restricted)
    def _refuse(self) -> None:
        self._note.update(content(TOO_LONG, "$status-error"))

    @on(Input.Changed)
    def _parse(self, event: Input.Changed) -> None:
        event.stop()
        parsed = self._reader.parsed(event.value)
        if event.value != self._walk.shown:
            found = offers(event.value) if self._input.has_focus else []
            self._walk = _Walk(event.value, tuple(found))
        if parsed.error is None:
            self._show_note()
            self.post_message(self.Changed(self, parsed.where))
        elif parsed.is_word_begun and self._input.has_focus:
            self._show_note()
        else:
            self._show_mistake(parsed.error)

    def _show_note(self) -> None:
        self._note.update(self._walk.content() if self._walk.offers else self._counts)

    def _show_mistake(self, error: FilterError) -> None:
        self._note.update(content(f"column {error.column + 1}: {error}", "$status-error"))

    def _stop_offering(self) -> None:
        """Show the count again, or the mistake in a word that is not typed any more."""
        self._walk = _Walk(self._input.value, ())
        error = self.mistake(self._input.value)
        if error is None:
            self._show_note()
        else:
            self._show_mistake(error)

    def on_descendant_blur(self) -> None:
        """End the completion."""
        self._stop_offering()

    def action_clear(self) -> None:
        """Empty the filter and leave."""
        self._input.value = ""
        self.post_message(self.Left())

    def action_complete(self) -> None:
        """Go to the next completion; without one, go back to the table as the key does elsewhere."""
        if self._walk.shown != self._input.value or len(self._walk.offers) < 2:
            self._walk = _Walk(self._input.value, tuple(offers(self._input.value)))
        if not self._walk.offers:
            self.action_leave()
            return
        self._walk = self._walk.next()
        self._input.value = self._walk.shown
        self._input.action_end()

    @on(Input.Submitted)
    def action_leave(self) -> None:
        """Leave the filter as it is; a mistake in it is told first."""
        error = self.mistake(self._input.value)
        if error is None:
            self.post_message(self.Left())
        else:
            self._show_mistake(error)
