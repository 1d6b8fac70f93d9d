"""Structured logging: one line for people, or one JSON document a line for machines.

Everything goes through the standard `logging` module, so that a module may log with
`logging.getLogger(__name__)` or with `get_logger(__name__)`, under Dagster or in a notebook, with
or without `configure_logging`. What differs from plain logging:

- our own loggers follow the level asked for, libraries speak up from WARNING on (never below INFO:
  at DEBUG some of them print headers and signed addresses);
- every value passes `mask`, which takes credentials out of addresses and out of text.

Nothing happens at import, and structlog is imported only where it is needed.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from estinel_assets.errors import BadInputError, public_url

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger
    from structlog.typing import Processor

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

ROOT_LOGGER: Final = "estinel_assets"
MASK: Final = "***"
_WARNINGS: Final = "py.warnings"
"""Logger of captured warnings."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_CREDENTIAL_WORDS = (
    r"password|passwd|secret|token|signature|authorization|credentials?|api[_-]?key"
    r"|subscription[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|sig"
)
_SECRET_NAME = re.compile(rf"(?:^|[_-])(?:{_CREDENTIAL_WORDS})$", re.IGNORECASE)
# `token=abc`, `"token": "abc"`, `Authorization: Bearer abc`
_SECRET_PAIR = re.compile(
    rf"\b((?:[\w-]*[_-])?(?:{_CREDENTIAL_WORDS}))([\"']?\s*[=:]\s*[\"']?)"
    r"((?:Bearer|Basic|AWS4-HMAC-SHA256)\s+)?[^\s\"'&,;)}\]]+",
    re.IGNORECASE,
)
# Dagster says so of each thing that we use and that it does not promise to keep. They are known by
# their text, so that nobody imports Dagster for their sake.
_UNPROMISED = re.compile(
    r": (?:Beta|Preview)Warning: .+ is currently in (?:beta|preview), and may have breaking changes"
)
_AWS_KEY_ID = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")


def mask_text(text: str) -> str:
    """Take out of a text what looks like a credential.

    Addresses lose user name, password, query and fragment; the value behind a word such as
    `token=` or `Authorization:` is replaced, and so are AWS access key ids.
    """
    masked = _URL.sub(_public, text)
    masked = _SECRET_PAIR.sub(lambda found: f"{found[1]}{found[2]}{MASK}", masked)
    return _AWS_KEY_ID.sub(MASK, masked)


def mask(value: object, *, name: str = "") -> object:
    """Take out of a value what looks like a credential.

    Args:
        value: text, a mapping or sequence of values, or anything else, which comes back as it is.
        name: what the value is called; one called `api_key` is replaced whole.
    """
    if value is not None and _SECRET_NAME.search(name):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {key: mask(inner, name=str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask(inner) for inner in value]
    if isinstance(value, BaseException):
        return mask_text(f"{type(value).__name__}: {value}")
    return value


def get_logger(name: str) -> "BoundLogger":
    """A structlog logger on top of the standard logger of that name.

    Key-value pairs become `extra` fields of the record, so that handlers which know nothing of
    structlog (Dagster's, pytest's) show the event as usual.
    """
    import structlog

    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
    return logger


def configure_logging(
    level: LogLevel = "info",
    log_format: LogFormat = "text",
    file: Path | None = None,
    *,
    libraries: Literal["info", "warning", "error"] = "warning",
) -> None:
    """Send all logs to stderr, and to a file if one is named. A later call replaces an earlier.

    Warnings are logs, too, but for Dagster's of its beta and preview features, which say nothing to
    whoever runs the program.

    Args:
        level: least level of our own loggers.
        log_format: `text` or `json`.
        file: appended to; made where it is absent, its folder too.
        libraries: least level of everybody else's loggers.

    Raises:
        BadInputError: the file cannot be written.
    """
    kept = _file_handler(file) if file is not None else None
    reset_logging()
    _add_handler(_StderrHandler(), _formatter(log_format, colors=_wants_colors()))
    if kept is not None:
        _add_handler(kept, _formatter(log_format, colors=False))
    logging.getLogger().setLevel(libraries.upper())
    logging.getLogger(ROOT_LOGGER).setLevel(level.upper())
    logging.captureWarnings(capture=True)
    logging.getLogger(_WARNINGS).addFilter(_says_something)


def reset_logging() -> None:
    """Undo `configure_logging`: take our handlers off and close them."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if (handler.get_name() or "").startswith(f"{ROOT_LOGGER}."):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT_LOGGER).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    logging.getLogger(_WARNINGS).removeFilter(_says_something)


def _says_something(record: logging.LogRecord) -> bool:
    return _UNPROMISED.search(record.getMessage()) is None


def log_failure(message: str, *, exit_code: int, trace: str, on_stderr: bool) -> None:
    """Log why a command ends, in the handlers that `configure_logging` made.

    Args:
        message: for people.
        exit_code: what the command will exit with.
        trace: the traceback; empty to leave it out.
        on_stderr: False where stderr gets the message in another way: then only the file has it.
    """
    logger = logging.getLogger(f"{ROOT_LOGGER}.cli")
    extra: dict[str, object] = {"exit_code": exit_code}
    if trace:
        extra["exception"] = trace
    record = logger.makeRecord(logger.name, logging.ERROR, "", 0, message, (), None, extra=extra)
    for handler in logging.getLogger().handlers:
        ours = (handler.get_name() or "").startswith(f"{ROOT_LOGGER}.")
        if ours and (on_stderr or isinstance(handler, logging.FileHandler)):
            handler.handle(record)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is at the moment: a progress bar puts itself in front."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    @property
    def stream(self) -> TextIO:
        """The stream of the moment."""
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignored: there is only one."""


def _add_handler(handler: logging.Handler, formatter: logging.Formatter) -> None:
    handler.setFormatter(formatter)
    handler.set_name(f"{ROOT_LOGGER}.{type(handler).__name__}")
    logging.getLogger().addHandler(handler)


def _file_handler(file: Path) -> logging.Handler:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadInputError(
            f"log file {file} cannot be written ({error.strerror}); name another with --log"
        ) from None


def _formatter(log_format: LogFormat, *, colors: bool) -> logging.Formatter:
    import structlog

    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=colors, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _add_time,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _mask_event,
            renderer,
        ],
    )


def _add_time(
    logger: object,  # noqa: ARG001 - the signature of a processor
    method: str,  # noqa: ARG001
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    """The time at which the record was made, UTC."""
    record: logging.LogRecord = event["_record"]
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    event["timestamp"] = f"{seconds}.{int(record.msecs):03d}Z"
    return event


def _mask_event(
    logger: object,  # noqa: ARG001 - the signature of a processor
    method: str,  # noqa: ARG001
    event: MutableMapping[str, Any],
) -> Mapping[str, Any]:
    # Other handlers leave their own rendering of the event on the record.
    return {name: mask(value, name=name) for name, value in event.items() if name != "message"}


def _public(found: re.Match[str]) -> str:
    if not any(mark in found[0] for mark in "@?#"):
        return found[0]
    return public_url(found[0])


def _wants_colors() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
