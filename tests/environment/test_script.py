"""What a file says that it needs, read as the reference of PEP 723 reads it; and what of it is not here."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeloom.environment.needs import lacking
from pipeloom.environment.script import read_script
from pipeloom.errors import UsageError

HEAD = "# /// script\n"
END = "# ///\n"
WANTS = HEAD + '# requires-python = ">=3.11"\n# dependencies = [\n#   "requests<3",\n#\n#   "rich",\n# ]\n' + END


def script(folder: Path, text: str | bytes) -> Path:
    path = folder / "job.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "dependencies"),
    [
        (WANTS, ["requests<3", "rich"]),
        (f"#!/usr/bin/env python\n\n'''Loads.'''\n{WANTS}import rich\n", ["requests<3", "rich"]),
        (WANTS.replace("\n", "\r\n"), ["requests<3", "rich"]),
        (f"# /// other\n# a = 1\n{END}\n{WANTS}", ["requests<3", "rich"]),
        (f"# -*- coding: latin-1 -*-\n# é\n{WANTS}".encode("latin-1"), ["requests<3", "rich"]),
        (f"{HEAD}# a = 1\n{END}", []),
        (f"{HEAD}# dependencies = []\n# [tool.x]\n# b = '''\n# ///\n# '''\n{END}", []),  # the last end counts
    ],
    ids=["plain", "below a docstring", "crlf", "beside another type", "latin-1", "nothing", "an end in a text"],
)
def test_a_block_is_read(tmp_path: Path, text: str | bytes, dependencies: list[str]) -> None:
    found = read_script(script(tmp_path, text))
    assert found is not None
    assert [str(one) for one in found.dependencies] == dependencies


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import rich\n",
        f"{HEAD}# dependencies = ['a']\n",  # PEP 723: unclosed blocks are ignored
        f"{HEAD}#dependencies = ['a']\n{END}",
        f"  {WANTS}",
        f"{HEAD}import rich\n{END}",
        b"# /// script\n# \xff\n# ///\n",
    ],
    ids=["empty", "no block", "unclosed", "no blank", "indented", "code within", "no UTF-8"],
)
def test_what_is_no_block_says_nothing(tmp_path: Path, text: str | bytes) -> None:
    assert read_script(script(tmp_path, text)) is None


@pytest.mark.parametrize("place", ["missing.py", "."])
def test_what_cannot_be_read_says_nothing(tmp_path: Path, place: str) -> None:
    assert read_script(tmp_path / place) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{WANTS}\n{WANTS}", r"job\.py has a second block `# /// script` in line 10"),
        (f"\n{HEAD}# a = 1\n# dependencies = [\n# b = 2\n{END}", r"line 5: .* no valid TOML: "),
        (f"{HEAD}# dependencies = [\n{END}", r"line 2: .* no valid TOML: "),
        (f"{HEAD}# dependencies = 'rich'\n{END}", "line 2: dependencies must be a list of texts"),
        (f"{HEAD}# a = 1\n# dependencies = [1]\n{END}", "line 3: dependencies must be a list of texts"),
        (
            f"{HEAD}#\n# dependencies = [\n#  'rich',\n#  'two words'\n# ]\n{END}",
            "line 5: 'two words' is no requirement",
        ),
        (f"{HEAD}# requires-python = 3.11\n{END}", "line 2: requires-python must be a text"),
        (f"{HEAD}# requires-python = 'new'\n{END}", "line 2: requires-python needs versions"),
    ],
)
def test_a_wrong_block_is_told_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_script(script(tmp_path, text))


HERE, RICH = platform.python_version(), version("rich")


@pytest.mark.parametrize(
    ("wanted", "python", "lacks"),
    [
        ("rich", ">=3.11", []),
        ("Rich>=13", "", []),
        ("rich>=999", "", [f"rich>=999 (rich {RICH} is installed)"]),
        ("not-to-be-found-0", "", ["not-to-be-found-0"]),
        ("not-to-be-found-0; sys_platform == 'win32'", "", []),
        ("not-to-be-found-0; sys_platform != 'win32'", "", ["not-to-be-found-0"]),
        ("rich @ https://example.org/rich.whl", "", [f"rich @ https://example.org/rich.whl (rich {RICH} is installed from elsewhere)"]),
        ("rich[jupyter]", "", ["ipywidgets<9,>=7.5.1"]),
        ("pipeloom", "", []),
        ("rich", ">=4", [f"Python >=4 (this is {HERE})"]),
        ("not-to-be-found-0", "<3", [f"Python <3 (this is {HERE})", "not-to-be-found-0"]),
    ],
)  # fmt: skip
def test_what_is_not_here_is_found_by_what_is_installed(
    tmp_path: Path, wanted: str, python: str, lacks: list[str]
) -> None:
    found = read_script(script(tmp_path, f'{HEAD}# dependencies = ["{wanted}"]\n# requires-python = "{python}"\n{END}'))
    assert found is not None
    assert [lack.told for lack in lacking(found)] == lacks
