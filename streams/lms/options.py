"""What a pipeline file may say about an LM, and every way to get it wrong."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from streams.durations import duration_s
from streams.lms.providers import DEMO, PROVIDERS

LIMIT: Final = 64
"""Calls in flight per LM unless the pipeline says otherwise."""

TIMEOUT: Final = "2m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a pipeline file may say about an LM. One field, one option."""

    model: str = ""
    """``local/demo``, or ``<provider>/<model>`` with a provider of PROVIDERS."""
    api_base: str | None = None
    """Address of the server, if it is not the provider's own."""
    api_key_env: str | None = None
    """Variable that holds the key; default: PENSTOCK_LM_<NAME>_API_KEY, then, at the
    provider's own address, the provider's usual variable."""
    temperature: float | None = None
    max_tokens: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    """Anything else that belongs into the body of every call."""
    limit: int = LIMIT
    """Calls in flight at most. 429s lower it for a while by themselves."""
    timeout: str = TIMEOUT
    """How long the LM may take for one answer, such as ``30s``."""


def problems_of(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with *options*, each sentence beginning with its option."""
    known = Options.__dataclass_fields__
    problems = [
        *(_unknown(option) for option in options if option not in known),
        *(
            f"{option}: {sentence}"
            for option, (fits, sentence) in _FITS.items()
            if option in options and not fits(options[option])
        ),
    ]
    model = options.get("model")
    return [*problems, *_model_problems(model)]


def _unknown(option: str) -> str:
    if option in {"api_key", "key"}:
        return f"{option}: keys do not belong into files; name a variable, api_key_env"
    close = get_close_matches(option, Options.__dataclass_fields__, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{option}: no such option{hint}"


def _model_problems(model: object) -> list[str]:
    if not isinstance(model, str) or not model:
        return [f"model: is missing, such as {DEMO}"]
    prefix, _, rest = model.partition("/")
    if model == DEMO or (prefix in PROVIDERS and rest):
        return []
    known = [DEMO, *(f"{each}/…" for each in sorted(PROVIDERS))]
    close = get_close_matches(prefix, [*PROVIDERS, "local"], n=1)
    hint = f"; did you mean {close[0]}/?" if close and close[0] != prefix else ""
    return [f"model: {model!r} is none of {', '.join(known)}{hint}"]


def _number(least: float, *, whole: bool = False) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        kinds = int if whole else int | float
        if not isinstance(value, kinds) or isinstance(value, bool):
            return False
        return least <= value < math.inf

    return fits


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


_FITS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "api_base": (lambda v: isinstance(v, str), "an address is text"),
    "api_key_env": (lambda v: isinstance(v, str) and v != "", "the name of a variable"),
    "temperature": (_number(0), "a number of at least 0"),
    "max_tokens": (_number(1, whole=True), "a whole number of at least 1"),
    "params": (_is_named, "names and values"),
    "limit": (_number(1, whole=True), "a whole number of at least 1"),
    "timeout": (lambda v: duration_s(v) is not None, "a duration such as 30s"),
}
