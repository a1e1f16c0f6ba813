"""This very pipeloom, for another environment: its checkout, or a wheel made of the files that are installed here."""

from __future__ import annotations

import hashlib
import json
import zipfile
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from pipeloom.environment.extras import CARRIED, extras_here
from pipeloom.errors import UsageError

NAME: Final = "pipeloom"
_LEFT_OUT: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
"""Files that an installer adds."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Own:
    """The distribution that runs."""

    version: str
    requires: tuple[str, ...]
    checkout: Path | None
    """The folder that it is installed from as editable; None for any other."""
    files: tuple[tuple[str, Path], ...]
    """Names in a wheel, and where they are here."""
    digests: tuple[str, ...] = ()
    """Their hashes, as the installer has listed them."""
    extras: tuple[str, ...] = ()
    """Those of its extras that another environment has, too."""

    @property
    def identity(self) -> str:
        """A text that differs for another version, another checkout, other files or extras."""
        return json.dumps([self.version, self.requires, str(self.checkout or ""), self.digests, self.extras])

    def requirement(self, folder: Path) -> list[str]:
        """Return the arguments that have uv install it; a wheel is written to the folder."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        if self.checkout is not None:
            return ["--editable", f"{self.checkout}{extras}"]
        return [f"{NAME}{extras} @ {self._write_wheel(folder).as_uri()}"]

    def _write_wheel(self, folder: Path) -> Path:
        wheel = folder / f"{NAME}-{self.version}-py3-none-any.whl"
        record = f"{NAME}-{self.version}.dist-info/RECORD"
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            lines: list[str] = []
            for name, path in self.files:
                content = path.read_bytes()
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
                digest = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                lines.append(f"{name},sha256={digest},{len(content)}\n")
            archive.writestr(zipfile.ZipInfo(record, _EPOCH), "".join([*lines, f"{record},,\n"]))
        return wheel


def own() -> Own:
    """Return the distribution that runs; raises `UsageError` for one whose files are not known."""
    try:
        there = metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        raise UsageError("This pipeloom is not installed, so it cannot be put into another environment.") from None
    requires = tuple(there.requires or ())
    extras = tuple(extra for extra in extras_here() if extra in CARRIED)
    origin = json.loads(there.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Own(there.version, requires, Path(unquote(urlsplit(origin["url"]).path)), (), extras=extras)
    info = f"{NAME}-{there.version}.dist-info"
    listed = [
        file
        for file in there.files or ()
        if file.parts[0] in (NAME, info) and "__pycache__" not in file.parts and file.name not in _LEFT_OUT
    ]
    listed.sort()
    files = tuple((file.as_posix(), Path(str(there.locate_file(file)))) for file in listed)
    if not files:
        raise UsageError("The files of this pipeloom are not listed where it is installed: install it by pip or uv.")
    digests = tuple(file.hash.value if file.hash else "" for file in listed)
    return Own(there.version, requires, None, files, digests, extras)
