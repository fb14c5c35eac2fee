"""Logs: one JSON object per event, on stderr."""

import logging
import sys
from typing import Final

import structlog

NOISY: Final = ("aiokafka", "faust", "mode", "asyncio")
"""Libraries that warn about what penstock handles: retries, lost connections."""


SPARSE_S: Final = 5.0
"""A library's logger gets one line in this time: while a broker resets connections,
aiokafka was seen to write 250 a second."""


class Sparse(logging.Filter):
    """Lets one record of each library's logger pass, and the next after a while."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(NOISY):
            return True
        if record.created < self._next.get(record.name, 0.0):
            return False
        self._next[record.name] = record.created + SPARSE_S
        return True


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
    if number > logging.DEBUG:
        handler.addFilter(Sparse())
        for name in NOISY:
            logging.getLogger(name).setLevel(logging.ERROR)
