"""What the user settles for good, and what the screens remember of a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.tui.conftest import Cockpit, Synthetic, text_of, until

from pipeloom.engine.engine import Engine
from pipeloom.errors import UsageError
from pipeloom.pipeline import Pipeline
from pipeloom.tui.app import PipeloomApp
from pipeloom.tui.settings import Settings, read_settings, save_filter
from pipeloom.tui.settings_check import mistakes
from pipeloom.tui.table.virtual_table import VirtualTable
from pipeloom.tui.widgets.filter_bar import FilterBar
from pipeloom.user_state import UserState


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "none.toml") == Settings()


def test_the_example_of_the_readme_is_read_without_a_complaint(tmp_path: Path) -> None:
    readme = Path(__file__).parents[2] / "README.md"
    settings = settings_of(tmp_path, readme.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0])
    assert settings.warnings == ()
    assert (settings.theme, settings.workers) == ("pipeloom-light", 8)
    assert settings.columns["live"] == ("task", "status", "progress", "eta", "message")
    assert settings.keys["live.cancel"] == "c"


def test_each_mistake_is_told_with_its_line_and_the_rest_holds(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        'theme = 7\nworkers = 0\ncolour = "red"\n\n[columns]\nlive = ["task", "nope"]\nnowhere = []\n\n[keys]\n"live.cancel" = 3\n',
    )
    assert [warning.partition("settings.toml, ")[2] for warning in settings.warnings] == [
        "line 1: theme must be a text",
        "line 2: workers must be at least 1",
        "line 6: live has no column 'nope'; there are id, task, status, progress, try, elapsed, eta, rows, message",
        "line 7: unknown screen 'nowhere' in [columns]",
        'line 10: the keys of live.cancel must be a text such as "c" or "c,ctrl+k"',
        "line 3: unknown setting 'colour'",
    ]
    assert settings.columns == {"live": ("task",)}


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"settings.toml is no TOML: Invalid value \(at line 1, column 9\)"):
        settings_of(tmp_path, "theme = \n")


HARMFUL = {
    "nested": b"workers = 2\nx = " + b"[" * 10_000 + b"]" * 10_000,
    "tables": b"workers = 2\nx = " + b"{a=" * 10_000 + b"}" * 10_000,
    "integer": b"x = 1\nworkers = " + b"9" * 5_000 + b"\n",
    "no text": b"workers = 2\nx = '\xff\xfe'\n",
    "zero bytes": b"\0" * 100,
    "large": b"#",
}
TOLD = {
    "nested": ", line 2: this is nested too deep",
    "tables": ", line 2: this is nested too deep",
    "integer": " line 2: a number has too many digits",
    "no text": ", line 2: this is no UTF-8",
    "zero bytes": "line 1",
    "large": "it has 100 MB, and 1.0 MB at most are read",
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_file_is_told_in_a_sentence_and_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(HARMFUL[kind])
    if kind == "large":
        os.truncate(path, 100_000_000)
    with pytest.raises(UsageError) as raised:
        read_settings(path)
    warning = str(raised.value)
    assert str(path) in warning
    assert TOLD[kind] in warning
    assert len(warning) < 400
    with pytest.raises((ValueError, OSError)):
        save_filter("mine", "status:error", path)
    assert path.read_bytes().rstrip(b"\0") == HARMFUL[kind].rstrip(b"\0")
    memory = UserState(tmp_path / "etl.db", path)
    assert memory.get("live.sort") == ""


@pytest.mark.parametrize(
    ("kind", "words"), [("folder", "it is a directory"), ("pipe", "it is a pipe"), ("device", "it is a device")]
)
def test_what_is_no_file_is_told_in_a_sentence_and_not_waited_for(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "settings.toml"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=f"settings.toml cannot be read: {words}, not a file."):
        read_settings(path)
    with pytest.raises(OSError, match="not a file"):
        save_filter("mine", "status:error", path)
    memory = UserState(tmp_path / "etl.db", path)
    assert memory.get("live.sort") == ""


def test_a_name_of_many_parts_is_a_mistake_like_others(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "a." * 2_000 + "b = 1\n")
    assert len(settings.warnings) == 1
    assert "unknown setting 'a'" in settings.warnings[0]


def test_numbers_without_bounds_are_mistakes_like_others(tmp_path: Path) -> None:
    huge = "0x" + "f" * 5_000
    settings = settings_of(tmp_path, f"workers = {huge}\n[columns]\nlive = [{huge}, 'task']\n[filters]\na = {huge}\n")
    assert [warning.partition("settings.toml, ")[2] for warning in settings.warnings] == [
        "line 1: workers must be at most 1,000",
        "line 3: the columns of live must be texts",
        "line 5: the filter 'a' is wrong: status: needs a value.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[filters] # mine\n",
        "[ filters ]\n",
        'filters = { old = "x" }\n',
        '[filters]\n"a \\u0022b\\u0022" = "x"\n',
        "x =",
    ],
    ids=["a comment", "blanks", "on one line", "escapes", "no toml"],
)
def test_keeping_a_filter_never_spoils_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"line|lost"):
        save_filter('a "b"', "status:error", path)
    assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_filter_is_kept_in_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "settings.toml"
    real.write_text("workers = 3\n", encoding="utf-8")
    link.symlink_to(real)
    save_filter("mine", 'name:"x"', link)
    assert link.is_symlink()
    assert read_settings(real).filters == {"mine": 'name:"x"'}
    assert read_settings(real).workers == 3


async def test_settings_choose_theme_columns_and_keys(tmp_path: Path, synthetic: Synthetic) -> None:
    chosen = Settings(theme="pipeloom-light", columns={"live": ("status", "task")}, keys={"live.cancel": "c"})
    cockpit = Cockpit(tmp_path, settings=chosen)
    app = cockpit.app
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        cockpit.commit(synthetic.rows(), synthetic.run)
        await cockpit.settle(pilot)
        assert app.theme == "pipeloom-light"
        header = next(line for line in text_of(app).split("\n") if "Status" in line)
        assert header.split() == ["Status", "Task"]
        await pilot.press("c")
        await pilot.pause()
        assert "Cancel this task?" in text_of(app)


async def test_all_mistakes_of_the_settings_can_be_read_on_a_low_screen(cockpit: Cockpit) -> None:
    found = tuple(f"settings.toml, line {line}: unknown setting 'x{line}'" for line in range(2, 8))
    cockpit.app.settings = Settings(theme="none", warnings=found, places={"theme": "settings.toml, line 1"})
    async with cockpit.app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "7 mistakes in the settings: ? shows them." in text_of(cockpit.app))
        await pilot.press("question_mark")
        await pilot.pause()
        shown = " ".join(text_of(cockpit.app).split())
        assert all(sentence in shown for sentence in found)
        assert "settings.toml, line 1: there is no theme 'none'" in shown


def test_a_mistake_has_the_line_of_its_own_table(tmp_path: Path) -> None:
    text = (
        'workers = 2\n[filters]\ntheme = "status:"\n"a = b" = "status:"\n[columns]\nkeys = []\n[other]\nfilters = 1\n'
    )
    settings = settings_of(tmp_path, f'{text}[keys]\nworkers = "c"\ncolumns = 3\nlive.cancel = "c"\n')
    told = mistakes(settings, [], PipeloomApp)
    assert [warning.partition("settings.toml, ")[2].partition(": ")[0] for warning in told] == [
        "line 6",
        "line 11",
        "line 12",
        "line 3",
        "line 4",
        "line 7",
        "line 10",
    ]


async def test_a_single_mistake_is_told_at_once_where_there_is_room(cockpit: Cockpit) -> None:
    cockpit.app.settings = Settings(warnings=("settings.toml, line 3: unknown setting",))
    async with cockpit.app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: "settings.toml, line 3: unknown setting" in text_of(cockpit.app))


KEYS = """
theme = "nope"
[keys]
"live.cancel" = "ctrl+x"
"live.pause" = "r"
"live.cancle" = "c"
"timeline.in" = "y"
"elsewhere" = "ctrl+k,ctrl+l"
"app.quit" = "q,ctrl+d"
"""


def test_keys_and_theme_that_cannot_hold_are_told_with_their_line(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, KEYS)
    assert settings.warnings == ()
    found = [told.partition("settings.toml, ")[2] for told in mistakes(settings, ["pipeloom-dark"], PipeloomApp)]
    assert found == [
        "line 2: there is no theme 'nope'; ctrl+p lists them",
        "line 6: no action has the id 'live.cancle': is it live.cancel?",
        "line 8: no action has the id 'elsewhere'",
        "line 5: the key 'r' of live.pause is that of live.retry too",
    ]


def test_keys_that_are_exchanged_are_no_mistake(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[keys]\n"live.cancel" = "r"\n"live.retry" = "x"\n"table.down" = "j,down"\n')
    assert list(mistakes(settings, [], PipeloomApp)) == []


async def test_order_and_filter_are_remembered_for_each_file(tmp_path: Path) -> None:
    def app_of(name: str) -> PipeloomApp:
        path = tmp_path / name
        engine = Engine(path, Pipeline("weather", [], print))
        return PipeloomApp(path, engine, memory=UserState(path, tmp_path / "state" / "screens.json"), start=False)

    first = app_of("etl.db")
    async with first.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"status:error", "enter")
        await pilot.pause()
        first.screen._choose_order("elapsed")  # type: ignore[attr-defined]
        await pilot.press("S")
    for name, text, order in (("etl.db", "status:error", ("elapsed", True)), ("other.db", "", None)):
        again = app_of(name)
        async with again.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            assert again.screen.query_one(FilterBar).is_filtering is bool(text)
            assert str(again.board._filter) == text
            assert again.screen.query_one(VirtualTable)._sorted == order


def test_a_damaged_memory_is_an_empty_one(tmp_path: Path) -> None:
    state = tmp_path / "screens.json"
    for text in ("{", "[]", '{"x": 3}', "\x00"):
        state.write_text(text, encoding="utf-8")
        memory = UserState(tmp_path / "etl.db", state)
        assert memory.get("live.sort") == ""
        memory.put("live.sort", "task")
        memory.save()
        assert UserState(tmp_path / "etl.db", state).get("live.sort") == "task"


@pytest.mark.parametrize(
    ("text", "command", "told"),
    [
        ('[notify]\non_failure = "mail me"\n', "mail me", []),
        ('[notify]\non_failure = ["mail", "me"]\n', ("mail", "me"), []),
        ("[notify]\n", None, []),
        ('[notify]\non_failure = ""\n', None, ["line 2: on_failure must be a command"]),
        ("\n[notify]\non_failure = [1]\n", None, ["line 3: on_failure must be a command"]),
        ('[notify]\non_fail = "x"\n', None, ["line 2: unknown setting 'on_fail' in [notify]"]),
        ("notify = 1\n", None, ["line 1: notify must be a table"]),
    ],
)
def test_the_command_for_a_run_that_has_failed(tmp_path: Path, text: str, command: object, told: list[str]) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    settings = read_settings(path)
    assert settings.on_failure == command
    assert [
        warning.split(", ", 1)[1][: len(what)] for warning, what in zip(settings.warnings, told, strict=True)
    ] == told
