"""Build the documentation site: `python docs/site/build.py [FOLDER]`, `site/` by default; a dead link is an error.

The pages of `docs/` are taken as they are. Beside them come pages that are made here from what the program itself says:
the commands from their help, the keys from the screens' bindings, the tables from the schema, the public names from
their docstrings, the settings from the README. Pictures are those that the snapshot tests compare.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tables_and_keys

import pipeloom

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = DOCS / "site"
PICTURES = {
    "live": ("The live screen", "live[overview-{}-80x24]"),
    "error": ("A failed task's error, with the line that ran", "live[error-{}-80x24]"),
    "history": ("The history: every attempt, newest first", "history[80x24]"),
}
"""Name in a page (`<!-- picture: NAME -->`) to its caption and the snapshot; `{}` stands for dark and light."""
_FONT = re.compile(r"@font-face\s*\{[^}]*\}")
_PICTURE = re.compile(r"^<!-- picture: (\w+) -->$", re.MULTILINE)


def main(target: Path) -> int:
    """Build into a folder; what it held is removed. Return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        lay_out(work)
        program = Path(sys.executable).with_name("zensical")
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([program, "build", "--strict", "--clean"], cwd=work, env=environment, check=False)  # noqa: S603 - our own words
        if done.returncode == 0:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(work / "site", target)
            print(f"The site is in {target}: open {target / 'index.html'}")
    return done.returncode


def lay_out(work: Path) -> None:
    """Write all that the site is made of, and its configuration."""
    pages = work / "docs"
    (pages / "reference").mkdir(parents=True)
    for path in sorted(DOCS.rglob("*.md")):
        place = pages / path.relative_to(DOCS)
        place.parent.mkdir(exist_ok=True)
        place.write_text(with_pictures(path.read_text(encoding="utf-8"), depth(path)), encoding="utf-8")
    for name, text in made_pages().items():
        (pages / "reference" / f"{name}.md").write_text(text, encoding="utf-8")
    copy_pictures(pages / "pictures")
    shutil.copy(SITE / "extra.css", pages / "extra.css")
    config = (SITE / "zensical.toml").read_text(encoding="utf-8")
    here = {path.relative_to(pages).as_posix() for path in pages.rglob("*.md")}
    check_navigation(config, here)
    (work / "zensical.toml").write_text(config, encoding="utf-8")


def check_navigation(config: str, here: set[str]) -> None:
    """Raise `ValueError` for a page that the navigation lacks."""
    named = set(re.findall(r'"([\w/-]+\.md)"', config))
    if left_out := sorted(here - named):
        raise ValueError(f"docs/site/zensical.toml has no place for {', '.join(left_out)}")


def depth(path: Path) -> int:
    """Return how many folders a page is below `docs/`."""
    return len(path.relative_to(DOCS).parts) - 1


def with_pictures(text: str, below: int) -> str:
    """Return a page with its pictures, in dark and light where there are both."""

    def links(found: re.Match[str]) -> str:
        caption, snapshot = PICTURES[found[1]]
        both = "{}" in snapshot
        shades = {f"-{shade}": f"#only-{shade}" for shade in ("dark", "light")} if both else {"": ""}
        start = "../" * below + f"pictures/{found[1]}"
        linked = (f"[![{caption}]({start}{shade}.svg{only})]({start}{shade}.svg)" for shade, only in shades.items())
        return "\n".join(linked)

    return _PICTURE.sub(links, text)


def copy_pictures(target: Path) -> None:
    """Copy the snapshots; the font that they would fetch from elsewhere is left out."""
    target.mkdir()
    kept = ROOT / "tests" / "tui" / "__snapshots__" / "test_snapshots"
    for name, (_, snapshot) in PICTURES.items():
        for shade in ("dark", "light") if "{}" in snapshot else ("",):
            picture = (kept / f"test_{snapshot.format(shade)}.svg").read_text(encoding="utf-8")
            file = target / f"{name}{shade and '-'}{shade}.svg"
            file.write_text(_FONT.sub("", picture), encoding="utf-8")


def made_pages() -> dict[str, str]:
    """Return the pages that are made from the program, by name."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return {
        "commands": tables_and_keys.commands() + section(readme, "Commands", drop_code=True),
        "keys": tables_and_keys.keys(),
        "filters": "# Filters\n\n" + part(readme, "Filters are words", "A task that ran before"),
        "settings": "# Settings\n\n" + section(readme, "Settings"),
        "tables": tables_and_keys.tables(),
        "python": public_names(),
    }


def section(text: str, heading: str, *, drop_code: bool = False) -> str:
    """Return a section of the README, as a page of `reference/` links."""
    found = part(text, f"## {heading}\n", "\n## ").split("\n", 2)[2]
    if drop_code:
        found = re.sub(r"^```\n.*?^```\n", "", found, count=1, flags=re.MULTILINE | re.DOTALL)
    return found


def part(text: str, start: str, end: str) -> str:
    """Return what stands between two phrases, the first included."""
    begin = text.index(start)
    return text[begin : text.index(end, begin + 1)].replace("](docs/", "](../")


def public_names() -> str:
    """Return the page of `import pipeloom`, which mkdocstrings fills from the docstrings."""
    names = sorted(
        pipeloom._HOMES.items(), key=lambda item: (item[0] != "run_pipeline", item[0] != "Pipeline", item[0])
    )
    entries = "\n".join(f"::: {home}.{name}\n" for name, home in names)
    return f"# Python\n\nAll of this is imported from `pipeloom` itself: `from pipeloom import Pipeline`.\n\n{entries}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site").absolute()))
