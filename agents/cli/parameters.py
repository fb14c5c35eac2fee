"""What more than one verb is given: durations, pairs, places, files of JSON."""

from typing import IO, Any

import click
import orjson

from streams.durations import duration_s


class Duration(click.ParamType):
    """Seconds, written as ``250ms``, ``30s`` or ``5m``."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        seconds = duration_s(value)
        if seconds is None:
            self.fail(f"{value!r} is no duration such as 250ms, 30s, 5m", param, ctx)
        return seconds


class Pair(click.ParamType):
    """A name and a text, written ``name=text``."""

    name = "name=text"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, equals, text = value.partition("=")
        if not (name and equals):
            self.fail(f"{value!r} is not written name=text", param, ctx)
        return name, text


class Place(click.ParamType):
    """A record's partition and offset, written ``3:17``."""

    name = "partition:offset"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        partition, colon, offset = value.partition(":")
        if not (colon and partition.isdecimal() and offset.isdecimal()):
            self.fail(f"{value!r} is not written partition:offset", param, ctx)
        return int(partition), int(offset)


def object_in(file: IO[bytes]) -> dict[str, Any]:
    """Return the JSON object in *file*.

    Raises:
        click.UsageError: there is none.
    """
    try:
        found = orjson.loads(file.read())
    except ValueError as error:
        reason = f"{file.name} is not JSON: {error}"
        raise click.UsageError(reason) from error
    if not isinstance(found, dict):
        reason = f"{file.name} holds no JSON object"
        raise click.UsageError(reason)
    return found
