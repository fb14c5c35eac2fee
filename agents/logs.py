"""Logs: one JSON object per event, on stderr."""

import logging
import sys
from typing import Final

import structlog

NOISY: Final = ("aiokafka", "faust", "mode", "asyncio")
"""Libraries that warn about what penstock handles: retries, lost connections."""


def configure(level: str) -> None:
    """Send our events, and what libraries log, to stderr as JSON lines.

    Called by the worker and the CLI only: importing penstock configures nothing.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    for name in NOISY:
        logging.getLogger(name).setLevel(
            logging.ERROR if number > logging.DEBUG else number
        )
