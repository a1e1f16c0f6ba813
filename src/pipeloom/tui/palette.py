"""The commands of the palette: every action, with its key."""

from __future__ import annotations

from functools import partial
from typing import Final

from textual.app import App
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.screen import Screen

_THEME: Final = "Theme"
_THEME_HELP: Final = "Choose the colours, until the program ends; `theme` in the settings keeps them."

_MOVEMENTS: Final = frozenset({"tab(1)", "tab(-1)", "step(1)", "step(-1)", "next_running"})
"""Actions of screens that only move; those of widgets do nothing else."""
_MOVEMENT_SHARE: Final = 0.01
"""What a match of a movement counts beside one of an action."""


class ActionCommands(Provider):
    """Offers the actions of screen and app that are enabled now."""

    async def discover(self) -> Hits:
        """Offer every action; movements come last."""
        for binding, node, _ in self._actions():
            yield DiscoveryHit(
                _title(binding), partial(self.app.run_action, binding.action, node), help=binding.tooltip
            )
        yield DiscoveryHit(_THEME, self.app.action_change_theme, help=_THEME_HELP)

    async def search(self, query: str) -> Hits:
        """Offer the actions that match; movements come last."""
        matcher = self.matcher(query)
        for binding, node, moves in self._actions():
            score = matcher.match(f"{_title(binding)} {binding.tooltip}")
            if score > 0:
                call = partial(self.app.run_action, binding.action, node)
                score = score * _MOVEMENT_SHARE if moves else score
                yield Hit(score, matcher.highlight(_title(binding)), call, help=binding.tooltip)
        if (score := matcher.match(_THEME)) > 0:
            yield Hit(score, matcher.highlight(_THEME), self.app.action_change_theme, help=_THEME_HELP)

    def _actions(self) -> list[tuple[Binding, DOMNode, bool]]:
        """Return each binding that has a tooltip, once, with the node that it acts on, and whether it only moves."""
        found: dict[tuple[str, str], tuple[Binding, DOMNode, bool]] = {}
        for active in self.screen.active_bindings.values():
            binding, node = active.binding, active.node
            if not binding.tooltip or not active.enabled or binding.action.endswith("command_palette"):
                continue
            row = (binding.description, binding.tooltip)
            if row not in found or (binding.show and not found[row][0].show):
                found[row] = binding, node, not isinstance(node, App | Screen) or binding.action in _MOVEMENTS
        return sorted(found.values(), key=lambda item: item[2])


def _title(binding: Binding) -> str:
    return f"{binding.description}  ({binding.key_display or binding.key})"
