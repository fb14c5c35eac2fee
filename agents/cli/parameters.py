"""Types of options that more than one verb has: durations, pairs, places."""

from typing import Any

import click

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
