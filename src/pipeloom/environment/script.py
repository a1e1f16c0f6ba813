"""What a Python file says that it needs: its block `# /// script`, as PEP 723 defines it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeloom.errors import UsageError

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

_BLOCK: Final = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""The reference expression of PEP 723."""
_TYPE: Final = "script"
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Script:
    """A file that says what it needs."""

    path: Path
    """Absolute, without links."""
    content: str
    """The TOML of its block."""
    dependencies: tuple[Requirement, ...]
    requires_python: SpecifierSet

    @property
    def digest(self) -> str:
        """The hash of the block: another one is another question."""
        return hashlib.sha256(self.content.encode()).hexdigest()


def read_script(path: Path) -> Script | None:
    """Return what a Python file says that it needs; None when it says nothing or cannot be read.

    Raises `UsageError`, which names the line, when it has several blocks or one that is wrong.
    """
    real = Path(os.path.realpath(path))
    if real.suffix != ".py":  # it may be a database
        return None
    try:
        raw = real.read_bytes()
        text = importlib.util.decode_source(raw) if b"# /// script" in raw else ""
    except (OSError, SyntaxError, UnicodeDecodeError):  # said by the import
        return None
    blocks = [found for found in _BLOCK.finditer(text) if found["type"] == _TYPE]
    if not blocks:
        return None
    begins = [text.count("\n", 0, found.start()) + 1 for found in blocks]
    if len(blocks) > 1:
        raise UsageError(f"{path} has a second block `# /// script` in line {begins[1]}: put both into one.")
    lines = blocks[0]["content"].splitlines(keepends=True)
    content = "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)
    return _parsed(real, content, begins[0])


def scripts_of(paths: Iterable[Path]) -> list[Script]:
    """Return what files say that they need, of those that do; raises `UsageError` as `read_script`."""
    return [script for path in dict.fromkeys(paths) if (script := read_script(path)) is not None]


def _parsed(path: Path, content: str, begin: int) -> Script:
    import tomllib

    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = begin + (int(place[1]) if place and place[1] else content.count("\n"))
        reason = _PLACE.sub("", str(error))
        raise UsageError(f"{path}, line {line}: the block `# /// script` is no valid TOML: {reason}.") from None
    wanted, python = table.get("dependencies", []), table.get("requires-python", "")
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        raise UsageError(f"{path}, line {_line('dependencies', content, begin)}: dependencies must be a list of texts.")
    if not isinstance(python, str):
        raise UsageError(f"{path}, line {_line('requires-python', content, begin)}: requires-python must be a text.")
    dependencies: list[Requirement] = []
    for one in wanted:
        try:
            dependencies.append(Requirement(one))
        except InvalidRequirement as error:
            reason = str(error).split("\n", 1)[0].rstrip(".")
            raise UsageError(
                f"{path}, line {_line(one, content, begin)}: {one!r} is no requirement: {reason}."
            ) from None
    try:
        return Script(path, content, tuple(dependencies), SpecifierSet(python))
    except InvalidSpecifier:
        line = _line("requires-python", content, begin)
        raise UsageError(
            f"{path}, line {line}: requires-python needs versions such as '>=3.12', not {python!r}."
        ) from None


def _line(text: str, content: str, begin: int) -> int:
    """Return the line of the file in which a text of the block stands."""
    return begin + 1 + content.count("\n", 0, max(content.find(text), 0))
