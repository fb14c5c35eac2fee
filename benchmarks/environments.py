"""Environments of the peers: each has its own, with the versions that are compared."""

import subprocess
import sys
from pathlib import Path
from typing import Final

FAUST: Final = ("faust", ("faust-streaming[rocksdict]==0.15.3"))
QUIX: Final = ("quix", ("quixstreams==3.28.1",))


def environment(cache: Path, peer: tuple[str, tuple[str, ...]]) -> Path:
    """Return the Python of *peer*'s environment, made if it is not there."""
    name, packages = peer
    folder = cache / name
    python, made = folder / "bin" / "python", folder / "made"
    wanted = "\n".join(packages)
    if made.exists() and made.read_text() == wanted:
        return python
    print(f"making the environment of {name} ...", flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    _run(*pip, *packages)
    made.write_text(wanted)
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - our own command lines
