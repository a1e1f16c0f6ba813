"""How the screens declare their keys: a word for the footer, a sentence for tooltip, help and palette, a dotted id."""

from __future__ import annotations

from textual.binding import Binding


def key(
    keys: str, action: str, word: str, sentence: str, name: str, *, display: str | None = None, footer: bool = True
) -> Binding:
    """Return a binding that has all that a key needs here."""
    return Binding(keys, action, word, tooltip=sentence, id=name, key_display=display, show=footer)
