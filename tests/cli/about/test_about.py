"""`pipeloom info` and `pipeloom config`: what holds, where it comes from, and no secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.cli.conftest import Run

from pipeloom.cli.about.config import in_force, settings_schema
from pipeloom.tui.attempts.columns import COLUMN_IDS
from pipeloom.tui.settings import Settings, read_settings
from pipeloom.tui.settings_check import default_keys

SETTINGS = """
theme = "pipeloom-light"
workers = 8

[columns]
live = ["task", "status"]

[keys]
"live.cancel" = "c"
"app.quti" = "q"

[filters]
"of Miller" = "name:miller age:<1d"

[notify]
on_failure = ["notify-me", "--token", "hunter2"]
"""


@pytest.fixture
def settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    path = folder / ".config" / "pipeloom" / "settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text(SETTINGS)
    return path


def shown(run: Run, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all that is told, and the settings by their keys."""
    said = run("pipeloom", "config", "show", "--json", *options)
    assert (said.returncode, said.stderr) == (0, "")
    told = json.loads(said.stdout)
    return told, {one["key"]: (one["value"], one["origin"], one["place"]) for one in told["settings"]}


def test_every_setting_is_shown_with_its_value_and_origin(
    settings: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, found = shown(run)
    assert (told["file"], told["there"]) == (str(settings), True)
    assert found["theme"] == ("pipeloom-light", "file", f"{settings}, line 2")
    assert found["workers"] == (8, "file", f"{settings}, line 3")
    assert found["columns.live"] == (["task", "status"], "file", f"{settings}, line 6")
    assert found["columns.history"] == ([*COLUMN_IDS["history"]], "default", None)
    assert found["keys.live.cancel"] == ("c", "file", f"{settings}, line 9")
    assert found["keys.live.retry"] == ("r", "default", None)
    assert found["filters.of Miller"][0] == "name:miller age:<1d"
    assert found["notify.on_failure"] == (["notify-me", "--token", "hunter2"], "file", f"{settings}, line 16")
    assert len(told["mistakes"]) == 1
    assert "app.quti" in told["mistakes"][0]
    assert "is it app.quit?" in told["mistakes"][0]
    monkeypatch.setenv("PIPELOOM_WORKERS", "3")
    assert shown(run)[1]["workers"] == ("3", "environment", "PIPELOOM_WORKERS")
    text = run("pipeloom", "config", "show").stdout
    assert 'theme                       = "pipeloom-light"' in text
    assert f"# {settings}, line 2" in text


def test_without_a_file_all_is_as_it_comes(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    told, found = shown(run)
    assert (told["there"], told["mistakes"], {origin for _, origin, _ in found.values()}) == (False, [], {"default"})
    assert {f"keys.{name}" for name in default_keys()} < found.keys()
    assert "(there is none)" in run("pipeloom", "config", "show").stdout


def test_a_file_that_is_no_toml_is_told(settings: Path, run: Run) -> None:
    settings.write_text("theme = ")
    said = run("pipeloom", "config", "show")
    assert (said.returncode, said.stdout) == (2, "")
    assert "is no TOML" in said.stderr
    assert "is no TOML" in run("pipeloom", "info").stdout


def test_the_schema_takes_what_the_reader_takes(settings: Path, run: Run) -> None:
    import tomllib

    schema = json.loads(run("pipeloom", "config", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(SETTINGS), schema)
    jsonschema.validate({"notify": {"on_failure": "mail -s failed me"}}, schema)
    for wrong in (
        "workers = 0",
        "workers = 'x'",
        "nothing = 1",
        "[columns]\nlive = ['x']",
        "theme = 1",
        "[keys]\nx = ''",
        "[notify]\non_failure = 1",
        "[notify]\non_failure = []",
        "[notify]\non_failure = ['']",
        "[notify]\non_succes = 'x'",
    ):
        settings.write_text(wrong)
        assert read_settings(settings).warnings, wrong
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(wrong), schema)
    assert {*settings_schema()["properties"]} == {
        one.key.partition(".")[0] for one in in_force(Settings(filters={"a": "b"}), {})
    }


def test_info_tells_what_a_report_needs_and_no_secret(
    settings: Path, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELOOM_PARAM", "password=hunter2")
    monkeypatch.setenv("PIPELOOM_WORKER", "3")
    monkeypatch.setenv("SSH_CONNECTION", "10.1.2.3 5000 10.1.2.4 22")
    for options in ((), ("--json",)):
        said = run("pipeloom", "info", *options)
        assert (said.returncode, said.stderr) == (0, "")
        for secret in ("hunter2", "10.1.2", "miller", str(folder)):
            assert secret not in said.stdout, options
    told = json.loads(said.stdout)
    assert told["variables"] == ["PIPELOOM_PARAM"]
    assert told["unknown_variables"] == ["PIPELOOM_WORKER"]
    assert told["paths"]["settings"] == {"path": "~/.config/pipeloom/settings.toml", "there": True}
    assert {"textual", "rich", "distributed", "pyperclip"} <= told["packages"].keys()
    assert {"uv", "cronsim"} <= told["packages"].keys()
    assert not {"pytest", "zensical", "zizmor"} & told["packages"].keys()
    assert told["terminal"]["SSH_CONNECTION"] == "set"
    assert {one["key"]: one["value"] for one in told["settings"]}["filters.of Miller"] == "…"
    assert {one["key"]: one["value"] for one in told["settings"]}["notify.on_failure"] == "…"
    assert os.environ["TERM"] == told["terminal"]["TERM"]
