"""Apache Kafka itself: 35 pinned jars, fetched by coordinates, checked by hash."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from agents.failures import JarMissingError, JarTamperedError

KAFKA_VERSION: Final = "4.3.1"
FETCHES_AT_ONCE: Final = 8  # polite to the repository, and no longer the bottleneck
ATTEMPTS: Final = 3  # one lost connection in 35 downloads is ordinary
FETCH_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One line of the lock: where a jar lives in a Maven repository, and its hash."""

    sha256: str
    path: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """Group, artifact and version."""
        *group, artifact, version, _file = self.path.split("/")
        return ".".join(group), artifact, version


def locked_jars() -> tuple[Jar, ...]:
    """Read ``kafka-jars.lock``, the file beside this one."""
    text = resources.files(__package__).joinpath("kafka-jars.lock").read_text()
    pairs = (line.split() for line in text.splitlines() if line.strip())
    return tuple(Jar(sha256=sha, path=path) for sha, path in pairs)


def ensure_jars(
    cache: Path, local_repositories: Sequence[Path], jars: Sequence[Jar] | None = None
) -> Path:
    """Return the folder with all *jars*, in *cache*; fetch those it lacks.

    *local_repositories* are Maven folders to copy from before going online. Two
    processes may do this at once: a jar appears whole or not at all.

    Raises:
        JarMissingError: a jar is nowhere to be had.
        JarTamperedError: a download is not the pinned file.
    """
    wanted = locked_jars() if jars is None else jars
    folder = cache / f"kafka-{KAFKA_VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in wanted if not _is(jar, folder / jar.name)]
    if missing:
        # A folder of one's own, on the same disk: moving out of it is atomic.
        with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as scratch:
            _place(missing, folder, Path(scratch), local_repositories)
    return folder


def _place(
    missing: Sequence[Jar], folder: Path, scratch: Path, repositories: Sequence[Path]
) -> None:
    def place(jar: Jar) -> None:
        for repository in repositories:
            if _is(jar, repository / jar.path):
                copy = scratch / jar.name
                shutil.copyfile(repository / jar.path, copy)
                copy.replace(folder / jar.name)
                return
        fetched = _fetch(jar, scratch, folder)
        got = _sha256(fetched)
        if got != jar.sha256:
            raise JarTamperedError(jar.name, jar.sha256, got)
        fetched.replace(folder / jar.name)

    with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
        list(pool.map(place, missing))


def _fetch(jar: Jar, scratch: Path, folder: Path) -> Path:
    # Only here: it costs over half a second, and is not needed once cached.
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415
    except ImportError as error:
        raise JarMissingError(jar.name, "jgo is not installed", folder) from error
    # jgo as a downloader of exact coordinates, never its resolver: with Kafka's
    # roots that one picks wrong versions in silence.
    group, artifact, version = jar.coordinates
    reason: Exception | None = None
    for attempt in range(ATTEMPTS):
        # Fresh each time: a cut download stays behind under its final name.
        repository = scratch / f"try-{attempt}"
        maven = MavenContext(
            repo_cache=repository, local_repos=[], timeout=FETCH_TIMEOUT_S
        )
        try:
            component = maven.project(group, artifact).at_version(version)
            return Path(component.artifact().resolve())
        except (OSError, RuntimeError, ValueError) as error:
            reason = error
    raise JarMissingError(jar.name, str(reason), folder) from reason


def _is(jar: Jar, path: Path) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
