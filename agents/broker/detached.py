"""The one dev broker that outlives its command: `penstock dev broker start|stop`.

Its folder in the cache holds its data and, in ``broker.json``, who it is. Stopping
keeps both: the next start continues with the same topics at the same address.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from agents.broker import process
from agents.broker.installation import Installation
from agents.broker.properties import BrokerOptions, Identity
from agents.broker.server import DevBroker
from streams.clock import SystemClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Detached:
    """The dev broker as its file describes it."""

    folder: Path
    pid: int
    started_ms: int
    identity: Identity

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.identity.direct}"

    @property
    def running(self) -> bool:
        """Whether its process is alive, and is that broker and no other."""
        return process.runs(self.pid, self.folder)


def find(cache: Path) -> Detached | None:
    """Return the dev broker of *cache*, running or not; None if there never was one."""
    folder = _folder(cache)
    try:
        known = orjson.loads((folder / "broker.json").read_bytes())
        identity = Identity(**known.pop("identity"))
        return Detached(folder=folder, identity=identity, **known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def start(installation: Installation, options: BrokerOptions) -> Detached:
    """Return the running dev broker, started if need be.

    Raises:
        BrokerStartError: with what Kafka said last.
    """
    with _alone(installation.cache):
        known = find(installation.cache)
        if known and known.running:
            return known
        broker = _ready(installation, options, known)
        # Until it is released it dies with us: an interrupted start leaves none.
        found = Detached(
            folder=broker.folder,
            pid=broker.pid,
            started_ms=SystemClock().now_ms(),
            identity=broker.identity,
        )
        try:
            _write(found)
            broker.release()
        except BaseException:
            broker.stop()
            raise
        return found


def stop(cache: Path, *, wipe: bool) -> bool:
    """Stop the dev broker; False if none ran. *wipe* deletes its data as well."""
    with _alone(cache):
        known = find(cache)
        stopped = known is not None and process.end(known.pid, known.folder)
        if wipe:
            shutil.rmtree(_folder(cache), ignore_errors=True)
        return stopped


def _ready(
    installation: Installation, options: BrokerOptions, known: Detached | None
) -> DevBroker:
    folder = _folder(installation.cache)
    if known is None:
        # What is there without its file is of no broker that could be found.
        shutil.rmtree(folder, ignore_errors=True)
        return DevBroker.start(installation, options, folder=folder)
    broker = DevBroker(installation, folder, options, known.identity)
    broker.resume()
    return broker


def _write(found: Detached) -> None:
    known = asdict(found)
    del known["folder"]
    draft = found.folder / "broker.json.new"
    draft.write_bytes(orjson.dumps(known))
    draft.replace(found.folder / "broker.json")


def _folder(cache: Path) -> Path:
    return cache / "brokers" / "dev"


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Wait for the other start or stop of this cache, if there is one."""
    (cache / "brokers").mkdir(parents=True, exist_ok=True)
    with (cache / "brokers" / "dev.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
