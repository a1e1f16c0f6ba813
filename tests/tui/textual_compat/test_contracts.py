"""The private names of Textual: all in one room, each as the installed version has it."""

from __future__ import annotations

import logging
import pkgutil
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.tui.textual_compat.private_names import SOURCE, files, private_names

from pipeloom.tui.textual_compat.contracts import CONTRACTS, SET, Contract, holds


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: f"{contract.adapter}: {contract.name}")
def test_textual_has_what_the_adapter_needs(contract: Contract) -> None:
    assert contract.fault() is None, f"{contract.feature}: needs {contract.name} {contract.expected}"


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: f"{contract.adapter}: {contract.name}")
def test_an_adapter_gives_way_when_a_name_has_changed(
    contract: Contract, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    where, _, name = contract.name.rpartition(".")
    name = "__init__" if contract.expected == SET else name
    monkeypatch.setattr(pkgutil.resolve_name(where), name, lambda self, *others: None)
    with caplog.at_level(logging.WARNING):
        assert not holds(contract.adapter)
    (line,) = caplog.messages
    assert contract.adapter in line
    assert version("textual") in line


@pytest.mark.parametrize("name", ["textual.no_such:App", "textual.app:NoSuch", "textual.app:App._no_such"])
def test_a_name_that_is_gone_is_a_fault(name: str) -> None:
    assert Contract("driver", name, "(self)", "").fault() == "is missing"


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_only_one_room_names_what_is_private_to_textual(path: Path) -> None:
    found = private_names(path)
    if path.parent.name == "textual_compat":
        known = {part for contract in CONTRACTS for part in contract.name.replace(":", ".").split(".")}
        found = [fault for fault in found if fault.name not in known]
    assert found == []


SAMPLE = """
from textual._compositor import Compositor
from textual.app import App
from textual.widget import Widget

class Mine(Widget):
    _size = 1

    class Inner(App[None]):
        def _fatal_error(self): ...

    def __init__(self):
        self._own = self._render()
        self.app._driver.write("")
        getattr(self, "_dirty_regions")
"""


def test_the_lint_finds_names_that_are_used_overridden_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sample_of_private_names.py"
    path.write_text(SAMPLE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = {fault.name for fault in private_names(path, "sample_of_private_names")}
    assert names == {"_compositor", "_size", "_fatal_error", "_render", "_driver", "_dirty_regions"}
