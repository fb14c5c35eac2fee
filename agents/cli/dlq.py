"""`penstock dlq ls|show|replay`: records that were set aside, and their second try."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import click

from agents.cli.invocation import invocation
from agents.cli.output import flat
from agents.cli.parameters import Place
from agents.cli.verbs import Verb
from agents.client.letterbox import Letterbox
from agents.client.letters import Letter
from agents.client.schemas_by_id import schemas_of
from agents.exit_codes import ExitCode
from streams.config import Settings

SHOWN: Final = 50
"""Dead letters that a list has, if nobody says how many."""
HEX_BYTES: Final = 256
"""Bytes of a payload in a table; JSON and YAML have all of it."""

LEFT_OUT: Final = "left out: its bytes are not here"

COUNT = click.IntRange(1)


@click.group()
def command() -> None:
    """Look at dead letters, and offer them again."""


@command.command(cls=Verb)
@click.argument("pipeline")
@click.option("--code", help="Only those with this code.")
@click.option(
    "-n", "--count", type=COUNT, default=SHOWN, show_default=True, help="The newest."
)
def ls(*, pipeline: str, code: str | None, count: int) -> None:
    """List the newest dead letters of PIPELINE, oldest first."""
    call = invocation()
    settings = call.connected_settings()

    async def listed() -> list[Letter]:
        box = await Letterbox.of(settings, pipeline)
        return await box.newest(count, code)

    call.show([_row(letter) for letter in asyncio.run(listed())])


@command.command(cls=Verb)
@click.argument("pipeline")
@click.argument("place", metavar="PARTITION:OFFSET", type=Place())
def show(*, pipeline: str, place: tuple[int, int]) -> None:
    """Show one dead letter of PIPELINE: headers, bytes, and what they say."""
    call = invocation()
    letter, value, problem = asyncio.run(
        _read(call.connected_settings(), pipeline, place)
    )
    record = letter.record
    shown = _row(letter) | {
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": [
            f"{name}={(text or b'').decode(errors='replace')}"
            for name, text in record.headers
        ],
        "size_bytes": len(record.value or b""),
        "hex": (record.value or b"").hex(),
        "value": value,
        "problem": problem,
    }
    if call.output != "table":
        call.show_one(shown)
        return
    cut = 2 * HEX_BYTES
    short = shown["hex"][:cut] + ("…" if len(shown["hex"]) > cut else "")
    call.show_one(flat(shown | {"hex": short}))


@command.command(cls=Verb)
@click.argument("pipeline")
@click.argument("place", metavar="[PARTITION:OFFSET]", type=Place(), required=False)
@click.option("--code", help="All with this code, in place of a single one.")
@click.option("-n", "--count", type=COUNT, help="With --code: at most so many.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent.")
def replay(
    *,
    pipeline: str,
    place: tuple[int, int] | None,
    code: str | None,
    count: int | None,
    dry_run: bool,
) -> ExitCode:
    """Offer dead letters of PIPELINE again, bytes untouched, as a new execution.

    Its result carries the replay number. What fails again is a new dead letter.
    Exit code 1 if one was left out because its bytes are not here.
    """
    if (place is None) == (code is None):
        reason = "say either PARTITION:OFFSET or --code"
        raise click.UsageError(reason)
    call = invocation()
    rows = asyncio.run(
        _replay(
            call.connected_settings(),
            pipeline,
            _Choice(place, code, count),
            dry_run=dry_run,
        )
    )
    call.show(rows)
    left_out = any(row["state"] == LEFT_OUT for row in rows)
    return ExitCode.FAILED if left_out else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which letters to offer again: one, or those with a code."""

    place: tuple[int, int] | None
    code: str | None
    count: int | None

    async def letters(self, box: Letterbox) -> AsyncGenerator[Letter, None]:
        """Give the letters; all are there before the first of them is sent."""
        if self.place is not None:
            yield await box.at(*self.place)
            return
        left = self.count
        async with aclosing(box.letters(self.code)) as letters:
            async for letter in letters:
                yield letter
                left = None if left is None else left - 1
                if left == 0:
                    return


async def _replay(
    settings: Settings, pipeline: str, choice: _Choice, *, dry_run: bool
) -> list[dict[str, Any]]:
    box = await Letterbox.of(settings, pipeline)
    rows = []
    async with box.offering() as offer, aclosing(choice.letters(box)) as letters:
        async for letter in letters:
            state, now = ("would be sent" if dry_run else "sent"), None
            if letter.truncated:
                state = LEFT_OUT
            elif not dry_run:
                at = await offer(letter)
                now = f"{at.partition}:{at.offset}"
            rows.append(
                {
                    "place": _place(letter),
                    "code": letter.code,
                    "origin": letter.origin,
                    "replay": letter.again().replay,
                    "state": state,
                    "now": now,
                }
            )
    return rows


async def _read(
    settings: Settings, pipeline: str, place: tuple[int, int]
) -> tuple[Letter, dict[str, Any] | None, str | None]:
    """Return a letter, with the value in it or why there is none."""
    box = await Letterbox.of(settings, pipeline)
    letter = await box.at(*place)
    try:
        async with schemas_of(settings) as schemas:
            return letter, await schemas.value_of(letter.record), None
    except Exception as error:  # noqa: BLE001 - it is shown whatever its bytes are
        return letter, None, str(error) or type(error).__name__


def _row(letter: Letter) -> dict[str, Any]:
    when = datetime.fromtimestamp(letter.record.timestamp_ms / 1_000, UTC)
    return {
        "place": _place(letter),
        "code": letter.code,
        "message": letter.message,
        "origin": letter.origin,
        "time": when.isoformat(timespec="seconds"),
        "replay": letter.replay,
    }


def _place(letter: Letter) -> str:
    return f"{letter.record.partition}:{letter.record.offset}"
