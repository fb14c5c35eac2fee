"""Which servers `http` stages may ask, and the secrets that they may send there.

Both are the operator's to say, and not the file's: a pipeline cannot reach what
``PENSTOCK_HTTP_HOSTS`` does not name, nor read a variable that is not called
``PENSTOCK_SECRET_…``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import SplitResult

from streams.config import PREFIX, Settings
from streams.errors import ConfigError

SECRETS: Final = PREFIX + "SECRET_"
"""How the names of variables begin that headers may show."""

PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}

_SECRET: Final = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The outside, as far as stages may see it."""

    hosts: tuple[str, ...] = ()
    """``api.example.org``, or with a port that is not its scheme's own."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By the names of their variables."""

    @classmethod
    def of(cls, settings: Settings, env: Mapping[str, str]) -> Self:
        """Return what *settings* allow, and the secrets in *env*."""
        hosts = (host.strip().lower() for host in settings.http_hosts.split(","))
        secrets = {n: v.strip() for n, v in env.items() if n.startswith(SECRETS)}
        return cls(hosts=tuple(host for host in hosts if host), secrets=secrets)

    def origin_of(self, url: SplitResult) -> str:
        """Return scheme, host and port of *url*, all of them said.

        Raises:
            ConfigError: it is no address, or may not be asked.
        """
        try:
            port = url.port or PORTS.get(url.scheme)
        except ValueError:
            port = None
        if port is None or url.hostname is None:
            raise ConfigError(["must begin with http:// or https:// and a host"])
        if url.username is not None or url.password is not None:
            raise ConfigError(["has a name or a password: send it in a header"])
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        allowed = (f"{host}:{port}", *([host] if port == PORTS[url.scheme] else []))
        if not any(each in self.hosts for each in allowed):
            known = ", ".join(self.hosts) or "none"
            wanted = allowed[-1]
            reason = f"{wanted} is not allowed; PENSTOCK_HTTP_HOSTS allows {known}"
            raise ConfigError([reason])
        return f"{url.scheme}://{host}:{port}"

    def revealed(self, text: str) -> str:
        """Return *text* with its ``${PENSTOCK_SECRET_…}`` in place.

        Raises:
            ConfigError: one of them is not set, or no secret.
        """
        problems = [
            problem for name in _SECRET.findall(text) if (problem := self._wrong(name))
        ]
        if problems:
            raise ConfigError(problems)
        return _SECRET.sub(lambda found: self.secrets[found[1]], text)

    def _wrong(self, name: str) -> str | None:
        if not name.startswith(SECRETS):
            return f"{name} is no secret: only {SECRETS}… may stand here"
        value = self.secrets.get(name)
        if not value:
            return f"{name} is not set"
        if not (value.isascii() and value.isprintable()):
            return f"{name} has characters that no header can carry"
        return None
