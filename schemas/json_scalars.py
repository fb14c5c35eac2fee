"""Single values in JSON Schema, and the text of what JSON has no form for.

Bytes are base64, dates and moments ISO 8601, exact numbers digits; each has a pattern,
because many validators take ``format`` for a remark.
"""

from collections.abc import Mapping
from typing import Any, Final

WHOLE: Final[Mapping[str, tuple[int, int]]] = {
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}

DATE: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOMENT: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"
    "(Z|[+-][0-9]{2}:[0-9]{2})$"
)

_SIXTY_FOUR: Final = "[A-Za-z0-9+/]"
# The bits of the last character that belong to no byte are zero.
_TAILS: Final = ("", f"{_SIXTY_FOUR}[AQgw]==", f"{_SIXTY_FOUR}{{2}}[AEIMQUYcgkosw048]=")

# As streams/signatures/special_texts.py has it: an address, or a data URI.
_ADDRESS: Final = r"[!#-;=?-\[\]-~]"
_IMAGE_BYTES: Final = (
    f"({_SIXTY_FOUR}{{4}})*{_SIXTY_FOUR}{{2}}({_SIXTY_FOUR}{{2}}|{_SIXTY_FOUR}=|==)"
)
IMAGE: Final = (
    f"^(http://{_ADDRESS}{{1,8185}}|https://{_ADDRESS}{{1,8184}}"
    f"|data:image/[a-z0-9.+-]{{1,40}};base64,{_IMAGE_BYTES})$"
)

MAX_IMAGE_CHARACTERS: Final = 8_388_608

MOST_DIGITS: Final = 40
"""On each side of the point: what a text of an exact number may have at all."""


def json_scalar(avro: Any) -> dict[str, Any]:  # noqa: ANN401, C901, PLR0911 - one case a type
    """Return the JSON Schema of a type without parts."""
    said = avro if isinstance(avro, Mapping) else {"type": avro}
    match said:
        case {"logicalType": "decimal", "precision": digits}:
            return _exact(digits, said.get("scale", 0))
        case {"type": "int", "logicalType": "date"}:
            return {"type": "string", "format": "date", "pattern": DATE}
        case {"type": "long", "logicalType": "timestamp-micros"}:
            return {"type": "string", "format": "date-time", "pattern": MOMENT}
        case {"type": "enum", "symbols": symbols}:
            return {"enum": list(symbols)}
        case {"type": "fixed", "size": size}:
            return _octets(size, size)
        case {"type": "bytes"}:
            return _octets(said.get("minLength", 0), said.get("maxLength"))
        case {"type": "string"}:
            return _text(said)
        case {"type": "null" | "boolean" as name}:
            return {"type": name}
        case _:
            return _number(said)


def _text(said: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string"}
    if said.get("image") is True:
        made |= {"format": "uri", "maxLength": MAX_IMAGE_CHARACTERS, "pattern": IMAGE}
    made |= {name: said[name] for name in ("minLength", "maxLength") if name in said}
    if "pattern" in said:
        # Ours is of the whole text, JSON Schema's of any part of it.
        made["pattern"] = f"^(?:{said['pattern']})$"
    return _allowed(made, said)


def _number(said: Mapping[str, Any]) -> dict[str, Any]:
    bounds = {name: said[name] for name in ("minimum", "maximum") if name in said}
    if said["type"] not in WHOLE:
        return {"type": "number"} | bounds
    low, high = WHOLE[said["type"]]
    made = {"type": "integer", "minimum": low, "maximum": high} | bounds
    return _allowed(made, said)


def _allowed(made: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    if "allowed" not in said:
        return made
    return {"type": made["type"], "enum": list(said["allowed"])}


def _octets(low: int, high: int | None) -> dict[str, Any]:
    """Return base64 of *low* to *high* bytes: three of them are four characters."""
    endings = []
    for rest, tail in enumerate(_TAILS):
        least = max(0, -(-(low - rest) // 3))
        if high is None:
            endings.append(_base64(f"{least},", tail))
        elif (high - rest) // 3 >= least:
            endings.append(_base64(f"{least},{(high - rest) // 3}", tail))
    return {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": f"^({'|'.join(endings)})$",
    }


def _base64(times: str, tail: str) -> str:
    return f"({_SIXTY_FOUR}{{4}}){{{times}}}{tail}"


def _exact(digits: int, places: int) -> dict[str, Any]:
    """Return digits, more than *places* behind the point only if they are zeros."""
    whole = digits - places
    before = f"(?=[0-9]{{1,{MOST_DIGITS}}}([.]|$))0*[0-9]{{0,{whole}}}"
    behind = f"[.](?=[0-9]{{1,{MOST_DIGITS}}}$)[0-9]{{0,{places}}}0*"
    most = min(10**whole - 1, 2**63 - 1)
    return {
        "type": ["string", "integer"],
        "pattern": f"^-?{before}({behind})?$",
        "minimum": -most,
        "maximum": most,
    }
