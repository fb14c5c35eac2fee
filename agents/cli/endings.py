"""How a command ends: exceptions become lines for a person and an exit code."""

from collections.abc import Sequence

from agents.exit_codes import ExitCode
from agents.failures import EdgeError, OutOfMemoryError
from schemas.errors import SchemaError
from streams.errors import ConfigError, StreamsError
from streams.language.problems import located


def ending_of(error: BaseException) -> tuple[ExitCode, Sequence[str]]:
    """Return the exit code for *error* and what to say, a line each."""
    if isinstance(error, MemoryError):
        error = OutOfMemoryError()
    match error:
        case KeyboardInterrupt():
            return ExitCode.STOPPED, ("stopped",)
        case ConfigError():
            return ExitCode.USAGE, tuple(located(each) for each in error.problems)
        case EdgeError():
            problems = getattr(error, "problems", None)
            return error.exit_code, problems or (str(error),)
        case StreamsError() | SchemaError():
            return ExitCode.FAILED, (str(error),)
        case _ if _is_lost_connection(error):
            line = "the broker does not answer any more; is it up? try again"
            return ExitCode.UNREACHABLE, (line,)
        case _:
            return ExitCode.FAILED, (f"{_told(error)}; -v shows where",)


def _told(error: BaseException) -> str:
    told = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SystemError):
        # C code that gets no memory may fail without saying so.
        return f"{told}; as a rule no memory is left: give it more"
    return told


def _is_lost_connection(error: BaseException) -> bool:
    # Only here: loading the client costs more than most commands.
    from aiokafka.errors import KafkaConnectionError, NodeNotReadyError  # noqa: PLC0415

    lost = (KafkaConnectionError, NodeNotReadyError, TimeoutError)
    return isinstance(error, lost)
