"""What other processes may ask of a run, and what they cannot."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Own, WaitFor
from tests.engine.conftest import Bench, Gate, refusals

from pipeloom.engine.commands import CommandResult, EngineLoad, Refusal, RefusalReason
from pipeloom.engine.control import spool
from pipeloom.engine.control.client import ControlClient
from pipeloom.engine.control.request import (
    MAX_ATTEMPTS,
    Reply,
    Request,
    RequestError,
    as_ranges,
    from_ranges,
    read_reply,
    read_request,
)
from pipeloom.engine.control.server import ControlServer
from pipeloom.engine.engine import Engine
from pipeloom.errors import ControlError
from pipeloom.messages import MsgTaskProgress, TaskDef
from pipeloom.pipeline import Pipeline
from pipeloom.protocols import Channel
from pipeloom.status import Status
from pipeloom.store.file.owner import OwnerLock
from pipeloom.store.write.handler_connection import HandlerConnection
from pipeloom.times import stamp

NOW = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
ID = "6f1a1a54-6b1c-4e0e-8f43-2f3c4b5a6d7e"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "etl.db.control"


@pytest.fixture
def client(bench: Bench) -> ControlClient:
    """Asks the engine of the bench."""
    return ControlClient(bench.path, 1, clock=bench.clock)


def request(**changes: Any) -> dict[str, Any]:
    made = {
        "id": ID,
        "run_id": 1,
        "command": "cancel",
        "attempts": [[1, 1]],
        "pid": 812,
        "host": "hal",
        "asked_at": stamp(NOW),
        "expires_at": stamp(NOW + timedelta(seconds=30)),
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


def put(folder: Path, content: object = None, name: str = f"{ID}.request", mode: int = 0o600) -> Path:
    """Put a file into the spool as a client does, or nearly."""
    path = folder / name
    partial = folder / f".{uuid.uuid4().hex}"
    data = content if isinstance(content, bytes) else json.dumps(request() if content is None else content).encode()
    partial.write_bytes(data)
    partial.chmod(mode)
    partial.rename(path)
    return path


def answer(folder: Path, wait_for: WaitFor, request_id: str = ID) -> Reply:
    path = folder / f"{request_id}.answer"
    wait_for(path.exists)
    reply = read_reply(request_id, path.read_bytes())
    path.unlink()
    return reply


@pytest.fixture
def held(bench: Bench, gate: Gate) -> Engine:
    """An engine of one worker that holds task 1; tasks 2 and 3 wait."""
    engine = bench.engine(lambda task, q: gate.pass_through(), 3, workers=1)
    engine.start()
    gate.await_arrival()
    return engine


def commands(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT run_id, command, arguments, asked_by, answer FROM commands ORDER BY answered_at, rowid"
        ).fetchall()


# -- what is asked, done, answered and recorded ------------------------------------------------------------------------


def test_a_request_is_carried_out_answered_and_recorded(bench: Bench, held: Engine, client: ControlClient) -> None:
    result = client.cancel([2, 3, 99])
    assert (result.accepted, refusals(result)) == ((2, 3), {99: "it is not an attempt of this run"})
    bench.recorder.wait_for_status("cancelled", 3)
    held.close(0.0)
    ((run_id, command, arguments, who, told),) = commands(bench.path)
    assert (run_id, command, json.loads(arguments)) == (1, "cancel", {"attempts": [[2, 3], [99, 99]]})
    assert who.endswith(f" pid {os.getpid()} on {os.uname().nodename}")
    assert told == "2 accepted, 1 refused (it is not an attempt of this run)"


def test_every_command_reaches_the_engine(bench: Bench, held: Engine, client: ControlClient) -> None:
    client.pause()
    assert client.known_load is not None
    assert client.known_load.paused
    client.resume()
    assert not client.load().paused
    assert client.set_workers(1) == 1
    load = client.load()
    assert (load.workers, load.busy, load.waiting, load.paused) == (1, 1, 2, False)
    assert refusals(client.abandon([1])) == {1: "only an attempt that was asked to stop can be abandoned"}
    assert refusals(client.retry([1])) == {1: "it has not ended yet"}
    held.close(0.0)
    assert [row[1] for row in commands(bench.path)] == ["pause", "resume", "set_workers", "abandon", "retry"]


def test_what_the_engine_refuses_is_told(held: Engine, client: ControlClient) -> None:
    with pytest.raises(ControlError, match="workers must be a whole number"):
        client.set_workers(5_000)
    assert held.load().workers == 1


def test_a_request_for_another_run_is_refused(held: Engine, bench: Bench) -> None:
    with pytest.raises(ControlError, match="Run 7 is over; run 1 is under way"):
        ControlClient(bench.path, 7, clock=bench.clock).cancel([2])
    assert held.summary().run_id == 1


def test_the_same_request_again_gets_the_same_answer_and_is_not_carried_out_again(
    bench: Bench, held: Engine, client: ControlClient
) -> None:
    bench.recorder.wait_for_status("running")
    client.cancel([2])
    bench.recorder.wait_for_status("cancelled", 2)
    first = client.ask("retry", [2], request_id=ID)
    again = client.ask("retry", [2], request_id=ID)
    assert first == again
    assert first.result.accepted == (4,)
    held.close(0.0)
    assert [row[1] for row in commands(bench.path)] == ["cancel", "retry"]
    assert bench.rows("SELECT count(*) FROM task_runs WHERE task_id = 2") == [(2,)]


def test_a_request_that_has_expired_is_not_carried_out(
    bench: Bench, held: Engine, folder: Path, wait_for: WaitFor
) -> None:
    put(folder, request(attempts=[[2, 2]], expires_at=stamp(NOW)))
    assert answer(folder, wait_for).refusal == "The request has expired."
    held.close(0.0)
    assert bench.one("status", 2) == "interrupted"
    assert commands(bench.path)[0][4] == "refused: The request has expired."


def test_without_a_store_the_commands_are_recorded_in_memory_alone(bench: Bench, gate: Gate) -> None:
    found: list[Any] = []
    pipeline = Pipeline("bench", [], print)

    @pipeline.handler(TaskDef)  # any type will do for a message
    def look(conn: HandlerConnection, _msg: TaskDef) -> None:
        found.extend(conn.execute("SELECT command FROM commands").fetchall())

    def work(task: TaskDef, q: Channel) -> None:
        if task.task_id == 1:
            gate.pass_through()
        q.put(TaskDef(0, "look"))

    engine = bench.engine(work, 2, pipeline=pipeline, store_task_status=False, workers=1)
    engine.start()
    gate.await_arrival()
    bench.recorder.wait_for_status("running")
    before = len(bench.recorder.batches)
    ControlClient(bench.path, engine.run_id, clock=bench.clock).resume()
    bench.recorder.wait_until(lambda: len(bench.recorder.batches) > before)
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert set(found) == {("resume",)}
    assert bench.rows("SELECT name FROM sqlite_schema") == []


def test_what_a_worker_does_meanwhile_does_not_hold_a_request_up(bench: Bench) -> None:
    stop = threading.Event()

    def busy(task: TaskDef, q: Channel) -> None:
        step = 0
        while not stop.is_set():
            step += 1
            q.put(MsgTaskProgress(task.task_id, step, None))

    engine = bench.engine(busy, 4, workers=4)
    engine.start()
    try:
        client = ControlClient(bench.path, engine.run_id, clock=bench.clock)
        assert client.cancel([1]).accepted == (1,)
        bench.recorder.wait_for_status("cancelled", 1)
    finally:
        stop.set()


# -- what a request must look like ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"command": "exec"},
        {"command": ["cancel"]},
        {"command": ...},
        {"shell": "rm -rf"},
        {"workers": 3},
        {"attempts": ...},
        {"id": "6f1a1a54-0000-4e0e-8f43-2f3c4b5a6d7e"},
        {"run_id": "1"},
        {"run_id": True},
        {"pid": -1},
        {"host": 7},
        {"host": "x" * 1_000},
        {"asked_at": "yesterday"},
        {"expires_at": stamp(NOW + timedelta(hours=1))},
        {"attempts": [1, 2]},
        {"attempts": [[2, 1]]},
        {"attempts": [[1, 2, 3]]},
        {"attempts": [["1", 2]]},
        {"attempts": [[0, 1 << 60]]},
        {"attempts": [[0, MAX_ATTEMPTS]]},
        {"attempts": "all"},
        {"command": "set_workers", "attempts": ..., "workers": "8"},
        {"command": "pause", "attempts": [[1, 1]]},
    ],
    ids=str,
)
def test_a_request_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    assert read_request(ID, json.dumps(request()).encode(), NOW).attempts == (1,)
    with pytest.raises(RequestError):
        read_request(ID, json.dumps(request(**changes)).encode(), NOW)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"id": NaN}', b"1e999"])
def test_what_is_no_request_at_all_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestError):
        read_request(ID, raw, NOW)
    with pytest.raises(RequestError):
        read_reply(ID, raw)


@given(st.lists(st.integers(0, 60)))
def test_ranges_are_the_same_numbers(numbers: list[int]) -> None:
    ranges = as_ranges(numbers)
    assert from_ranges(ranges) == tuple(sorted(set(numbers)))
    assert all(first > last + 1 for (_, last), (first, _) in pairwise(ranges))


def test_request_and_reply_arrive_as_they_were_sent() -> None:
    sent = Request(
        id=ID,
        run_id=1,
        command="retry",
        attempts=(1, 2, 3, 9),
        pid=812,
        host="hal",
        asked_at=stamp(NOW),
        expires_at=stamp(NOW),
    )
    assert read_request(ID, sent.encoded(), NOW) == sent
    ended = Refusal(RefusalReason.ENDED, Status.DONE)
    reply = Reply(None, CommandResult((1, 2), {3: ended, 9: ended}), EngineLoad(4, 3, 0, 7, 1, paused=True, blocked=2))
    assert read_reply(ID, reply.encoded(ID)) == reply


# -- what else may lie in the spool ------------------------------------------------------------------------------------


def test_garbage_is_refused_and_harms_nothing(
    held: Engine, client: ControlClient, folder: Path, wait_for: WaitFor
) -> None:
    put(folder, b"\0garbage")
    assert answer(folder, wait_for).refusal == "It is no JSON."
    assert client.cancel([2]).accepted == (2,)


def plant_symlink(folder: Path, name: str) -> None:
    (folder.parent / "precious").write_text(json.dumps(request()))
    (folder.parent / "precious").chmod(0o600)
    (folder / name).symlink_to(folder.parent / "precious")


def plant_hard_link(folder: Path, name: str) -> None:
    (folder.parent / "precious").write_text(json.dumps(request()))
    (folder.parent / "precious").chmod(0o600)
    os.link(folder.parent / "precious", folder / name)


def plant_directory(folder: Path, name: str) -> None:
    (folder / name).mkdir()


def plant_pipe(folder: Path, name: str) -> None:
    os.mkfifo(folder / name, 0o600)


def plant_large(folder: Path, name: str) -> None:
    put(folder, b" " * (spool.MAX_BYTES + 1), name)


def plant_shared(folder: Path, name: str) -> None:
    put(folder, name=name, mode=0o644)


@pytest.mark.parametrize(
    "plant", [plant_symlink, plant_hard_link, plant_directory, plant_pipe, plant_large, plant_shared]
)
def test_what_is_not_ours_is_removed_unread(
    bench: Bench, held: Engine, folder: Path, wait_for: WaitFor, plant: Callable[[Path, str], None]
) -> None:
    plant(folder, f"{ID}.request")
    wait_for(lambda: not os.path.lexists(folder / f"{ID}.request"))
    assert not (folder / f"{ID}.answer").exists()
    held.close(0.0)
    assert commands(bench.path) == []
    assert bench.one("status", 2) == "interrupted"
    if plant in (plant_symlink, plant_hard_link):
        assert json.loads((folder.parent / "precious").read_text()) == request()


@pytest.mark.parametrize("name", ["notes.txt", "6f1a1a54.request", f"{ID}.request.json", f"{ID.upper()}.request"])
def test_what_has_no_place_in_the_spool_is_removed(held: Engine, folder: Path, wait_for: WaitFor, name: str) -> None:
    put(folder, name=name)
    wait_for(lambda: not (folder / name).exists())


def test_files_of_another_user_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "spool"
    spool.make_spool(folder)
    put(folder)
    us = os.geteuid()
    with spool.opened(folder) as directory:
        assert spool.read(directory, f"{ID}.request")
        monkeypatch.setattr(os, "geteuid", lambda: us + 1)
        with pytest.raises(spool.NotOursError, match="not a private file of this user"):
            spool.read(directory, f"{ID}.request")
    with pytest.raises(ControlError, match="not a private directory of this user"), spool.opened(folder):
        pass


def test_the_spool_is_private(held: Engine, client: ControlClient, folder: Path, wait_for: WaitFor) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    put(folder)
    path = folder / f"{ID}.answer"
    wait_for(path.exists)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_asked_of_a_dead_owner_is_not_carried_out_for_the_next(bench: Bench, folder: Path, gate: Gate) -> None:
    folder.mkdir(mode=0o700)
    put(folder, request(attempts=[[2, 2]]))
    put(folder, b"x", f".{uuid.uuid4().hex}")
    plant_symlink(folder, "link")
    engine = bench.engine(lambda task, q: gate.pass_through(), 2, workers=1)
    engine.start()
    assert list(folder.iterdir()) == []
    gate.open()
    assert engine.wait(20)
    engine.close()
    assert bench.one("status", 2) == "done"
    assert commands(bench.path) == []


@pytest.mark.parametrize("what", ["link", "file", "shared"])
def test_a_run_goes_on_without_control_where_the_spool_is_not_its_own(bench: Bench, folder: Path, what: str) -> None:
    if what == "link":
        (folder.parent / "elsewhere").mkdir(mode=0o700)
        (folder.parent / "elsewhere" / "precious").touch()
        folder.symlink_to(folder.parent / "elsewhere")
    elif what == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o755)
    engine = bench.run(lambda task, q: None)
    assert engine.summary().ok
    assert os.path.lexists(folder)
    assert what != "link" or (folder / "precious").exists()


def test_a_spool_that_was_removed_is_made_again(
    held: Engine, client: ControlClient, folder: Path, wait_for: WaitFor
) -> None:
    folder.rmdir()
    wait_for(folder.exists)
    assert client.cancel([2]).accepted == (2,)


# -- beginning and end -------------------------------------------------------------------------------------------------


def test_thread_and_spool_go_with_the_run(bench: Bench, folder: Path) -> None:
    before = set(threading.enumerate())
    engine = bench.engine(lambda task, q: None)
    engine.start()
    assert folder.is_dir()
    assert engine.wait(20)
    engine.close()
    assert not folder.exists()
    assert "pipeloom-control" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_an_idle_desk_looks_at_nothing_but_the_directory(
    held: Engine, client: ControlClient, monkeypatch: pytest.MonkeyPatch, wait_for: WaitFor
) -> None:
    client.load()
    looks: list[int] = []
    listed: list[int] = []
    there, entries = os.stat, spool.entries

    def list_entries(directory: int) -> list[spool.Entry]:
        listed.append(1)
        return entries(directory)

    monkeypatch.setattr(spool, "entries", list_entries)

    def counted(path: str | Path, **options: Any) -> os.stat_result:
        looks.append(str(path).endswith(".control"))
        return there(path, **options)

    monkeypatch.setattr("pipeloom.engine.control.server.os.stat", counted)
    wait_for(lambda: sum(looks) >= 4)  # the changes that the answer made are seen, twice
    listed.clear()
    before = sum(looks)
    wait_for(lambda: sum(looks) >= before + 4)
    assert listed == []


def test_the_last_answer_can_be_fetched_before_the_spool_goes(
    held: Engine, folder: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeloom.engine.control.server._FETCH_S", 20.0)
    put(folder)
    wait_for((folder / f"{ID}.answer").exists)
    closing = threading.Thread(target=held.close, args=(0.0,))
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    assert answer(folder, wait_for).result.accepted == (1,)
    closing.join(20)
    assert not folder.exists()


def test_what_is_still_asked_when_the_run_is_closed_is_refused(bench: Bench, gate: Gate, tmp_path: Path) -> None:
    engine = bench.engine(lambda task, q: gate.pass_through(), 1)
    engine.start()
    gate.await_arrival()
    told: list[Any] = []
    desk = ControlServer(tmp_path / "other.db", engine, bench.clock, told.append, lambda _: None)
    spool.make_spool(tmp_path / "other.db.control")
    put(tmp_path / "other.db.control")
    desk._stopped.set()
    desk._main()
    assert [entry.answer for entry in told] == ["refused: The run is being closed."]
    assert engine.load().busy == 1
    assert not (tmp_path / "other.db.control").exists()


def test_nobody_is_asked_when_nobody_runs(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"No process runs a pipeline on .*: there is nothing to control"):
        ControlClient(tmp_path / "etl.db", 1).pause()


@pytest.fixture
def deaf(tmp_path: Path, folder: Path) -> Iterator[Path]:
    """A file whose owner answers nothing."""
    lock = OwnerLock(tmp_path / "etl.db")
    lock.acquire("2026-08-01")
    yield tmp_path / "etl.db"
    lock.release()


def test_an_owner_that_takes_no_requests_is_told_of(deaf: Path) -> None:
    with pytest.raises(ControlError, match=f"pipeloom process {os.getpid()} on .* takes no requests"):
        ControlClient(deaf, 1).pause()


def test_a_request_without_an_answer_is_withdrawn(deaf: Path, folder: Path) -> None:
    spool.make_spool(folder)
    with pytest.raises(ControlError, match=r"did not answer within 0\.1 s: the request was withdrawn"):
        ControlClient(deaf, 1, patience_s=0.1).pause()
    assert list(folder.iterdir()) == []


def test_who_gives_up_waits_no_longer(deaf: Path, folder: Path) -> None:
    spool.make_spool(folder)
    client = ControlClient(deaf, 1)
    client.give_up()
    with pytest.raises(ControlError, match="not waited for"):
        client.pause()


def test_a_run_that_ends_before_it_answers_is_told_of(deaf: Path, folder: Path, wait_for: WaitFor) -> None:
    spool.make_spool(folder)
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(ControlError) as error:
            ControlClient(deaf, 1).pause()
        told.append(str(error.value))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_for(lambda: any(folder.glob("*.request")))
    spool.remove_spool(folder)
    asking.join(20)
    assert told == ["The run has ended before it answered."]


# -- from one process to another ---------------------------------------------------------------------------------------


def test_a_run_of_another_process_is_controlled(tmp_path: Path, own: Own) -> None:
    owner = own(4)
    client = ControlClient(tmp_path / "etl.db", 1)
    assert client.cancel([3, 4]).accepted == (3, 4)
    assert client.load().busy == 2
    owner.tell("go")
    owner.close()
    ((run_id, command, _, who, told),) = commands(tmp_path / "etl.db")
    assert (run_id, command, told) == (1, "cancel", "2 accepted")
    assert f"pid {os.getpid()} on" in who


@pytest.mark.kill
def test_an_owner_that_dies_leaves_nothing_that_the_next_would_do(tmp_path: Path, own: Own, folder: Path) -> None:
    owner = own(2)
    owner.kill()
    put(folder, request(attempts=[[1, 9]], expires_at=stamp(datetime.now(UTC) + timedelta(seconds=30))))
    with pytest.raises(ControlError, match="No process runs"):
        ControlClient(tmp_path / "etl.db", 1).cancel([1])
    second = own(2)
    assert list(folder.iterdir()) == []
    second.tell("go")
    second.close()
    with closing(sqlite3.connect(tmp_path / "etl.db")) as connection:
        assert connection.execute("SELECT status FROM task_runs WHERE run_id = 2").fetchall() == [("done",), ("done",)]
