"""What a dev broker needs on this machine: a Java, Kafka's jars, a cache folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.broker.jars import ensure_jars
from agents.broker.java import Java, find_java

CACHE_VARIABLE: Final = "PENSTOCK_CACHE_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Kafka, ready to be run."""

    java: Java
    jars: Path
    cache: Path

    def command(self, main_class: str, *arguments: str, heap_mb: int) -> list[str]:
        """Return the command line that runs *main_class* of Kafka's jars."""
        return [
            str(self.java.path),
            *self.java.flags,
            f"-Xmx{heap_mb}m",
            "-Xms64m",
            # Small and quick to start: it serves tests, on a core it shares.
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            str(self.jars / "*"),
            main_class,
            *arguments,
        ]


def cache_folder(env: Mapping[str, str]) -> Path:
    """Return the folder for jars and broker data: ``.cache`` of the current folder."""
    return Path(env.get(CACHE_VARIABLE) or ".cache").absolute()


def install(env: Mapping[str, str]) -> Installation:
    """Find Java and fetch what the cache lacks of Kafka.

    Raises:
        DevBrokerError: with what to install.
    """
    java = find_java(env)
    cache = cache_folder(env)
    maven = Path(env.get("M2_REPO") or Path.home() / ".m2" / "repository")
    return Installation(java=java, jars=ensure_jars(cache, [maven]), cache=cache)
