"""The command `penstock`: runs a noun's verb, says what failed, exits with a code."""

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress

import click

from agents.cli.endings import ending_of
from agents.cli.invocation import Invocation
from agents.cli.nouns import Nouns
from agents.cli.verbs import quieten, verbose_option
from agents.exit_codes import ExitCode

CODES = ", ".join(f"{int(code)} {code.name.lower()}" for code in ExitCode)


def main() -> None:
    """Run the command line of this process."""
    env = os.environ  # noqa: TID251 - the CLI is one of the two readers
    sys.exit(run(sys.argv[1:], env))


def run(arguments: Sequence[str], env: Mapping[str, str]) -> ExitCode:
    """Run `penstock` with *arguments*; return how it ended, raise nothing."""
    quieten()
    call = Invocation(env=env)
    root = Nouns(
        name="penstock",
        params=[verbose_option()],
        help="DSPy programs as event streams on Kafka.",
        epilog=f"Exit codes: {CODES}.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    try:
        ended = root.main(
            list(arguments), prog_name="penstock", obj=call, standalone_mode=False
        )
        return ExitCode(ended or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except click.Abort:
        return _say(call, KeyboardInterrupt())
    except BrokenPipeError:
        # Whoever read us has seen enough. Python would complain once more at exit.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost frame
        return _say(call, error)


def _say(call: Invocation, error: BaseException) -> ExitCode:
    code, lines = ending_of(error)
    if call.verbose:
        traceback.print_exception(error)
    for line in lines:
        click.echo(f"penstock: {line}", err=True)
    return code


if __name__ == "__main__":
    main()
