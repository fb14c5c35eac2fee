"""Settings: one field, one ``PENSTOCK_*`` variable, one Helm value."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from streams.errors import ConfigError

PREFIX: Final = "PENSTOCK_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a worker, checked against each other."""

    app: str = "main"
    """Name of the app: the consumer group, tables and transactional ids are
    ``<prefix>-<app>``. A changed name is a new app: it starts from the beginning."""
    prefix: str = "penstock"
    """First part of every topic name; one per deployment, so one ACL covers it."""
    bootstrap: str = ""
    """Kafka brokers, ``host:port[,host:port]``. Empty: the dev broker."""
    pipelines_dir: Path = Path("pipelines")
    """Folder with pipeline YAML files; all of them belong to the app."""
    code_paths: str = ""
    """Folders with user code (transforms), separated by ``:``."""
    code_modules: str = "examples"
    """Modules whose functions pipelines may name, comma-separated prefixes."""
    state_dir: Path = Path(".cache/state")
    """Folder of the RocksDB stores. One worker per folder. Losing it costs a
    restore from the changelogs and nothing else."""
    partitions: int = 8
    """Partitions of every topic of the app. Choose once: it can never change."""
    replication: int = 1
    """Replication factor of provisioned topics; 3 in production."""
    min_insync_replicas: int = 1
    """``min.insync.replicas`` of provisioned topics; 2 in production."""
    max_message_bytes: int = 1_048_576
    """``max.message.bytes`` of provisioned topics, and what a record may weigh."""
    instance: str = ""
    """Static member id of this worker (pod name). Empty: a dynamic member."""
    max_running: int = 256
    """Runs in flight per pipeline and worker; more requests wait in their lanes."""
    max_waiting: int = 1_000
    """Records per task that may wait for a slot before its partitions pause."""
    max_waiting_bytes: int = 16_777_216
    """Their bytes, likewise."""
    commit_interval_s: float = 0.03
    """Longest a settlement waits for company before its transaction. Longer is
    cheaper and later."""
    commit_timeout_s: float = 5.0
    """Longest wait for a commit's reply; then its outcome is unknown."""
    transaction_timeout_s: float = 15.0
    """After this the broker aborts a transaction by itself."""
    session_timeout_s: float = 30.0
    """After this without a heartbeat the group gives our partitions away."""
    drain_s: float = 20.0
    """Longest that SIGTERM waits for runs in flight."""
    stuck_s: float = 60.0
    """A worker whose event loop, or its consumer's, has not turned for this long ends,
    exit code 1: user code that blocks has to take less."""
    ledger_window_s: float = 86_400.0
    """How long a request id is remembered, so that a repeat adds no terminal."""
    ledger_max_entries: int = 10_000_000
    """Bound per task on remembered ids; above it the window shortens, loudly."""
    rocksdb_cache_bytes: int = 67_108_864
    """What all stores of a worker may hold in memory: blocks that were read, and their
    memtables."""
    rocksdb_write_buffer_bytes: int = 33_554_432
    """How much of that may be memtables; they fill up to it, however slowly."""
    http_host: str = "127.0.0.1"
    """Address of health, metrics and the embedded registry."""
    http_port: int = 8080
    """Their port; 0 picks a free one, printed at start."""
    http_hosts: str = ""
    """Servers that `http` stages may ask, comma-separated: ``api.example.org`` at its
    scheme's port, or ``host:port``. Empty: none."""
    registry_url: str = ""
    """A Confluent-compatible schema registry. Empty: the embedded one."""
    registry_register: bool = True
    """Whether HTTP clients may register schemas at the embedded registry."""
    schema_wait_s: float = 5.0
    """How long an unknown schema id may still turn up before its dead letter."""
    log_level: str = "info"
    """debug, info, warning or error. Prompts appear at debug only."""
    auto_offset_reset: str = "earliest"
    """Where a new app begins: earliest or latest."""
    new_app: bool = False
    """Begin although results of another app exist: pays all requests again."""
    accept_loss: bool = False
    """Go on although source offsets or changelogs are gone."""

    @property
    def group(self) -> str:
        """The consumer group, and the prefix of tables and transactional ids."""
        return f"{self.prefix}-{self.app}"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read ``PENSTOCK_*`` from *env*.

        Raises:
            ConfigError: with every problem at once.
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        known = {f.name: f for f in fields(cls)}
        for name, spec in known.items():
            text = env.get(PREFIX + name.upper())
            if text is None or (text == "" and spec.default is not MISSING):
                continue
            try:
                values[name] = _parser(spec.default)(text)
            except ValueError as error:
                problems.append(f"{PREFIX}{name.upper()}: {error}")
        problems += [
            f"{key}: no such setting; see `penstock config show`"
            for key in sorted(env)
            if key.startswith(PREFIX)
            and key.removeprefix(PREFIX).lower() not in known
            and not key.startswith(RESERVED)
        ]
        if problems:
            raise ConfigError(problems)
        settings = cls(**values)
        problems = settings.problems()
        if problems:
            raise ConfigError(problems)
        return settings

    def problems(self) -> list[str]:
        """Return what is wrong between settings, as sentences."""
        return [sentence for wrong, sentence in _checks(self) if wrong]

    def masked(self) -> dict[str, Any]:
        """Return the settings for people: no secret is in it."""
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        shown["registry_url"] = _without_password(self.registry_url)
        return {
            k: str(v) if isinstance(v, Path) else v for k, v in sorted(shown.items())
        }


RESERVED: Final = (
    PREFIX + "LM_",  # keys of LMs: PENSTOCK_LM_<NAME>_API_KEY
    PREFIX + "SECRET_",  # what `http` stages may send in headers
    PREFIX + "FAILPOINTS",  # agents/failpoints.py, and its seed
    PREFIX + "TEST_",
    PREFIX + "CACHE_",  # where the dev broker keeps jars and data
)
"""Variables with these beginnings are read by name elsewhere."""


def _bool(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False}
    words["no"] = False
    try:
        return words[text.strip().lower()]
    except KeyError:
        reason = f"{text!r} is neither true nor false"
        raise ValueError(reason) from None


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:  # noqa: ANN401 - int or float, as *kind* says
        try:
            return kind(text)
        except ValueError:
            reason = f"{text!r} is not a number"
            raise ValueError(reason) from None

    return parse


_PARSE: Final[Mapping[type, Callable[[str], Any]]] = {
    str: str,
    Path: Path,
    bool: _bool,
    int: _number(int),
    float: _number(float),
}


def _parser(default: object) -> Callable[[str], Any]:
    # A path's own type is the platform's: PosixPath, not Path.
    return _PARSE[Path if isinstance(default, Path) else type(default)]


def _checks(s: Settings) -> list[tuple[bool, str]]:
    return [
        (s.partitions < 1, "PENSTOCK_PARTITIONS: at least 1"),
        (s.max_running < 1, "PENSTOCK_MAX_RUNNING: at least 1"),
        (s.max_waiting < 1, "PENSTOCK_MAX_WAITING: at least 1"),
        (
            not s.commit_interval_s < s.commit_timeout_s,
            "PENSTOCK_COMMIT_INTERVAL_S: must be below PENSTOCK_COMMIT_TIMEOUT_S",
        ),
        (
            not s.commit_timeout_s < s.transaction_timeout_s,
            "PENSTOCK_COMMIT_TIMEOUT_S: must be below PENSTOCK_TRANSACTION_TIMEOUT_S",
        ),
        (
            not s.transaction_timeout_s < s.session_timeout_s,
            "PENSTOCK_TRANSACTION_TIMEOUT_S: must be below PENSTOCK_SESSION_TIMEOUT_S",
        ),
        (s.stuck_s <= 0, "PENSTOCK_STUCK_S: above 0"),
        (
            s.min_insync_replicas > s.replication,
            "PENSTOCK_MIN_INSYNC_REPLICAS: must not exceed PENSTOCK_REPLICATION",
        ),
        (
            s.auto_offset_reset not in {"earliest", "latest"},
            "PENSTOCK_AUTO_OFFSET_RESET: earliest or latest",
        ),
        (
            s.log_level not in {"debug", "info", "warning", "error"},
            "PENSTOCK_LOG_LEVEL: debug, info, warning or error",
        ),
        (not s.prefix or not s.app, "PENSTOCK_PREFIX, PENSTOCK_APP: must not be empty"),
    ]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.hostname or ""
    host = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))
