"""When runs are due, by a clock that is told the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeloom.errors import UsageError
from pipeloom.schedule import needed as needed_module
from pipeloom.schedule.clock import LocalZone
from pipeloom.schedule.folder import REST_S, OnFiles, Resting, State, of_database
from pipeloom.schedule.made import made, next_line, next_short
from pipeloom.schedule.schedules import At, Every, Schedule

BERLIN = ZoneInfo("Europe/Berlin")


class ToldClock:
    """Stands still until it is told the time."""

    def __init__(self, local: str = "2026-08-01 12:00", zone: ZoneInfo = BERLIN) -> None:
        self.zone = zone
        self.seconds = 1000.0
        self.set(local)

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self.seconds

    def set(self, local: str) -> None:
        """Set the wall clock alone, as a user or NTP does."""
        self._now = datetime.fromisoformat(local).replace(tzinfo=self.zone).astimezone(UTC)

    def pass_s(self, seconds: float) -> None:
        self.seconds += seconds
        self._now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


def start(schedule: Schedule) -> None:
    assert schedule.is_due()
    schedule.begin()
    assert not schedule.is_due()


def shown(schedule: Schedule) -> str:
    at = schedule.next_at()
    return "" if at is None else f"{at:%m-%d %H:%M:%S %Z}"


def starts(expression: str, clock: ToldClock, count: int) -> list[str]:
    """The next starts of a program that waits for each."""
    at, found = At(expression, clock), []
    for _ in range(count):
        due = at.next_at()
        assert due is not None
        clock.pass_s((due - clock.now()).total_seconds() - 1)
        assert not at.is_due()
        clock.pass_s(1)
        found.append(f"{due:%m-%d %H:%M %Z}")
        start(at)
        at.end()
    return found


def test_a_period_is_counted_from_the_first_start(clock: ToldClock) -> None:
    every = Every(900, clock)
    start(every)
    clock.pass_s(60)
    every.end()
    assert shown(every) == "08-01 12:15:00 CEST"
    clock.pass_s(839)
    assert not every.is_due()
    clock.pass_s(1)
    start(every)


def test_starts_that_come_during_a_run_are_left_out(clock: ToldClock) -> None:
    every = Every(900, clock)
    start(every)
    clock.pass_s(40 * 60)
    every.end()
    assert not every.is_due()
    assert shown(every) == "08-01 12:45:00 CEST"


def test_a_clock_that_is_set_does_not_change_a_period(clock: ToldClock) -> None:
    every = Every(900, clock)
    start(every)
    clock.set("2027-01-01 00:00")
    assert not every.is_due()
    clock.set("2020-01-01 00:00")
    clock.pass_s(900)
    start(every)


def test_a_cron_expression_is_in_local_time(clock: ToldClock) -> None:
    assert starts("0 2 * * *", clock, 2) == ["08-02 02:00 CEST", "08-03 02:00 CEST"]
    assert starts("30 6 * * 1-5", ToldClock("2026-08-01 12:00"), 2) == ["08-03 06:30 CEST", "08-04 06:30 CEST"]


def test_times_that_come_during_a_run_are_left_out(clock: ToldClock) -> None:
    at = At("*/10 * * * *", clock)
    clock.pass_s(600)
    start(at)
    clock.pass_s(3600 + 5)
    at.end()
    assert not at.is_due()
    assert shown(at) == "08-01 13:20:00 CEST"


def test_a_time_that_the_clocks_leave_out_is_right_after_the_change() -> None:
    assert starts("30 2 * * *", ToldClock("2026-03-28 12:00"), 2) == ["03-29 03:00 CEST", "03-30 02:30 CEST"]


def test_a_time_that_comes_twice_is_started_once() -> None:
    assert starts("30 2 * * *", ToldClock("2026-10-24 12:00"), 2) == ["10-25 02:30 CEST", "10-26 02:30 CET"]


def test_a_program_that_begins_in_an_hour_that_comes_again_waits_for_the_next_day() -> None:
    clock = ToldClock()
    clock._now = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    assert starts("30 2 * * *", clock, 1) == ["10-26 02:30 CET"]


@pytest.mark.parametrize(
    ("begin", "hours"),
    [
        ("2026-03-29 00:30", ["03-29 01:00 CET", "03-29 03:00 CEST", "03-29 04:00 CEST"]),
        ("2026-10-25 01:30", ["10-25 02:00 CEST", "10-25 02:00 CET", "10-25 03:00 CET"]),
    ],
)
def test_hourly_runs_go_on_through_a_change(begin: str, hours: list[str]) -> None:
    assert starts("0 * * * *", ToldClock(begin), 3) == hours


def test_a_clock_that_is_put_back_a_little_repeats_nothing(clock: ToldClock) -> None:
    at = At("0 14 * * *", clock)
    clock.pass_s(2 * 3600)
    start(at)
    at.end()
    clock.set("2026-08-01 13:30")
    clock.pass_s(3600)
    assert not at.is_due()
    assert shown(at) == "08-02 14:00:00 CEST"


def test_a_clock_that_was_far_ahead_is_forgotten(clock: ToldClock) -> None:
    clock.set("2036-08-01 12:00")
    at = At("0 14 * * *", clock)
    clock.set("2026-08-01 13:00")
    assert not at.is_due()
    assert shown(at) == "08-01 14:00:00 CEST"
    clock.pass_s(3600)
    start(at)


def test_a_clock_that_jumps_ahead_starts_one_run(clock: ToldClock) -> None:
    at = At("*/5 * * * *", clock)
    clock.set("2026-08-02 12:01")
    start(at)
    at.end()
    assert shown(at) == "08-02 12:05:00 CEST"


def test_the_machines_zone_is_that_of_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        zone = LocalZone()
        for utc in range(1_774_740_000, 1_774_760_000, 600), range(1_792_880_000, 1_792_900_000, 600):
            for moment in (datetime.fromtimestamp(seconds, UTC) for seconds in utc):
                ours, theirs = moment.astimezone(zone), moment.astimezone(BERLIN)
                assert (ours.replace(tzinfo=None), ours.fold) == (theirs.replace(tzinfo=None), theirs.fold)
                assert ours.astimezone(UTC) == moment
                assert ours.tzname() == theirs.tzname()
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "given",
    [
        {"at": "0 2 * *"}, {"at": "0 0 30 2 *"}, {"at": "61 * * * *"}, {"at": "x"}, {"at": ""}, {"at": "0 0 2 * * *"},
        {"every": "soon"}, {"every": "0s"}, {"every": "-5m"}, {"every": ""}, {"every": "500ms"}, {"every": "400d"},
        {"watch": Path("/no/such")}, {"watch": Path(__file__)}, {"every": "1m", "at": "* * * * *"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_a_schedule_is_one_sentence(given: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        made(tmp_path / "etl.db", given.get("every"), given.get("at"), given.get("watch"))  # type: ignore[arg-type]
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)
    assert "--" in str(raised.value)


@pytest.mark.parametrize("given", [{"at": "* * * * *"}, {"watch": Path(__file__).parent}], ids=str)
def test_a_missing_package_is_named_with_what_brings_it(
    given: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(needed_module, "import_module", missing)
    with pytest.raises(UsageError, match=r"pip install 'pipeloom\[schedule\]'"):
        made(tmp_path / "etl.db", None, given.get("at"), given.get("watch"))  # type: ignore[arg-type]


def test_what_is_told_of_the_next_start(clock: ToldClock) -> None:
    now = clock.now().timestamp()
    assert next_line(At("0 2 * * *", clock)) == "Next start 2026-08-02 02:00:00 CEST."
    told = [next_short(At(one, clock), now) for one in ("0 2 * * *", "0 2 * * 2", "0 2 1 1 *")]
    assert told == ["next 02:00", "next Tue 02:00", "next 01 Jan"]
    clock.pass_s(13 * 3600 + 59 * 60 + 30)
    assert next_short(At("0 2 * * *", clock), clock.now().timestamp()) == "next 02:00:00"


# -- files ------------------------------------------------------------------------------------------------------------


class Folder:
    """Files by their state, and what has changed."""

    def __init__(self) -> None:
        self.files: dict[Path, State] = {}
        self.changed: set[Path] = set()

    def put(self, name: str, size: int) -> None:
        self.files[Path(name)] = (size, size)
        self.changed.add(Path(name))

    def drain(self) -> set[Path]:
        changed, self.changed = self.changed, set()
        return changed

    def close(self) -> None: ...


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
def files(clock: ToldClock, folder: Folder) -> OnFiles:
    schedule = OnFiles(folder, Resting(clock, folder.files.get), of_database(Path("/data/etl.db")))
    start(schedule)
    schedule.end()
    return schedule


def test_a_file_counts_when_its_size_rests(files: OnFiles, folder: Folder, clock: ToldClock) -> None:
    for size in (10, 20, 30):
        folder.put("a.csv", size)
        assert not files.is_due()
        clock.pass_s(REST_S - 0.1)
    assert not files.is_due()
    clock.pass_s(0.2)
    start(files)
    clock.pass_s(60)
    assert not files.is_due()


def test_a_file_that_grows_without_a_notice_does_not_rest(files: OnFiles, folder: Folder, clock: ToldClock) -> None:
    folder.put("a.csv", 1)
    assert not files.is_due()
    folder.files[Path("a.csv")] = (2, 2)
    clock.pass_s(REST_S)
    assert not files.is_due()
    clock.pass_s(REST_S)
    start(files)


def test_files_that_rest_during_a_run_share_the_next(files: OnFiles, folder: Folder, clock: ToldClock) -> None:
    folder.put("a.csv", 1)
    files.is_due()
    clock.pass_s(REST_S)
    start(files)
    for name in ("b.csv", "c.csv"):
        folder.put(name, 1)
    assert not files.is_due()
    clock.pass_s(REST_S)
    files.end()
    start(files)
    clock.pass_s(REST_S)
    assert not files.is_due()


def test_a_file_that_is_gone_and_the_database_start_nothing(files: OnFiles, folder: Folder, clock: ToldClock) -> None:
    folder.put("a.csv", 1)
    for name in ("etl.db", "etl.db-wal", "etl.db.lock"):
        folder.put(f"/data/{name}", 1)
    assert not files.is_due()
    folder.files.pop(Path("a.csv"))
    clock.pass_s(REST_S)
    assert not files.is_due()


def test_a_real_folder_is_watched(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    clock = ToldClock()
    schedule = made(tmp_path / "etl.db", None, None, tmp_path / "in", clock)
    assert schedule is not None
    try:
        schedule.begin()
        (tmp_path / "in" / "a.csv").write_text("1", encoding="utf-8")
        deadline = time.monotonic() + 60
        while not schedule.is_due():
            assert time.monotonic() < deadline, "the file was not seen"
            clock.pass_s(REST_S)
            time.sleep(0.02)
        (tmp_path / "in" / "a.csv").unlink()
        (tmp_path / "in").rmdir()
        with pytest.raises(UsageError, match="it is not there any more"):
            schedule.is_due()
    finally:
        schedule.close()
