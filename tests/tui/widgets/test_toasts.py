"""What the screens tell: each sentence once, and on a low screen all on one line."""

from __future__ import annotations

import pytest
from tests.tui.conftest import Cockpit, text_of, until
from textual.widgets._toast import Toast


def shown(cockpit: Cockpit) -> list[str]:
    return [str(toast.render()) for toast in cockpit.app.screen.query(Toast)]


async def test_on_a_low_screen_all_sentences_are_on_one_line_above_the_footer(cockpit: Cockpit) -> None:
    async with cockpit.app.run_test(size=(80, 24), notifications=True) as pilot:
        for sentence in ("One.", "Two is [red]longer[/].", "One."):
            cockpit.app.tell(sentence)
        await until(pilot, lambda: shown(cockpit) == ["One. (2 times)  Two is [red]longer[/]."])
        assert text_of(cockpit.app).splitlines()[-2].strip("▌ ") == "One. (2 times)  Two is [red]longer[/]."
        cockpit.app.tell("x" * 200, problem=True)
        await until(pilot, lambda: shown(cockpit)[0].startswith("xxx"))
        line = text_of(cockpit.app).splitlines()[-2]
        assert line.rstrip().endswith("…")
        assert [toast.classes & {"-warning", "-information"} for toast in cockpit.app.screen.query(Toast)] == [
            {"-warning"}
        ]
        assert "xx" not in text_of(cockpit.app).splitlines()[-3]


async def test_on_a_high_screen_the_newest_three_have_boxes(cockpit: Cockpit) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        for sentence in ("One.", "Two.", "Three.", "Two.", "Four."):
            cockpit.app.tell(sentence)
        await until(pilot, lambda: shown(cockpit) == ["Three.", "Two. (2 times)", "Four."])


async def test_a_sentence_takes_the_place_of_the_one_on_the_same_topic(cockpit: Cockpit) -> None:
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        for sentence, topic in (("Paused.", "pause"), ("Copied.", ""), ("Going on.", "pause"), ("Copied twice.", "")):
            cockpit.app.tell(sentence, topic=topic)
        await until(pilot, lambda: shown(cockpit) == ["Copied.", "Going on.", "Copied twice."])


async def test_a_sentence_is_counted_only_while_it_is_shown(cockpit: Cockpit) -> None:
    async with cockpit.app.run_test(size=(80, 24), notifications=True) as pilot:
        cockpit.app.tell("One.")
        await until(pilot, lambda: shown(cockpit) == ["One."])
        cockpit.monotonic += 6
        cockpit.app.tell("Two.")
        await until(pilot, lambda: shown(cockpit) == ["Two."])


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_sentences_told_between_two_turns_of_the_loop_are_each_shown_once(
    cockpit: Cockpit, size: tuple[int, int]
) -> None:
    async with cockpit.app.run_test(size=size, notifications=True) as pilot:
        for number in range(40):
            cockpit.app.tell(f"Sentence {number}.")
            if number % 7 == 0:
                await pilot.pause()
        await until(pilot, lambda: "Sentence 39." in " ".join(shown(cockpit)))
        await pilot.pause()
        assert sum(toast.count("Sentence 39.") for toast in shown(cockpit)) == 1
        assert len(cockpit.app._notifications) == (1 if size[1] < 30 else 3)
