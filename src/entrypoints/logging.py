"""One line of JSON per event (or a readable one on a terminal), for structlog and for the standard library alike."""

import logging
import sys
from typing import Any

import msgspec
import structlog

from entrypoints.settings import LogFormat, LogSettings

_SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_logging(settings: LogSettings) -> None:
    """Send every log line of this process to standard error, so that a command's output stays clean."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    renderer: Any = structlog.processors.JSONRenderer(_encode) if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*_SHARED, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if as_json else []),
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These write a line for each request they make, with its URL.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    # And this one several for each attempt, ten times a second while a broker is away; what uses it says it once.
    logging.getLogger("aiokafka").setLevel(level if level <= logging.DEBUG else logging.CRITICAL)


def _encode(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
