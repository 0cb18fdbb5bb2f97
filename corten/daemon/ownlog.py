"""The daemon's own log on standard error: lines of text, or of JSON for those who collect them."""

import json
import logging
import re
import sys
import time

from corten.daemon.config import Config

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class TextFormatter(logging.Formatter):
    """One line per record: what a client sent cannot make another line or move a terminal's cursor."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        record.message = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", record.message)
        return super().formatMessage(record)


class JSONFormatter(logging.Formatter):
    """One JSON object per record, with the keys that dockerd uses: level, msg, time; and logger, error."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        document = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            "time": f"{seconds}.{int(record.created % 1 * 1e9):09d}Z",
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document)


def configure(config: Config) -> None:
    """Send the log to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if config.log_format == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    set_level(config)


def set_level(config: Config) -> None:
    """Take over the configured level, also after a reload."""
    logging.getLogger().setLevel(LEVELS[config.level])
