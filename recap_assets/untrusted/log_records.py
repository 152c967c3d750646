"""Log records without secrets and without commands to a terminal, whoever writes them."""

import logging
import os
from collections.abc import Callable

from recap_assets.untrusted.secrets import learn_environment
from recap_assets.untrusted.showing import safe_text

_TRACES = logging.Formatter()


def guard() -> None:
    """Know the secrets of the environment, and clean what this process logs, from now on."""
    learn_environment(os.environ)
    clean_log_records()


def clean_log_records() -> None:
    """Clean every record of this process from now on, in all loggers, Dagster's too.

    It is done where records are made, since a filter of a logger sees none of its children's. A
    record with nothing to hide stays as it is.
    """
    made = logging.getLogRecordFactory()
    if not isinstance(made, _CleanRecords):
        logging.setLogRecordFactory(_CleanRecords(made))


class _CleanRecords:
    """Makes records as another factory does, and cleans them."""

    def __init__(self, made: Callable[..., logging.LogRecord]) -> None:
        self._made = made

    def __call__(self, *args: object, **more: object) -> logging.LogRecord:
        record = self._made(*args, **more)
        _clean_message(record)
        _clean_trace(record)
        return record


def _clean_message(record: logging.LogRecord) -> None:
    try:
        said = record.getMessage()
    except Exception:  # a wrong format is reported by logging itself
        return
    shown = safe_text(said)
    if shown == said:
        return
    if isinstance(record.args, tuple):
        # Some formatters read the arguments: where it is enough, they alone are cleaned.
        record.args = tuple(safe_text(a) if isinstance(a, str) else a for a in record.args)
        if record.getMessage() == shown:
            return
    record.msg, record.args = shown, ()


def _clean_trace(record: logging.LogRecord) -> None:
    if record.exc_info and record.exc_info[0] is not None:
        trace = _TRACES.formatException(record.exc_info)
        if (shown := safe_text(trace)) != trace:
            record.exc_text, record.exc_info = shown, None
