"""The filter line above a table, with the number of rows that pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

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


def completed(text: str) -> str | None:
    """Return the text with its last word completed in the first possible way; None when there is none."""
    word = text.rsplit(" ", 1)[-1].lstrip("-")
    offers = completions(text, len(text)) if word else []
    return next((text[: len(text) - len(word)] + offer for offer in offers if offer != word), None)


class _Completion(Suggester):
    """Offers the rest of a field or value, dim behind the cursor."""

    async def get_suggestion(self, value: str) -> str | None:
        """Return the completed text."""
        return completed(value)


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

    @classmethod
    def of(cls, text: str) -> _Parsed:
        """Parse `text`."""
        terms: list[Term] = []
        styles: list[tuple[str, int, int]] = []
        first: FilterError | None = None
        try:
            for column, word in words(text):
                style = "reverse"
                try:
                    terms += parse(" " * column + word).terms
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

    def __init__(self) -> None:
        self._newest = _Parsed()

    def parsed(self, text: str) -> _Parsed:
        """Return the parsed form of `text`."""
        if text != self._newest.text:
            self._newest = _Parsed.of(text)
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
    FilterBar .filter-note { width: auto; max-width: 60%; padding: 0 1; }
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

    def __init__(self, text: str = "", **kwargs: Any) -> None:
        """Start with `text`."""
        super().__init__(classes="filter-line", **kwargs)
        self._text = text
        self._reader = _Reader()
        self._counts = Content("")

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
            self._note.update(count, layout=not fits)

    @on(_Field.Restricted)
    def _refuse(self) -> None:
        self._note.update(content(TOO_LONG, "$status-error"))

    @on(Input.Changed)
    def _parse(self, event: Input.Changed) -> None:
        event.stop()
        parsed = self._reader.parsed(event.value)
        if parsed.error is not None:
            self._note.update(content(f"column {parsed.error.column + 1}: {parsed.error}", "$status-error"))
            return
        self._note.update(self._counts)
        self.post_message(self.Changed(self, parsed.where))

    def action_clear(self) -> None:
        """Empty the filter and leave."""
        self._input.value = ""
        self.post_message(self.Left())

    def action_complete(self) -> None:
        """Accept the completion; without one, go back to the table as the key does elsewhere."""
        text = completed(self._input.value)
        if text is None:
            self.action_leave()
            return
        self._input.value = text
        self._input.action_end()

    @on(Input.Submitted)
    def action_leave(self) -> None:
        """Leave the filter as it is."""
        self.post_message(self.Left())
