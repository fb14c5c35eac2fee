"""How the demo LM writes values down: in the layout that the prompt asks for."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from streams.language.adapter_choice import AdapterName

Values = Mapping[str, Any]


def written(values: Values, layout: AdapterName) -> str:
    """Return an answer with these outputs, as DSPy's adapter of *layout* reads it."""
    return _WRITERS[layout](values)


def _sections(values: Values) -> str:
    sections = [f"[[ ## {name} ## ]]\n{_text(value)}" for name, value in values.items()]
    return "\n\n".join([*sections, "[[ ## completed ## ]]\n"])


def _object(values: Values) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2)


def _tags(values: Values) -> str:
    return "\n\n".join(_tag(name, value) for name, value in values.items())


_WRITERS: Final[Mapping[AdapterName, Callable[[Values], str]]] = {
    "chat": _sections,
    "json": _object,
    "xml": _tags,
}


def _tag(name: str, value: Any, key: str = "") -> str:  # noqa: ANN401 - of any field
    return f"<{name}{key}>{_inner(value)}</{name}>"


def _inner(value: Any) -> str:  # noqa: ANN401 - of any field
    if isinstance(value, list):
        return "".join(_tag("item", item) for item in value)
    if isinstance(value, dict):
        items = value.items()
        # Words are keys, and not all of them could be tags.
        return "".join(_tag("entry", v, f" key={quoteattr(k)}") for k, v in items)
    return escape(_text(value))


def _text(value: Any) -> str:  # noqa: ANN401 - of any field
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
