"""The two themes made for pipeloom, the variables that its style sheets share, and where the sheets are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from textual.color import Color
from textual.theme import Theme

DARK: Final = Theme(
    name="pipeloom-dark",
    primary="#7aa2f7",
    secondary="#7dcfff",
    accent="#e0af68",
    warning="#e0af68",
    error="#f7768e",
    success="#9ece6a",
    foreground="#c0caf5",
    background="#16171f",
    surface="#1b1c26",
    panel="#232433",
    dark=True,
    variables={
        "status-queued": "#7d84a8",
        "status-retrying": "#bb9af7",
        "status-running": "#7aa2f7",
        "status-cancelling": "#e0af68",
        "status-done": "#9ece6a",
        "status-error": "#f7768e",
        "status-cancelled": "#8a90b0",
        "status-interrupted": "#ff9e64",
        "status-skipped": "#8a90b0",
        "status-unknown": "#8a90b0",
        "muted": "#7d84a8",
        "faint": "#4a4f6b",
        "rail": "#34364a",
        "line-cursor": "#262a3f",
        "line-cursor-blurred": "#20222f",
        "border": "#3b4261",
        "border-blurred": "#2a2c3d",
        "footer-background": "#1b1c26",
        "footer-key-foreground": "#e0af68",
        "footer-description-foreground": "#a5adce",
        "input-selection-background": "#7aa2f7 30%",
        "block-cursor-background": "#7aa2f7",
        "block-cursor-foreground": "#16171f",
        "block-cursor-text-style": "bold",
        "button-color-foreground": "#16171f",
        "scrollbar": "#34364a",
        "scrollbar-hover": "#4a4f6b",
        "scrollbar-active": "#7aa2f7",
        "scrollbar-background": "#16171f",
        "scrollbar-background-hover": "#16171f",
        "scrollbar-background-active": "#16171f",
        "scrollbar-corner-color": "#16171f",
    },
)

LIGHT: Final = Theme(
    name="pipeloom-light",
    primary="#2e5cc5",
    secondary="#007197",
    accent="#8c5a00",
    warning="#8c5a00",
    error="#c0244c",
    success="#3f6f1d",
    foreground="#2c3148",
    background="#f6f7fb",
    surface="#eceef5",
    panel="#e1e4ee",
    dark=False,
    variables={
        "status-queued": "#61678a",
        "status-retrying": "#7843c6",
        "status-running": "#2e5cc5",
        "status-cancelling": "#8c5a00",
        "status-done": "#3f6f1d",
        "status-error": "#c0244c",
        "status-cancelled": "#61678a",
        "status-interrupted": "#a8470b",
        "status-skipped": "#61678a",
        "status-unknown": "#61678a",
        "muted": "#61678a",
        "faint": "#9aa0ba",
        "rail": "#ced2e2",
        "line-cursor": "#dfe5f7",
        "line-cursor-blurred": "#e9ebf3",
        "border": "#b3b9d0",
        "border-blurred": "#d3d7e5",
        "footer-background": "#eceef5",
        "footer-key-foreground": "#8c5a00",
        "footer-description-foreground": "#4a5070",
        "input-selection-background": "#2e5cc5 25%",
        "block-cursor-background": "#2e5cc5",
        "block-cursor-foreground": "#f6f7fb",
        "block-cursor-text-style": "bold",
        "button-color-foreground": "#f6f7fb",
        "scrollbar": "#ced2e2",
        "scrollbar-hover": "#9aa0ba",
        "scrollbar-active": "#2e5cc5",
        "scrollbar-background": "#f6f7fb",
        "scrollbar-background-hover": "#f6f7fb",
        "scrollbar-background-active": "#f6f7fb",
        "scrollbar-corner-color": "#f6f7fb",
    },
)

THEMES: Final = (DARK, LIGHT)
SHEETS: Final = ("app.tcss", "live.tcss", "history.tcss", "dialogs.tcss", "reports.tcss", "home.tcss")


def variable_defaults(theme: Theme) -> dict[str, str]:
    """Return the variables of our style sheets, made from the colours of any theme; its own values go first.

    For `App.get_theme_variable_defaults`: `return variable_defaults(self.current_theme)`.
    """
    colors = theme.to_color_system().generate()
    return {
        "status-queued": _mixed(colors, 0.55),
        "status-retrying": colors["secondary"],
        "status-running": colors["primary"],
        "status-cancelling": colors["warning"],
        "status-done": colors["success"],
        "status-error": colors["error"],
        "status-cancelled": _mixed(colors, 0.55),
        "status-interrupted": colors["warning"],
        "status-skipped": _mixed(colors, 0.55),
        "status-unknown": _mixed(colors, 0.55),
        "muted": _mixed(colors, 0.6),
        "faint": _mixed(colors, 0.35),
        "rail": _mixed(colors, 0.2),
        "line-cursor": _mixed(colors, 0.12),
        "line-cursor-blurred": _mixed(colors, 0.07),
    }


def css_paths() -> list[Path]:
    """Return the style sheets: inside the package when it was installed from a wheel, else those of the checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "css"
    folder = installed if installed.is_dir() else package.parents[1] / "css"
    return [folder / name for name in SHEETS]


def _mixed(colors: dict[str, str], share: float) -> str:
    """Return the foreground at `share` over the background; unmixed where the terminal owns the colours."""
    foreground, background = Color.parse(colors["foreground"]), Color.parse(colors["background"])
    if foreground.ansi is not None or background.ansi is not None:
        return colors["foreground"]
    return background.blend(foreground, share, alpha=1).hex
