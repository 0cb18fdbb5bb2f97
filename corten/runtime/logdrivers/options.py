"""Options of log drivers: which there are, what they may be, what they mean. Texts are dockerd's."""

import re
from collections.abc import Mapping

from corten import errors
from corten.model.base import Value
from corten.runtime.logdrivers.tag import check_tag
from corten.wire.regex import Regex

Options = Mapping[str, str]

_ATTRIBUTES = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
_FILE = frozenset(("max-size", "max-file", "compress"))
_CACHE = frozenset(("cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"))
_COMMON = frozenset(("mode", "max-buffer-size"))
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_EXPONENT = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

JSON_FILE_SIZE = 100_000_000
LOCAL_SIZE = 20_000_000
FILES = 5


class Storage(Value, frozen=True):
    """How the file is kept: rotated when larger than ``max_size`` bytes (-1: never), ``max_file`` files in all."""

    max_size: int
    max_file: int
    compress: bool


def size(text: str, base: int = 1000) -> int:
    """Bytes from "10m"; units are powers of *base*. InvalidArgument otherwise."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise errors.InvalidArgument(f"invalid size: '{text}'")
    return int(float(match[1]) * base ** _EXPONENT[match[2].lower()])


def flag(text: str) -> bool:
    """A boolean option; InvalidArgument otherwise."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise errors.InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def storage(driver: str, options: Options) -> Storage:
    """How *driver* keeps its file. InvalidArgument for values that cannot be."""
    prefix = "" if driver in ("json-file", "local") else "cache-"
    max_size, max_file, compress = (options.get(prefix + name, "") for name in ("max-size", "max-file", "compress"))
    result = Storage(
        max_size=_max_size(max_size) if max_size else (JSON_FILE_SIZE if driver == "json-file" else LOCAL_SIZE),
        max_file=_max_file(max_file) if max_file else FILES,
        compress=flag(compress) if compress else driver != "json-file",
    )
    if compress and result.compress and (result.max_file < 2 or result.max_size < 0):
        raise errors.InvalidArgument("compress cannot be true when max-file is less than 2 or max-size is not set")
    return result


def _max_size(text: str) -> int:
    if text == "-1":
        return -1
    value = size(text)
    if value <= 0:
        raise errors.InvalidArgument("max-size must be a positive number")
    return value


def _max_file(text: str) -> int:
    try:
        value = int(text, 10)
    except ValueError:
        raise errors.InvalidArgument(f'strconv.Atoi: parsing "{text}": invalid syntax') from None
    if value < 1:
        raise errors.InvalidArgument("max-file cannot be less than 1")
    return value


def check_mode(options: Options) -> None:
    """Refuse wrong values of ``mode`` and ``max-buffer-size``."""
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise errors.InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise errors.InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        try:
            size(options["max-buffer-size"], 1024)
        except errors.InvalidArgument as error:
            raise errors.InvalidArgument(f"error parsing option max-buffer-size: {error}") from error


def check_names(driver: str, options: Options, own: frozenset[str], text: str) -> None:
    """Refuse an option that *driver* does not know, with its *text* (``%s`` stands for the option)."""
    known = own | _COMMON | (frozenset() if driver in ("json-file", "local") else _CACHE)
    for name in sorted(options):
        if name not in known:
            raise errors.InvalidArgument(text % name)


def check_attributes(options: Options) -> None:
    """Refuse expressions and templates that cannot be evaluated."""
    for name in ("labels-regex", "env-regex"):
        try:
            Regex(options.get(name, ""))
        except errors.InvalidArgument as error:
            raise errors.InvalidArgument(f"invalid {name}: {error}") from error
    if "tag" in options:
        check_tag(options["tag"])


def check_json_file(options: Options) -> None:
    check_names("json-file", options, _ATTRIBUTES | _FILE, "unknown log opt '%s' for json-file log driver")
    storage("json-file", options)


def check_local(options: Options) -> None:
    check_names("local", options, _FILE, "unknown log opt '%s' for log driver local")
    storage("local", options)


def check_journald(options: Options) -> None:
    check_names("journald", options, _ATTRIBUTES, "unknown log opt '%s' for journald log driver")
    storage("journald", options)


def check_syslog_names(options: Options) -> None:
    own = {f"syslog-{name}" for name in ("address", "facility", "format")}
    own |= {f"syslog-tls-{name}" for name in ("ca-cert", "cert", "key", "skip-verify")}
    check_names("syslog", options, _ATTRIBUTES | own, "unknown log opt '%s' for syslog log driver")
    storage("syslog", options)
