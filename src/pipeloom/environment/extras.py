"""The extras of pipeloom: which of them are here, and what is typed to get one, by how this pipeloom was installed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "clipboard": ("pyperclip",),
    "dask": ("distributed",),
    "schedule": ("cronsim", "watchfiles"),
    "uv": ("uv",),
    "web": ("textual_serve",),
}
"""The modules of each extra of users."""
CARRIED: Final = ("clipboard", "dask", "schedule")
"""The extras that a run uses: an environment for a file has those that are here."""
READY: Final = "pipeloom-ready"
"""The name of the file in an environment that is whole: one that pipeloom has had uv make."""


def extras_here() -> Iterator[str]:
    """Yield the extras whose modules can be imported."""
    return (extra for extra, modules in EXTRAS.items() if all(map(find_spec, modules)))


def how_to_get(extra: str) -> str:
    """Return what brings an extra, as a command in most cases."""
    if (Path(sys.prefix) / READY).is_file():
        return f'add "pipeloom[{extra}]" to the dependencies in the pipeline\'s file'
    if _is_tool("uv-receipt.toml"):
        return f"uv tool install {_whole(extra)}"
    if _is_tool("pipx_metadata.json"):
        return f"pipx install --force {_whole(extra)}"
    return f"pip install 'pipeloom[{extra}]'"


def how_to_add(requirements: Sequence[str]) -> str:
    """Return the command that installs what a pipeline needs beside pipeloom."""
    words = [shlex.quote(one) for one in requirements]
    if _is_tool("uv-receipt.toml"):
        return " ".join(["uv tool install", _whole(), *(f"--with {word}" for word in words)])
    return " ".join(["pipx inject pipeloom" if _is_tool("pipx_metadata.json") else "pip install", *words])


def _is_tool(receipt: str) -> bool:
    return (Path(sys.prefix) / receipt).is_file()


def _whole(*more: str) -> str:
    """Return pipeloom with the extras that are here and `more`: the tool is installed as it is named then."""
    extras = ",".join(sorted({*extras_here(), *more}))
    return f"'pipeloom[{extras}]'" if extras else "pipeloom"
