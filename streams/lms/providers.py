"""Where models live: the beginning of a model's name decides, one line each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A kind of server that speaks OpenAI's chat completions."""

    api_base: str | None
    """Its address; None where only the deployment knows it."""
    key_env: str | None = None
    """The variable that its users keep their key in; None if it wants no key."""


DEMO: Final = "local/demo"

PROVIDERS: Final[Mapping[str, Provider]] = {
    "deepseek": Provider(
        api_base="https://api.deepseek.com", key_env="DEEPSEEK_API_KEY"
    ),
    "groq": Provider(api_base="https://api.groq.com/openai/v1", key_env="GROQ_API_KEY"),
    "hosted_vllm": Provider(api_base=None),
    "ollama": Provider(api_base="http://localhost:11434"),
    "ollama_chat": Provider(api_base="http://localhost:11434"),
    "openai": Provider(api_base="https://api.openai.com/v1", key_env="OPENAI_API_KEY"),
    "openrouter": Provider(
        api_base="https://openrouter.ai/api/v1", key_env="OPENROUTER_API_KEY"
    ),
    "xai": Provider(api_base="https://api.x.ai/v1", key_env="XAI_API_KEY"),
}
