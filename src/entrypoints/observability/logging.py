"""One line of JSON per event (or a readable one on a terminal), for structlog and for the standard library alike."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import msgspec
import structlog

from application.failure import Failure
from application.trace import traceparent
from entrypoints.config.settings import LogFormat, LogSettings
from entrypoints.observability.log_stream import LogStream


def _completed(_: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the level, the trace id of the request, and the time: structlog's own three take twice as long."""
    event["level"] = "error" if method == "exception" else method
    if trace := traceparent.get():
        event["trace_id"] = trace[3:35]
    event["timestamp"] = datetime.now(UTC)
    return event


def configure_logging(settings: LogSettings) -> None:
    """Send every log line of this process to standard error, so that a command's output stays clean."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    console = structlog.dev.ConsoleRenderer(exception_formatter=_write_traceback)
    rendered: list[Any] = [_as_json] if as_json else [structlog.processors.TimeStamper("iso"), console]
    stream = LogStream(sys.stderr)
    structlog.configure(
        processors=[_completed, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast("TextIO", stream))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_completed, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.ExceptionRenderer(_traceback)] if as_json else []),
                *rendered,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These write a line for each request they make, with its URL.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    # Seven lines about itself, in every process that knows of migrations.
    logging.getLogger("alembic.runtime.plugins").setLevel(max(level, logging.WARNING))
    # And this one several for each attempt, ten times a second while a broker is away; callers log it once. Its
    # lines for debugging hold whole events.
    logging.getLogger("aiokafka").setLevel(logging.INFO if level <= logging.DEBUG else logging.CRITICAL)


def log_loop_failures(is_expected: Callable[[Mapping[str, Any]], bool] = lambda _: False) -> None:
    """Log errors that no task retrieves, unless expected; asyncio would write their text, which may quote a row."""
    log = structlog.get_logger("asyncio")

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if is_expected(context):
            return
        error, transport = context.get("exception"), context.get("transport")
        if isinstance(error, RuntimeError) and transport is not None and transport.is_closing():
            return  # uvloop reads on for a moment after a TLS connection was aborted, and finds its socket closed
        more = {"error": type(error).__name__, "at": places(error)} if error else {}
        log.error("unhandled_error", where=context["message"], **more)

    asyncio.get_running_loop().set_exception_handler(handle)


def log_replica(name: str, failure: Failure | None) -> None:
    """Log that a replica went out of use, or came into use again (None)."""
    log = structlog.get_logger("http")
    if failure is None:
        log.info("replica_recovered", replica=name)
    else:
        log.warning("replica_unavailable", replica=name, cause=str(failure))


def places(error: BaseException) -> list[str]:
    """Return where an error came from, the innermost place last; nothing of what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames][-12:]


def _write_traceback(out: TextIO, exc_info: Any) -> None:
    out.write(_traceback(exc_info))


def _traceback(exc_info: Any) -> str:
    """Write an error without its text and without the values around it: either may hold personal data."""
    error: BaseException | None = exc_info[1]
    lines: list[str] = []
    while error is not None:
        lines += [*places(error), type(error).__name__]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(lines)


def _as_json(_: Any, __: str, event: structlog.typing.EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
