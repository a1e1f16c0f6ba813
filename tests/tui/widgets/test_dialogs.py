"""Questions and help."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.tui.conftest import Cockpit, MakeThemedApp, SnapCompare, Synthetic, text_of, until
from textual.binding import Binding
from textual.content import Content
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Button, Static

from pipeloom.tui.widgets.dialogs import (
    ConfirmDialog,
    ListDialog,
    NameDialog,
)
from pipeloom.tui.widgets.help import HelpDialog, HelpRow, HelpSection, help_sections


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["enter"], False),
        (["escape"], False),
        (["right", "enter"], True),
        (["tab", "enter"], True),
        (["down", "enter"], True),
        (["right", "left", "enter"], False),
        (["right", "escape"], False),
        (["y"], True),
        (["n"], False),
        (["X", "z"], None),
        (["right", "n"], False),
    ],
)
async def test_only_the_other_button_and_its_key_mean_yes(
    themed_app: MakeThemedApp, keys: list[str], answer: bool | None
) -> None:
    answers: list[bool | None] = []
    async with themed_app(Static("below")).run_test(notifications=True) as pilot:
        await pilot.app.push_screen(ConfirmDialog("Cancel a?", Content("It runs."), "Cancel task"), answers.append)
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        assert answers == ([] if answer is None else [answer])


async def test_the_focus_starts_on_the_safe_button_and_the_target_is_named(
    themed_app: MakeThemedApp, nasty: str
) -> None:
    async with themed_app(Static("below")).run_test(notifications=True, size=(80, 24)) as pilot:
        await pilot.app.push_screen(ConfirmDialog(f"Cancel<{nasty}", nasty, "Cancel task"))
        await pilot.pause()
        focused = pilot.app.focused
        assert isinstance(focused, Button)
        assert str(focused.label) == "Keep running (n)"
        text = text_of(pilot.app)
        assert "Cancel<" in text
        assert "Keep running" in text


async def test_it_fits_a_small_terminal(themed_app: MakeThemedApp) -> None:
    async with themed_app(Static("below")).run_test(size=(40, 12)) as pilot:
        await pilot.app.push_screen(ConfirmDialog("Cancel seattle-daily-2012-05?", "It is running.", "Cancel task"))
        await pilot.pause()
        text = text_of(pilot.app)
        assert "Keep running" in text
        assert "Cancel task" in text


async def test_the_key_of_the_action_that_asks_answers_as_it_is_set(themed_app: MakeThemedApp) -> None:
    answers: list[bool | None] = []
    app = themed_app(Static("below"))
    app._bindings.bind("ctrl+c", "bell", description="Ring", show=False, priority=True)
    app._bindings.bind("c", "bell", description="Ring", key_display="c")
    async with app.run_test(size=(80, 24)) as pilot:
        for keys in (["c"], ["n"], ["y"]):
            await app.push_screen(ConfirmDialog("Ring?", "Loud.", "Ring it", action="bell"), answers.append)
            await pilot.pause()
            assert "Keep running (n)" in text_of(app)
            assert "Ring it (y, c)" in text_of(app)
            await pilot.press(*keys)
            await pilot.pause()
        app.push_screen(ConfirmDialog("Ring?", "Loud.", "Ring it", action="bell"), answers.append)
        app.post_message(Key("c", "c"))  # before there is a button
        await pilot.pause()
    assert answers == [True, False, True, True]


async def test_enter_on_the_safe_answer_says_that_nothing_was_done(themed_app: MakeThemedApp) -> None:
    async with themed_app(Static("below")).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.app.push_screen(ConfirmDialog("Cancel a?", "It runs.", "Cancel task"))
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "Nothing was done: y answers yes." in text_of(pilot.app)


async def test_the_words_of_a_question_follow_what_it_is_about(themed_app: MakeThemedApp) -> None:
    left = 3
    async with themed_app(Static("below")).run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(ConfirmDialog(lambda: f"Cancel {left}?", lambda: f"{left} run.", "Cancel"))
        await until(pilot, lambda: "Cancel 3?" in text_of(pilot.app))
        left = 1
        await until(pilot, lambda: "Cancel 1?" in text_of(pilot.app) and "1 run." in text_of(pilot.app))


async def test_a_name_is_asked_for_again_when_there_is_none(themed_app: MakeThemedApp) -> None:
    answers: list[str | None] = []
    async with themed_app(Static("below")).run_test(size=(80, 24)) as pilot:
        await pilot.app.push_screen(NameDialog("Which name?", "status:error"), answers.append)
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "Type a name" in text_of(pilot.app)
        await pilot.press(*"bad", "enter")
        await pilot.pause()
    assert answers == ["bad"]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [(["enter"], "b"), (["down", "enter"], "c"), (["k", "enter"], "a"), (["escape"], "none"), (["q"], "none")],
)
async def test_a_list_marks_what_holds_and_starts_there(
    themed_app: MakeThemedApp, keys: list[str], answer: str
) -> None:
    answers: list[str | None] = []
    async with themed_app(Static("below")).run_test(size=(80, 24)) as pilot:
        rows = [("a", "Alpha"), ("b", "Beta [/]"), ("c", "Gamma")]
        await pilot.app.push_screen(ListDialog("Sort by", rows, ["b"], "none"), answers.append)
        await pilot.pause()
        assert "● Beta [/]" in text_of(pilot.app)
        assert text_of(pilot.app).count("●") == 1
        await pilot.press(*keys)
        await pilot.pause()
    assert answers == [answer]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("kind", ["confirm", "list"])
def test_dialog(
    snap_compare: SnapCompare, cockpit: Cockpit, synthetic: Synthetic, kind: str, size: tuple[int, int]
) -> None:
    async def open_dialog(pilot: Pilot[None]) -> None:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        await pilot.press("asterisk", "x") if kind == "confirm" else await pilot.press("s")

    assert snap_compare(cockpit.app, terminal_size=size, run_before=open_dialog)


async def test_help_shows_keys_labels_and_sentences(themed_app: MakeThemedApp) -> None:
    section = HelpSection(
        "Live", (HelpRow("x", "Cancel", "Ask the task to stop."), HelpRow("[", "[/]", "[@click=app.quit]x[/]"))
    )
    async with themed_app(Static("below")).run_test(notifications=True, size=(100, 30)) as pilot:
        await pilot.app.push_screen(HelpDialog([section]))
        await pilot.pause()
        text = text_of(pilot.app)
        for shown in ("Live", "x  Cancel  Ask the task to stop.", "[  [/]     [@click=app.quit]x[/]"):
            assert shown in text
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, HelpDialog)


async def test_help_is_made_from_the_bindings_that_work_here(themed_app: MakeThemedApp) -> None:
    app = themed_app(Static("below"))
    app._bindings.bind("x", "a")
    app._bindings.key_to_bindings["x"] = [Binding("x", "bell", "Cancel", tooltip="Ask the task to stop.")]
    app._bindings.key_to_bindings["w"] = [Binding("w", "beep", "Wordless")]
    async with app.run_test() as pilot:
        rows = [row for section in help_sections(pilot.app.screen, "Live") for row in section.rows]
        assert HelpRow("x", "Cancel", "Ask the task to stop.") in rows
        assert "Wordless" not in [row.label for row in rows]


async def test_a_dialog_takes_one_answer(themed_app: MakeThemedApp) -> None:
    answers: list[bool | None] = []
    async with themed_app(Static("below")).run_test() as pilot:
        first, second = (ConfirmDialog(name, "It runs.", "Cancel task") for name in ("a", "b"))
        await pilot.app.push_screen(first, answers.append)
        await pilot.app.push_screen(second, answers.append)
        first.dismiss(result=True)
        assert pilot.app.screen is second, "an answer of a covered dialog closes nothing"
        second.dismiss(result=True)
        second.dismiss(result=False)
        first.dismiss(result=False)
        first.dismiss(result=True)
        await pilot.pause()
        assert answers == [True, False]
        assert len(pilot.app.screen_stack) == 1


@pytest.mark.parametrize("seed", range(20))
async def test_fast_keys_over_dialogs_crash_nothing(themed_app: MakeThemedApp, seed: int) -> None:
    chance = random.Random(seed)
    async with themed_app(Static("below")).run_test() as pilot:
        for _ in range(8):
            pilot.app.push_screen(ConfirmDialog("Cancel a?", "It runs.", "Cancel task"))
            pilot.app.push_screen(HelpDialog([HelpSection("Keys", (HelpRow("q", "Quit"),))]))
            for _ in range(10):
                pilot.app.post_message(Key(chance.choice(["enter", "escape", "tab", "q", "right", "r"]), None))
            await asyncio.sleep(0)
        await pilot.pause()
