"""What every verb understands: ``-o`` for its format, ``-v`` for the whole story."""

import logging
from typing import Any, Final

import click

from agents.cli.invocation import Invocation
from agents.cli.output import FORMATS, Format

LIBRARIES: Final = ("aiokafka", "asyncio", "kafka")
"""They log what we say in one line: a broker that does not answer, at length."""


class Verb(click.Command):
    """A command with the options that all commands have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [output_option(), verbose_option()]


def output_option() -> click.Option:
    """Return ``-o``, for verbs that show something."""
    return click.Option(
        ["-o", "--output"],
        type=click.Choice(FORMATS),
        default=None,
        expose_value=False,
        callback=_set_output,
        help="How to print. [default: table]",
    )


def verbose_option() -> click.Option:
    """Return ``-v``; the root has it as well, so both places work."""
    return click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Print stack traces and what libraries log.",
    )


def quieten() -> None:
    """Silence libraries that log what our one line says."""
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _set_output(
    ctx: click.Context, _param: click.Parameter, value: Format | None
) -> None:
    if value is not None:
        ctx.ensure_object(Invocation).output = value


def _set_verbose(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's callback
    if value:
        ctx.ensure_object(Invocation).verbose = True
        logging.basicConfig(level=logging.INFO)
        for name in LIBRARIES:
            logging.getLogger(name).setLevel(logging.INFO)
