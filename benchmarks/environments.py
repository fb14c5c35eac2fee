"""Environments of the peers: each has its own, with the versions that are compared."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A distribution that penstock is compared with."""

    folder: str
    package: str
    version: str
    extra: str = ""

    @property
    def requirement(self) -> str:
        """What pip calls it."""
        return f"{self.package}{self.extra}=={self.version}"


FAUST: Final = Peer(
    folder="faust", package="faust-streaming", version="0.15.3", extra="[rocksdict]"
)
QUIX: Final = Peer(folder="quix", package="quixstreams", version="3.28.1")


def environment(cache: Path, peer: Peer) -> Path:
    """Return the Python of *peer*'s environment, made if it is not there."""
    folder = cache / peer.folder
    python, made = folder / "bin" / "python", folder / "made"
    if made.exists() and made.read_text() == peer.requirement:
        return python
    print(f"making the environment of {peer.requirement} ...", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    _run(*pip, peer.requirement)
    made.write_text(peer.requirement)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - our own command lines
