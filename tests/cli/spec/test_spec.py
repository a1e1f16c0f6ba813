"""`pipeloom spec`: all commands are in it, and what they write as JSON fits the schemas that it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.cli.conftest import Popen, Run, first_line
from tests.cli.test_history_commands import make, row

from pipeloom.cli.main import COMMANDS
from pipeloom.cli.spec.outputs import OUTPUTS, output_of
from pipeloom.status import Exit, RunStatus, Status

WITHOUT_JSON = {"completion", "web"}
"""Commands whose output is no data: a script for a shell, and a server."""

STATES = """
from pipeloom import *
items = None
def work(task, q):
    q.put(items.rows([{"id": 1}]), state={"cursor": 7})
    return {"a": [1, None]}
pipeline = Pipeline("states", [TaskDef("a", "one", params={"x": 1})], work)
items = pipeline.table("items", {"id": int}, key="id")
"""
HELD = """
import pathlib
from pipeloom import *
def work(task, q):
    q.progress(1, 2, "waits")
    print("begun", flush=True)
    while not pathlib.Path("go").exists():
        q.sleep(0.02)
pipeline = Pipeline("held", [TaskDef(1, "held")], work)
"""


def fits(command: str, text: str) -> list[Any]:
    """Return the objects that a command has written, each checked against its schema."""
    output = output_of(command)
    assert output is not None
    jsonschema.Draft202012Validator.check_schema(output.schema)
    lines = text.splitlines()
    assert lines
    assert output.lines or len(lines) == 1
    found = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    for value in found:
        jsonschema.Draft202012Validator(output.schema).validate(value)
    return found


@pytest.fixture
def done(folder: Path, run: Run) -> Path:
    """A folder with a file in which several pipelines have run."""
    (folder / "states.py").write_text(STATES)
    for spec in ("good.py:failing", "states.py", "good.py:pipeline"):
        fits("run", run("pipeloom", "run", "etl.db", spec, "--json").stdout)
    make(
        folder / "all.db",
        [row(number, status, run_id=2) for number, status in enumerate(Status, 1)],
        [RunStatus.DONE, RunStatus.RUNNING],
    )
    return folder


COMMAND_LINES = [
    "run etl.db good.py:failing --json",
    "run etl.db states.py --changed --json",
    "plan etl.db states.py --json",
    "plan etl.db good.py:failing --resume --json",
    "plan new.db good.py:failing --json",
    "status etl.db --json",
    "status etl.db run:1 --json",
    "status etl.db name:nothing --json",
    "status all.db --json",
    "status etl.db pipeline:nothing --json",
    "runs etl.db --json",
    "runs all.db --json",
    "runs etl.db status:error --json",
    "show etl.db --json",
    "show all.db --json",
    "show etl.db 1 --json",
    "show etl.db --run 1 --json",
    "show etl.db 3 --json",
    "show etl.db --row items 1 --json",
    "state etl.db --json",
    "export etl.db --json",
    "export etl.db -o out.csv --json",
    "prune etl.db --keep-last 1 --json",
    "prune etl.db --keep-last 9 --json",
    "prune etl.db --keep-last 1 --yes --json",
    "backup etl.db copy.db --json",
    "retry etl.db status:error --dry-run --json",
    "retry etl.db status:error good.py:failing --json",
    "retry etl.db name:nothing good.py:failing --json",
    "info --json",
    "config show --json",
    "config schema --json",
    "spec --json",
    "spec",
    "unit etl.db good.py:pipeline --every 15m --json",
]


def test_what_a_command_writes_as_json_fits_its_schema(done: Path, run: Run) -> None:
    for line in COMMAND_LINES:
        said = run("pipeloom", *line.split())
        assert said.returncode in (0, 1, 3), f"{line}: {said.stderr}"
        fits(line.split()[0], said.stdout)


def test_every_command_that_has_the_option_is_tried() -> None:
    assert {line.split()[0] for line in COMMAND_LINES} | {"cancel"} == {*OUTPUTS}
    assert {*COMMANDS} == {*OUTPUTS} | WITHOUT_JSON


def test_answers_of_a_run_under_way_fit_their_schemas(folder: Path, run: Run, popen: Popen) -> None:
    (folder / "held.py").write_text(HELD)
    process = popen("pipeloom", "run", "etl.db", "held.py", "--json")
    while '"running"' not in first_line(process):
        pass
    (told,) = fits("status", run("pipeloom", "status", "etl.db", "--json").stdout)
    assert told["owner"]
    fits("cancel", run("pipeloom", "cancel", "etl.db", "status:running", "--dry-run", "--json").stdout)
    fits("retry", run("pipeloom", "retry", "etl.db", "status:error", "--json").stdout)
    (answer,) = fits("cancel", run("pipeloom", "cancel", "etl.db", "status:running", "--json").stdout)
    assert answer["accepted"] == [1]
    process.wait(60)


def strict(schema: Any) -> Iterator[Any]:
    """Yield every schema of an object inside a schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from strict(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from strict(inner)


def test_a_field_too_many_or_too_few_does_not_fit() -> None:
    for command in {*OUTPUTS} - {"spec", "config"}:
        output = output_of(command)
        assert output is not None
        assert all("additionalProperties" in one for one in strict(output.schema)), command
    runs = output_of("runs")
    assert runs is not None
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"id": 1, "more": 2}, runs.schema)


def test_the_description_names_what_each_command_takes_and_returns(run: Run) -> None:
    (told,) = fits("spec", run("pipeloom", "spec").stdout)
    assert [command["name"] for command in told["commands"]] == [*COMMANDS]
    for command in told["commands"]:
        has_json = any("--json" in option["names"] for option in command["options"])
        assert has_json == (command["json"] is not None), command["name"]
        assert command["help"]
        assert {"0", "2"} <= command["exit_codes"].keys() or command["name"] == "info", command["exit_codes"]
        assert all(option["help"] for option in command["options"])
    assert {str(int(code)) for code in Exit} | {"128 + n"} == {*told["exit_codes"]}
    assert "workers" in str(told["programs"]["pipeloom-tui"]["options"])
    assert told["file"]["tables"]["pipeline_runs"][0] == "id"
    assert told["columns"]["live"][0] == "id"
    assert "status" in told["filter"]["fields"]


def test_one_command_and_its_schema_alone(run: Run) -> None:
    assert json.loads(run("pipeloom", "spec", "runs").stdout)["name"] == "runs"
    schema = json.loads(run("pipeloom", "spec", "runs", "--schema").stdout)
    assert schema["$schema"]
    assert "alive" in schema["properties"]
    for line, told in {
        "nothing": "There is no command 'nothing'",
        "completion --schema": "writes no JSON",
        "--schema": "pipeloom spec runs --schema",
    }.items():
        said = run("pipeloom", "spec", *line.split())
        assert (said.returncode, said.stdout) == (2, "")
        assert told in said.stderr


def test_a_case_file_is_no_json(done: Path, run: Run) -> None:
    said = run("pipeloom", "export", "etl.db", "--case", "1", "--json")
    assert (said.returncode, said.stdout) == (2, "")
    assert "pipeloom show etl.db 1 --json" in said.stderr
