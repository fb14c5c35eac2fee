"""Open an LM from the options of a pipeline file: all problems at once, then an LM."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from streams.clock import Clock
from streams.durations import duration_s
from streams.errors import ConfigError
from streams.lms.demo import DemoLM
from streams.lms.http_pool import Address
from streams.lms.limits import LimitedLM, Limiter
from streams.lms.measured import MeasuredLM
from streams.lms.openai_http import Endpoint, OpenAILM
from streams.lms.options import Options, problems_of
from streams.lms.providers import DEMO, PROVIDERS, Provider
from streams.metrics import Recorder
from streams.stage import LM

PATH: Final = "/chat/completions"


def open_lm(
    name: str,
    options: Mapping[str, Any],
    env: Mapping[str, str],
    recorder: Recorder,
    clock: Clock,
) -> LM:
    """Return the LM *name*; it connects when it is first asked.

    *env* is where keys are looked up.

    Raises:
        ConfigError: with every problem; each begins with the option it is about.
    """
    problems = problems_of(options)
    if problems:
        raise ConfigError(problems)
    said = Options(**options)
    if said.model == DEMO:
        return MeasuredLM(DemoLM(name), recorder, clock)
    endpoint = _endpoint(name, said, env)
    served = MeasuredLM(OpenAILM(name, endpoint, recorder, clock), recorder, clock)
    return LimitedLM(served, Limiter(said.limit), recorder, clock)


def option_problems(options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with *options*, whatever keys there are.

    Each sentence begins with its option.
    """
    problems = problems_of(options)
    if problems or options["model"] == DEMO:
        return problems
    return _address_problems(Options(**options))


def chat_url(api_base: str) -> str:
    """Return where chat completions are, given the address that people write."""
    base = api_base.rstrip("/")
    if base.endswith(PATH):
        return base
    # Ollama and vLLM are known by host and port; what we speak is under /v1.
    return f"{base}{PATH}" if urlsplit(base).path else f"{base}/v1{PATH}"


def key_env(name: str) -> str:
    """Return the variable that holds the key of the LM *name* by default."""
    return f"PENSTOCK_LM_{name.upper().replace('-', '_')}_API_KEY"


def _endpoint(name: str, said: Options, env: Mapping[str, str]) -> Endpoint:
    prefix, _, model = said.model.partition("/")
    problems = _address_problems(said)
    key, missing = _key(name, said, PROVIDERS[prefix], env)
    if problems or missing:
        raise ConfigError([*problems, *missing])
    chosen = {"temperature": said.temperature, "max_tokens": said.max_tokens}
    return Endpoint(
        url=chat_url(_address(said)),
        model=model,
        key=key,
        params={k: v for k, v in chosen.items() if v is not None} | dict(said.params),
        timeout_s=duration_s(said.timeout) or 0.0,
    )


def _key(
    name: str, said: Options, provider: Provider, env: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Return the key, and what is wrong if there has to be one and is none."""
    own = said.api_key_env or key_env(name)
    at_home = not said.api_base and provider.key_env is not None
    # Nobody's OpenAI key goes to an address that is not OpenAI's.
    usual = provider.key_env if at_home and said.api_key_env is None else None
    key = (env.get(own) or (env.get(usual) if usual else None) or "").strip()
    if not (key.isascii() and key.isprintable()):
        return "", [f"model: the key in {own} has characters that no header can carry"]
    if key or not (at_home or said.api_key_env):
        return key, []
    places = f"{own} or {usual}" if usual else own
    return "", [f"model: {said.model} needs a key; set {places} to it"]


def _address(said: Options) -> str:
    """Return the address of the server; empty where nobody says one."""
    prefix = said.model.partition("/")[0]
    return said.api_base or PROVIDERS[prefix].api_base or ""


def _address_problems(said: Options) -> list[str]:
    prefix, address = said.model.partition("/")[0], _address(said)
    if not address:
        return [f"api_base: {prefix}/ models need one, such as http://localhost:8000"]
    try:
        Address.of(chat_url(address), {})
    except ValueError:
        return [f"api_base: {address!r} is not an http(s) address"]
    return []
