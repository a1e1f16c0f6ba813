"""The commands of the palette: every action, with its key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from textual.app import App
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen

_THEME: Final = "Theme"
_THEME_HELP: Final = "Choose the colours, until the program ends; `theme` in the settings keeps them."


class ActionCommands(Provider):
    """Offers the actions of screen and app that are enabled now."""

    async def discover(self) -> Hits:
        """Offer every action."""
        for binding, node in self._actions():
            yield DiscoveryHit(
                _title(binding), partial(self.app.run_action, binding.action, node), help=binding.tooltip
            )
        yield DiscoveryHit(_THEME, self.app.action_change_theme, help=_THEME_HELP)

    async def search(self, query: str) -> Hits:
        """Offer the actions that match."""
        matcher = self.matcher(query)
        for binding, node in self._actions():
            score = matcher.match(f"{_title(binding)} {binding.tooltip}")
            if score > 0:
                call = partial(self.app.run_action, binding.action, node)
                yield Hit(score, matcher.highlight(_title(binding)), call, help=binding.tooltip)
        if (score := matcher.match(_THEME)) > 0:
            yield Hit(score, matcher.highlight(_THEME), self.app.action_change_theme, help=_THEME_HELP)

    def _actions(self) -> Iterator[tuple[Binding, DOMNode]]:
        """Yield each binding that has a tooltip, once, with its screen or app; after those the widgets' own."""
        found: dict[tuple[str, DOMNode], Binding] = {}
        for active in self.screen.active_bindings.values():
            if active.binding.tooltip and active.enabled:
                found.setdefault((active.binding.action, active.node), active.binding)
        for (_, node), binding in sorted(found.items(), key=lambda item: not isinstance(item[0][1], App | Screen)):
            yield binding, node


def _title(binding: Binding) -> str:
    return f"{binding.description}  ({binding.key_display or binding.key})"
