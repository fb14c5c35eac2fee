"""``adapter``: in which layout an LM is shown its fields, and answers with them.

    read: {predict: "mail -> order: Order", adapter: json}

These are DSPy's: ``chat`` has sections under headers, ``json`` an object, ``xml`` tags.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from streams.language.problems import meant
from streams.language.section import Section

AdapterName = Literal["chat", "json", "xml"]

ADAPTER_KEYS: Final = ("adapter",)
ADAPTERS: Final[tuple[AdapterName, ...]] = get_args(AdapterName)
DEFAULT: Final[AdapterName] = "chat"


def read_adapter(section: Section) -> Mapping[str, Any]:
    """Return the option ``adapter`` of an entry: its name."""
    said = section.text("adapter") if section.has("adapter") else None
    if said is None or said in ADAPTERS:
        return {"adapter": said or DEFAULT}
    section.wrong("adapter", f"{said!r} is no adapter; {meant(said, ADAPTERS)}")
    return {"adapter": DEFAULT}


def adapter_of(options: Mapping[str, Any]) -> AdapterName:
    """Return the adapter that *options* of a stage name."""
    chosen: AdapterName = options.get("adapter", DEFAULT)
    return chosen
