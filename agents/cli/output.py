"""Rows in three formats: a table for people, JSON and YAML for programs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import orjson

from streams.json_form import json_form

Format = Literal["table", "json", "yaml"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

Row = Mapping[str, Any]
"""Column to value. All rows of one output have the same columns, in one order."""

GAP: Final = "  "


def render(shown: Row | Sequence[Row], output: Format) -> str:
    """Return *shown*, some rows or one object, as text without a last newline."""
    match output:
        case "json":
            return _json(shown, orjson.OPT_INDENT_2)
        case "yaml":
            # Only here: it takes longer to import than to run.
            import yaml  # noqa: PLC0415

            plain = orjson.loads(_json(shown))
            text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
            return text.rstrip("\n")
        case "table":
            return _table([shown] if isinstance(shown, Mapping) else shown)


def render_next(shown: Row, output: Format) -> str:
    """Return one object of a stream: a line of JSON, or a YAML document."""
    if output == "json":
        return _json(shown)
    return f"---\n{render(shown, output)}"


def flat(shown: Row) -> dict[str, Any]:
    """Return *shown* without objects in objects, for a table: ``usage.calls``.

    What is None or empty is left out.
    """
    flattened: dict[str, Any] = {}
    for name, value in shown.items():
        if isinstance(value, Mapping):
            flattened |= {f"{name}.{k}": v for k, v in flat(value).items()}
        elif value not in (None, "", [], ()):
            flattened[name] = value
    return flattened


def _json(shown: Any, option: int = 0) -> str:
    return orjson.dumps(shown, default=_text, option=option).decode()


def _text(value: object) -> str:
    try:
        return json_form(value)
    except TypeError:
        # A producer's own schema may have types that no field has.
        return str(value)


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return "nothing"
    lines = [[name.upper() for name in rows[0]]]
    lines += [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        GAP.join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    match value:
        case None | "":
            return "-"
        case True | False:
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(_cell, value)) or "-"
        case _:
            return " ".join(str(value).split())
