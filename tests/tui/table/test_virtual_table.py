"""The virtual table: what it costs, and that cursor and marks stay with their rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text
from tests.tui.conftest import MakeThemedApp, text_of
from textual.app import App
from textual.message import Message
from textual.strip import Strip

from pipeloom.tui.table.columns import GUTTER, Column, RenderContext, SeenTexts, fit
from pipeloom.tui.table.virtual_table import VirtualTable


@dataclass(frozen=True)
class Item:
    id: int
    name: str = "item"


@dataclass
class Items:
    """A row source over a list, that notes what it is asked for."""

    rows: list[Item | None]
    windows: list[tuple[int, int]] = field(default_factory=list)

    def count(self) -> int:
        return len(self.rows)

    def window(self, start: int, stop: int) -> Sequence[Item | None]:
        self.windows.append((start, stop))
        return self.rows[start:stop]

    def key(self, row: Item) -> Hashable:
        return row.id

    def index(self, key: Hashable) -> int | None:
        return next((place for place, row in enumerate(self.rows) if row is not None and row.id == key), None)


class Million:
    """A million rows that exist only when asked for."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int]] = []

    def count(self) -> int:
        return 1_000_000

    def window(self, start: int, stop: int) -> Sequence[Item]:
        self.windows.append((start, stop))
        return [Item(number) for number in range(start, stop)]

    def key(self, row: Item) -> Hashable:
        return row.id

    def index(self, key: Hashable) -> int | None:
        return key if isinstance(key, int) else None


class Drawn:
    """The cells of the tests; counts how often one is drawn."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.columns = (
            Column[Item]("id", "ID", self._id, width=6, justify="right"),
            Column[Item]("name", "Name", lambda row, _context: Text(row.name), width=12, share=1),
        )

    def _id(self, row: Item, _context: RenderContext) -> Text:
        self.ids.append(row.id)
        return Text(str(row.id))


def make(rows: int | list[Item | None]) -> tuple[VirtualTable[Item], Items, Drawn]:
    source = Items([Item(number) for number in range(rows)] if isinstance(rows, int) else rows)
    drawn = Drawn()
    return VirtualTable(source, drawn.columns), source, drawn


def line_of_cursor(app: App[None]) -> int:
    return next(y for y, line in enumerate(text_of(app).split("\n")) if line.startswith("▌"))


def cursor_shown(app: App[None]) -> int:
    return int(text_of(app).split("\n")[line_of_cursor(app)][1 : GUTTER + 6].replace("•", ""))


async def test_a_million_rows_cost_only_the_lines_on_the_screen(themed_app: MakeThemedApp) -> None:
    source, drawn = Million(), Drawn()
    table = VirtualTable(source, drawn.columns)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        await pilot.press("end", "pageup", "home")
        assert sum(stop - start for start, stop in source.windows) < 1000
        assert len(drawn.ids) < 300
        source.windows.clear()
        drawn.ids.clear()
        await pilot.press("end")
        await pilot.pause()
        assert cursor_shown(pilot.app) == 999_999
        assert max(stop - start for start, stop in source.windows) <= 20
        assert len(drawn.ids) <= 20


async def test_a_refresh_draws_only_the_rows_that_changed(themed_app: MakeThemedApp) -> None:
    table, source, drawn = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        drawn.ids.clear()
        source.rows[3] = Item(3, "changed")
        source.rows[80] = Item(80, "changed out of sight")
        table.refresh_rows()
        await pilot.pause()
        assert drawn.ids == [3]
        assert "changed" in text_of(pilot.app)


async def test_nothing_is_drawn_when_nothing_changed(themed_app: MakeThemedApp) -> None:
    table, source, drawn = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause(0.1)  # whatever the first paint has called for
        drawn.ids.clear()
        source.windows.clear()
        table.refresh_rows()
        await pilot.pause()
        assert drawn.ids == []
        assert len(source.windows) == 2, "the cursor's row and the visible rows are looked at, and nothing is painted"


async def test_it_can_be_filled_before_it_is_on_the_screen(themed_app: MakeThemedApp) -> None:
    table, source, drawn = make(3)
    source.rows.append(Item(3))
    table.refresh_rows()
    table.set_columns(drawn.columns[:1])
    table.tick(5.0)
    table.move_cursor(2)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert table.row_count == 4
        assert "Name" not in text_of(pilot.app)


async def test_rows_that_keep_their_line_while_others_go_above_them_are_not_drawn_again(
    themed_app: MakeThemedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, source, _drawn = make(100)
    asked: list[int] = []
    draw = table.render_line

    def noted(y: int) -> Strip:
        asked.append(y)
        return draw(y)

    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table.move_cursor(50)
        await pilot.pause()
        monkeypatch.setattr(table, "render_line", noted)
        asked.clear()
        source.rows = source.rows[30:] + source.rows[:30]
        table.refresh_rows()
        await pilot.pause()
        assert (table.cursor_key, table.cursor_index, line_of_cursor(pilot.app)) == (50, 20, 19)
        assert asked == []


async def test_news_that_come_between_a_scroll_and_its_paint_do_not_undo_it(themed_app: MakeThemedApp) -> None:
    table, _source, _drawn = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table.scroll_to(y=30, animate=False, force=True)
        table.refresh_rows()
        assert table.scroll_offset.y == 30
        await pilot.pause()
        assert table.visible_range[0] == 30


async def test_the_cursor_costs_two_lines_per_move(themed_app: MakeThemedApp) -> None:
    table, _source, drawn = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        drawn.ids.clear()
        await pilot.press("down")
        assert sorted(drawn.ids) == [0, 1]


async def test_the_cursor_stays_on_its_row_and_its_line_when_rows_come_above_it(themed_app: MakeThemedApp) -> None:
    table, source, _drawn = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table.move_cursor(40)
        await pilot.press("up", "up")
        before = line_of_cursor(pilot.app)
        source.rows[:0] = [Item(1000 + number) for number in range(7)]
        table.refresh_rows()
        await pilot.pause()
        assert cursor_shown(pilot.app) == 38
        assert line_of_cursor(pilot.app) == before
        del source.rows[:20]
        table.refresh_rows()
        await pilot.pause()
        assert cursor_shown(pilot.app) == 38
        assert line_of_cursor(pilot.app) == before


async def test_what_is_read_stays_when_the_cursor_is_out_of_sight(themed_app: MakeThemedApp) -> None:
    table, source, _drawn = make(200)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table.scroll_to(y=100, animate=False)
        await pilot.pause()
        top = text_of(pilot.app).split("\n")[1]
        source.rows[:0] = [Item(1000)]
        table.refresh_rows()
        await pilot.pause()
        assert text_of(pilot.app).split("\n")[1] == top
        assert table.cursor_key == 0


async def test_the_cursor_takes_the_next_row_when_its_own_is_gone(themed_app: MakeThemedApp) -> None:
    table, source, _drawn = make(10)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.press("down", "down")
        del source.rows[2]
        table.refresh_rows()
        await pilot.pause()
        assert (table.cursor_key, table.cursor_index) == (3, 2)
        del source.rows[2:]
        table.refresh_rows()
        assert (table.cursor_key, table.cursor_index) == (1, 1)
        source.rows.clear()
        table.refresh_rows()
        await pilot.pause()
        assert (table.cursor_key, table.cursor_row, table.cursor_index) == (None, None, 0)
        assert "Nothing here yet." in text_of(pilot.app)


async def test_marks_follow_their_rows(themed_app: MakeThemedApp) -> None:
    table, source, _drawn = make(10)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.press("down")
        table.toggle_mark()
        source.rows.reverse()
        table.refresh_rows()
        await pilot.pause()
        assert [line.split()[:2] for line in text_of(pilot.app).split("\n") if "•" in line] == [["▌•", "1"]]
        table.move_cursor(5)
        table.mark_range()
        assert table.marked == {1, 2, 3, 4}
        table.toggle_mark(2)
        assert table.marked == {1, 3, 4}
        table.clear_marks()
        await pilot.pause()
        assert "•" not in text_of(pilot.app)


async def test_a_row_that_is_not_loaded_is_a_placeholder_until_it_is(themed_app: MakeThemedApp) -> None:
    table, source, _drawn = make([None, None, Item(2)])
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert text_of(pilot.app).count("···") == 4
        before = table.cursor_key
        assert before is None
        await pilot.press("enter")
        source.rows[0] = Item(7)
        table.refresh_rows()
        await pilot.pause()
        assert table.cursor_key == 7
        assert cursor_shown(pilot.app) == 7


async def test_it_tells_what_is_highlighted_chosen_and_clicked(themed_app: MakeThemedApp) -> None:
    table, _source, _drawn = make(10)
    kinds = (VirtualTable.Highlighted, VirtualTable.Chosen, VirtualTable.HeaderClicked, VirtualTable.MarksChanged)
    told: list[Message] = []

    def note(message: Message) -> None:
        if isinstance(message, kinds) and not any(message is known for known in told):
            told.append(message)

    async with themed_app(table).run_test(size=(60, 20), message_hook=note) as pilot:
        await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.click(table, offset=(5, 0))
        await pilot.click(table, offset=(12, 0))
        await pilot.click(table, offset=(12, 5), times=2)
        await pilot.pause()
    names = [
        type(message).__name__ + str(getattr(message, "key", getattr(message, "column_id", ""))) for message in told
    ]
    assert names == [
        "Highlighted0",
        "Highlighted1",
        "Chosen1",
        "HeaderClickedid",
        "HeaderClickedname",
        "Highlighted4",
        "Chosen4",
    ]


async def test_the_header_stays_while_the_rows_scroll(themed_app: MakeThemedApp) -> None:
    table, _source, _drawn = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        table.show_sort("id", descending=True)
        await pilot.press("end")
        assert "ID ↓" in text_of(pilot.app).split("\n")[0]


async def test_a_narrow_table_scrolls_sideways_header_and_all(themed_app: MakeThemedApp) -> None:
    columns = [Column[Item](str(n), f"head{n}", lambda row, _c: Text(f"cell{row.id}"), width=12) for n in range(8)]
    table = VirtualTable(Items([Item(number) for number in range(5)]), columns)
    async with themed_app(table).run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        assert "head7" not in text_of(pilot.app)
        table.scroll_to(x=1000, animate=False)
        await pilot.pause()
        header, first = text_of(pilot.app).split("\n")[:2]
        assert header.index("head7") == first.rindex("cell0")


async def test_a_tick_redraws_only_rows_that_read_the_clock(themed_app: MakeThemedApp) -> None:
    source, drawn = Items([Item(number) for number in range(10)]), Drawn()
    table = VirtualTable(source, drawn.columns, beside=lambda row, second: second if row.id in (2, 4) else 0)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        drawn.ids.clear()
        table.tick(1000.2)
        await pilot.pause()
        assert drawn.ids == [2, 4]
        table.tick(1000.9)
        await pilot.pause()
        assert drawn.ids == [2, 4]


async def test_a_change_of_theme_draws_all_anew(themed_app: MakeThemedApp) -> None:
    table, _source, drawn = make(5)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        drawn.ids.clear()
        pilot.app.theme = "pipeloom-light"
        await pilot.pause()
        assert set(drawn.ids) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 20), (60, 1), (300, 100)])
async def test_it_survives_any_size(themed_app: MakeThemedApp, size: tuple[int, int]) -> None:
    table, _source, _drawn = make(50)
    async with themed_app(table).run_test(size=size) as pilot:
        await pilot.press("down", "end", "pageup", "enter")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert cursor_shown(pilot.app) == table.cursor_key


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 60), st.integers(1, 5)),
        st.tuples(st.just("remove"), st.integers(0, 60), st.integers(1, 5)),
        st.tuples(st.just("replace"), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("sort"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("move"), st.integers(-70, 70), st.just(0)),
        st.tuples(st.just("scroll"), st.integers(0, 80), st.just(0)),
        st.tuples(st.just("mark"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


class Model:
    """Plays the steps on a table, and knows where the cursor must be."""

    def __init__(self, app: App[None], table: VirtualTable[Item], source: Items) -> None:
        self.app, self.table, self.source = app, table, source
        self.fresh = 1000
        self.at_top = True
        """Whether the cursor belongs to the top of the table: until it is moved away, and after it came back."""

    def play(self, step: str, place: int, many: int) -> None:
        key, index, rows = self.table.cursor_key, self.table.cursor_index, self.source.rows
        match step:
            case "insert":
                rows[place:place] = [Item(self.fresh + number) for number in range(many)]
                self.fresh += many
            case "remove":
                del rows[place : place + many]
            case "replace" if place < len(rows) and (row := rows[place]) is not None:
                rows[place] = Item(row.id, f"v{self.fresh}")
                self.fresh += 1
            case "sort":
                rows.sort(key=lambda row: (0 if row is None else row.id * (7 + place) % 31, str(row)))
            case "move":
                self.table.move_cursor(index + place)
                self.at_top = self.table.cursor_index == 0
                return
            case "scroll":
                self.table.scroll_to(y=place, animate=False)
            case "mark":
                self.table.toggle_mark()
        on_top = self.at_top and self.table.scroll_offset.y == 0
        self.table.refresh_rows()
        if on_top:
            assert self.table.cursor_index == 0
        elif self.source.index(key) is not None:
            assert self.table.cursor_key == key
        elif rows:
            assert self.table.cursor_index == min(index, len(rows) - 1)

    def check(self) -> None:
        """What is on the screen is what the source holds there."""
        rows, table = self.source.rows, self.table
        first, last = table.visible_range
        shown = text_of(self.app).split("\n")[1:]
        for line, row in zip(shown, rows[first:last], strict=False):
            assert row is not None
            assert line[GUTTER : GUTTER + 20].split() == [str(row.id), row.name]
            assert (line[0] == "▌") == (row.id == table.cursor_key)
            assert (line[1] == "•") == (row.id in table.marked)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_cursor_and_screen_are_right_after_any_changes(
    themed_app: MakeThemedApp, steps: list[tuple[str, int, int]]
) -> None:
    table, source, _drawn = make(40)
    app = themed_app(table)
    async with app.run_test(size=(40, 15)) as pilot:
        model = Model(app, table, source)
        for step in steps:
            model.play(*step)
            await pilot.pause()
            model.check()


def test_spare_width_goes_to_shares_up_to_their_maximum() -> None:
    cell = Drawn().columns[0].cell
    columns = [
        Column[Item]("a", "A", cell, width=10),
        Column[Item]("b", "B", cell, width=10, share=1),
        Column[Item]("c", "C", cell, width=10, share=1, max_width=12),
        Column[Item]("d", "D", cell, width=10, hide_below=90),
    ]
    assert [slot.width for slot in fit(columns, 60).slots] == [10, 33, 12]
    assert fit(columns, 60).width == 60
    assert [slot.column.id for slot in fit(columns, 90).slots] == ["a", "b", "c", "d"]
    assert fit(columns, 20).width == GUTTER + 32
    assert fit([], 20).width == GUTTER


def test_a_column_that_no_row_has_content_for_is_not_there() -> None:
    columns = [
        Column[Item]("id", "ID", note, 2, content=lambda item: item.name, hide_empty=True),
        Column[Item]("note", "Note", note, 12, share=4),
    ]
    seen: SeenTexts[Item] = SeenTexts()
    assert [slot.column.id for slot in fit(columns, 60, seen.cells).slots] == ["id", "note"]
    assert not seen.note(columns, [None])
    assert [slot.column.id for slot in fit(columns, 60, seen.cells).slots] == ["id", "note"], "it is not loaded yet"
    seen.note(columns, [Item(1, "")])
    assert [slot.column.id for slot in fit(columns, 60, seen.cells).slots] == ["note"]
    assert seen.note(columns, [Item(2, "x")])
    assert [slot.column.id for slot in fit(columns, 60, seen.cells).slots] == ["id", "note"]


@pytest.mark.parametrize("width", [80, 120, 160])
@pytest.mark.parametrize("long", ["name", "note"])
def test_columns_are_as_wide_as_what_they_hold_and_the_rest_goes_to_the_others(width: int, long: str) -> None:
    columns = [
        Column[Item]("id", "ID", note, 2, max_width=10, content=lambda item: str(item.id)),
        Column[Item]("name", "Name", note, 12, share=3, max_width=60, content=lambda item: item.name),
        Column[Item]("note", "Note", note, 12, share=4),
    ]
    seen: SeenTexts[Item] = SeenTexts()
    assert seen.note(columns, [Item(1234, "n" * (200 if long == "name" else 15)), None])
    assert not seen.note(columns, [Item(7, "x")]), "a column never gets narrower under the hand"
    layout = fit(columns, width, seen.cells)
    number, name, rest = (slot.width for slot in layout.slots)
    assert (number, layout.width) == (4, width)
    assert name == 15 if long == "note" else name <= 60
    assert rest >= name


def test_a_column_without_a_maximum_takes_what_is_left_when_all_hold_their_texts() -> None:
    columns = [
        Column[Item]("name", "Name", note, 12, share=3, max_width=60, content=lambda item: item.name),
        Column[Item]("note", "Note", note, 12, share=4, content=lambda _: ""),
    ]
    seen: SeenTexts[Item] = SeenTexts()
    seen.note(columns, [Item(1, "n" * 50)])
    assert [slot.width for slot in fit(columns, 80, seen.cells).slots] == [50, 80 - GUTTER - 1 - 50]
    assert [slot.width for slot in fit(columns, 60, seen.cells).slots] == [60 - GUTTER - 1 - 12, 12]


def note(_row: Item, _ctx: RenderContext) -> Text:
    return Text("")


async def test_the_columns_widen_when_longer_texts_come_into_view(themed_app: MakeThemedApp) -> None:
    column = Column[Item]("name", "Name", lambda row, _: Text(row.name), 4, max_width=20, content=lambda row: row.name)
    source = Items([Item(number, "x" * (5 if number < 50 else 12)) for number in range(100)])
    table = VirtualTable(source, [column, Column("end", "End", lambda *_: Text("|"), 3)])
    app = themed_app(table)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert "xxxxx | " in text_of(app).split("\n")[1]
        await pilot.press("end")
        await pilot.pause()
        assert "xxxxxxxxxxxx | " in text_of(app).split("\n")[5]


async def test_rows_that_a_taller_table_shows_widen_the_columns_with_its_first_paint(themed_app: MakeThemedApp) -> None:
    column = Column[Item]("name", "Name", lambda row, _: Text(row.name), 4, max_width=20, content=lambda row: row.name)
    source = Items([Item(number, "x" * (5 if number < 8 else 12)) for number in range(20)])
    app = themed_app(VirtualTable(source, [column, Column("end", "End", lambda *_: Text("|"), 3)]))
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.pause()
        assert "xxxxx | " in text_of(app).split("\n")[1]
        await pilot.resize_terminal(40, 20)
        await pilot.pause()
        assert "xxxxxxxxxxxx | " in text_of(app).split("\n")[10]


@pytest.mark.parametrize("waited_s", [1.0, 60.0])
@pytest.mark.parametrize("top", [0, 30])
async def test_the_view_goes_with_the_cursors_row_only_just_after_the_cursor_was_moved(
    themed_app: MakeThemedApp, waited_s: float, top: int
) -> None:
    table, source, _ = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table.tick(1000.0)
        table.move_cursor(top + 18 if top else 5)
        table.move_cursor(top + 5)
        if top:
            table.scroll_to(y=top, animate=False, force=True)
        await pilot.pause()
        table.tick(1000.0 + waited_s)
        key, before = table.cursor_key, table.scroll_offset.y
        source.rows.append(source.rows.pop(top + 5))  # its task ended: the row goes to the end
        table.refresh_rows()
        await pilot.pause()
        assert table.cursor_key == key
        assert (table.scroll_offset.y == before) is (waited_s > 3)


async def test_the_view_stays_on_its_rows_when_some_come_and_the_first_of_them_goes(themed_app: MakeThemedApp) -> None:
    table, source, _ = make(100)
    async with themed_app(table).run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        table.move_cursor(90)
        table.scroll_to(y=40, animate=False, force=True)
        await pilot.pause()
        table.tick(1000.0)
        source.rows.append(source.rows.pop(40))
        source.rows[:0] = [Item(1000 + number) for number in range(7)]
        table.refresh_rows()
        await pilot.pause()
        assert table.scroll_offset.y == 40 + 7 - 1
