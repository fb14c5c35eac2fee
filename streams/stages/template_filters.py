"""What templates may do with values: a short list of filters, each of bounded work."""

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final
from urllib.parse import quote

import orjson
from jinja2 import pass_context
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Context, Undefined

from streams.json_form import json_form
from streams.stages.template_work import WORK, Value, sized, weight

MAX_PLACES: Final = 20
"""Behind the point of a rounded number; no float has more."""


def shown(value: Value) -> str:
    """Return *value* as a template writes it: text as it is, else its JSON form.

    Raises:
        TypeError: it is no value of a field; a loop, for instance.
    """
    match value:
        case str():
            return value
        case Undefined():
            return str(value)  # raises, and says what is missing
        case bytes() | date() | Decimal():
            return json_form(value)
        case _:
            return tojson(value)


def tojson(value: Value) -> str:
    """Return *value* as JSON."""
    return orjson.dumps(value, default=json_form).decode()


def _bounded(work: Callable[..., Value], *, with_context: bool = False) -> Value:
    """Return the filter that does *work*: paid for, and never lazy."""

    @pass_context
    def call(context: Context, value: Value, *args: Value, **kwargs: Value) -> Value:
        budget = context[WORK]
        budget.pay(weight(value) + sum(map(weight, args)))
        made = work(*((context,) if with_context else ()), value, *args, **kwargs)
        if isinstance(made, str):
            sized(len(made))
            budget.pay(len(made))
        elif isinstance(made, Iterable) and not isinstance(made, Sequence | Mapping):
            made = list(made)
        return made

    return call


def _free(work: Callable[..., Value]) -> Value:
    """Return the filter that does *work*, which costs nothing to speak of."""
    return work


def _of_jinja(name: str) -> Value:
    """Return Jinja's own filter over elements; it is given its environment."""
    work = JINJA_FILTERS[name]

    def call(context: Context, value: Value, *args: Value, **kwargs: Value) -> Value:
        return work(context.environment, value, *args, **kwargs)

    return _bounded(call, with_context=True)


def _calling(name: str) -> Value:
    """Return Jinja's own filter that calls other filters or tests; all are ours."""
    return _bounded(JINJA_FILTERS[name], with_context=True)


def _on_text(work: Callable[[str], Value]) -> Value:
    return _bounded(lambda value: work(shown(value)))


def _default(value: Value, instead: Value = "") -> Value:
    return instead if value is None or isinstance(value, Undefined) else value


def _join(value: Iterable[Value], separator: str = "") -> str:
    parts = [shown(part) for part in value]
    sized(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _replace(value: Value, old: str, new: str) -> str:
    text = shown(value)
    sized(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return text.replace(old, new)


def _indent(value: Value, width: int = 4) -> str:
    lines = shown(value).split("\n")
    sized(sum(map(len, lines)) + len(lines) * (width + 1))
    return f"\n{' ' * width}".join(lines)


def _truncate(value: Value, length: int = 255, end: str = "…") -> str:
    text = shown(value)
    return text if len(text) <= length else text[: max(0, length - len(end))] + end


def _urlencode(value: Value) -> str:
    if isinstance(value, Mapping):
        pairs = ((shown(name), shown(each)) for name, each in value.items())
        return "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in pairs)
    return quote(shown(value), safe="")


def _round(value: float, precision: int = 0) -> float:
    # Python would make a number of so many digits of a negative one.
    if not 0 <= precision <= MAX_PLACES:
        raise ValueError
    return round(value, precision) if precision else round(value)


def _float(value: Value) -> float:
    made = float(value)
    if not math.isfinite(made):
        raise ValueError
    return made


def _sum(value: Iterable[Value]) -> Value:
    total: Value = 0
    for each in value:
        # Lists can be added too, and take the square of their length.
        total += number(each)
    return total


def number(value: Value) -> Value:
    """Return *value*, a number.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, int | float | Decimal):
        raise TypeError(type(value).__name__)
    return value


FILTERS: Final[Mapping[str, Value]] = {
    "abs": _free(lambda value: abs(number(value))),
    "capitalize": _on_text(str.capitalize),
    "default": _free(_default),
    "escape": _on_text(html.escape),
    "first": _free(lambda value: value[0]),
    "float": _bounded(_float),
    "indent": _bounded(_indent),
    "int": _bounded(int),
    "items": _bounded(lambda value: list(value.items())),
    "join": _bounded(_join),
    "last": _free(lambda value: value[-1]),
    "length": _free(len),
    "lower": _on_text(str.lower),
    "map": _calling("map"),
    "max": _of_jinja("max"),
    "min": _of_jinja("min"),
    "reject": _calling("reject"),
    "rejectattr": _calling("rejectattr"),
    "replace": _bounded(_replace),
    "reverse": _bounded(lambda value: value[::-1]),
    "round": _free(_round),
    "select": _calling("select"),
    "selectattr": _calling("selectattr"),
    "sort": _of_jinja("sort"),
    "string": _on_text(str),
    "sum": _bounded(_sum),
    "title": _on_text(str.title),
    "tojson": _bounded(tojson),
    "trim": _on_text(str.strip),
    "truncate": _bounded(_truncate),
    "unique": _of_jinja("unique"),
    "upper": _on_text(str.upper),
    "urlencode": _bounded(_urlencode),
    "wordcount": _on_text(lambda text: len(text.split())),
}
"""By name. What is not here, a template cannot do."""
