"""The Dockerfile instructions that ``import --change`` and ``commit --change`` apply to an image's config.

Syntax as in a Dockerfile, one instruction per text (Dockerfile reference); errors as Docker words them.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from corten import errors
from corten.oci import timestamp
from corten.oci.image import Healthcheck, RunConfig

_DEFAULT_SHELL = ["/bin/sh", "-c"]
_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+""", re.DOTALL)
_ESCAPED = re.compile(r"""\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'""", re.DOTALL)
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply_changes(config: RunConfig, changes: Iterable[str]) -> RunConfig:
    """*config* after the instructions, in order. ``InvalidArgument`` for one that is unknown or malformed."""
    for change in changes:
        for line in _lines(change):
            keyword, _, rest = line.partition(" ")
            handler = _HANDLERS.get(keyword.upper())
            if handler is None:
                raise errors.InvalidArgument(f"{keyword.upper()} is not a valid change command")
            rest = rest.strip()
            if not rest:
                raise errors.InvalidArgument(f"{keyword.upper()} requires at least one argument")
            config = handler(config, rest)
    return config


def _lines(text: str) -> list[str]:
    joined = re.sub(r"\\[ \t]*\n", "", text)
    lines = [re.sub(r"\s+", " ", line.strip(), count=1) for line in joined.split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def _with(config: RunConfig, **values: object) -> RunConfig:
    return msgspec.structs.replace(config, **values)


def _json_list(text: str) -> list[str] | None:
    """The exec form, or None when *text* is the shell form."""
    if not text.startswith("["):
        return None
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _command(config: RunConfig, text: str) -> list[str]:
    listed = _json_list(text)
    return listed if listed is not None else [*(config.shell or _DEFAULT_SHELL), text]


def _cmd(config: RunConfig, text: str) -> RunConfig:
    return _with(config, cmd=_command(config, text))


def _entrypoint(config: RunConfig, text: str) -> RunConfig:
    return _with(config, entrypoint=_command(config, text))


def _words(text: str) -> list[str]:
    words = _WORD.findall(text)
    if _WORD.sub("", text).strip():
        raise errors.InvalidArgument(f"unexpected end of statement while looking for matching quote: {text}")
    return words


def _unquote(word: str) -> str:
    def plain(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        return re.sub(r'\\(["\\$])', r"\1", match[2]) if match[2] is not None else match[3]

    return _ESCAPED.sub(plain, word)


def _pairs(keyword: str, text: str) -> list[tuple[str, str]]:
    first = text.split(None, 1)[0]
    if "=" not in first:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise errors.InvalidArgument(f"{keyword} must have two arguments")
        return [(key, _unquote(value.strip()))]
    pairs = []
    for word in _words(text):
        key, equals, value = word.partition("=")
        if not equals:
            raise errors.InvalidArgument(f"Syntax error - can't find = in {word!r}. Must be of the form: name=value")
        if not _unquote(key):
            raise errors.InvalidArgument(f"{keyword} names can not be blank")
        pairs.append((_unquote(key), _unquote(value)))
    return pairs


def _env(config: RunConfig, text: str) -> RunConfig:
    env = list(config.env or [])
    for key, value in _pairs("ENV", text):
        entry = f"{key}={value}"
        for position, old in enumerate(env):
            if old.partition("=")[0] == key:
                env[position] = entry
                break
        else:
            env.append(entry)
    return _with(config, env=env)


def _label(config: RunConfig, text: str) -> RunConfig:
    return _with(config, labels={**(config.labels or {}), **dict(_pairs("LABEL", text))})


def _expose(config: RunConfig, text: str) -> RunConfig:
    ports = dict(config.exposed_ports or {})
    for word in text.split():
        match = _PORT.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 0 < first <= last <= 65535:
            raise errors.InvalidArgument(f"invalid containerPort: {word}")
        for port in range(first, last + 1):
            ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    return _with(config, exposed_ports=ports)


def _onbuild(config: RunConfig, text: str) -> RunConfig:
    keyword = text.split(None, 1)[0].upper()
    if keyword == "ONBUILD":
        raise errors.InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("MAINTAINER", "FROM"):
        raise errors.InvalidArgument(f"{keyword} isn't allowed as an ONBUILD trigger")
    return _with(config, on_build=[*(config.on_build or []), text])


def _user(config: RunConfig, text: str) -> RunConfig:
    return _with(config, user=_single("USER", text))


def _stopsignal(config: RunConfig, text: str) -> RunConfig:
    return _with(config, stop_signal=_single("STOPSIGNAL", text))


def _single(keyword: str, text: str) -> str:
    if len(_words(text)) != 1:
        raise errors.InvalidArgument(f"{keyword} requires exactly one argument")
    return _unquote(text)


def _workdir(config: RunConfig, text: str) -> RunConfig:
    path = _unquote(text)
    base = "" if path.startswith("/") else (config.working_dir or "/")
    parts: list[str] = []
    for part in f"{base}/{path}".split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return _with(config, working_dir="/" + "/".join(parts))


def _volume(config: RunConfig, text: str) -> RunConfig:
    listed = _json_list(text)
    paths = listed if listed is not None else [_unquote(word) for word in _words(text)]
    if not paths or not all(path.strip() for path in paths):
        raise errors.InvalidArgument("VOLUME specified can not be an empty string")
    return _with(config, volumes={**(config.volumes or {}), **{path.strip(): {} for path in paths}})


def _shell(config: RunConfig, text: str) -> RunConfig:
    listed = _json_list(text)
    if not listed:
        raise errors.InvalidArgument("SHELL requires the arguments to be in JSON form")
    return _with(config, shell=listed)


def _healthcheck(config: RunConfig, text: str) -> RunConfig:
    options: dict[str, str] = {}
    while text.startswith("--"):
        option, _, text = text.partition(" ")
        key, _, value = option[2:].partition("=")
        options[key] = value
        text = text.lstrip()
    kind, _, command = text.partition(" ")
    if kind.upper() == "NONE":
        return _with(config, healthcheck=Healthcheck(test=["NONE"]))
    if kind.upper() != "CMD":
        raise errors.InvalidArgument(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    if not command.strip():
        raise errors.InvalidArgument("Missing command after HEALTHCHECK CMD")
    listed = _json_list(command.strip())
    test = ["CMD", *listed] if listed is not None else ["CMD-SHELL", command.strip()]
    unknown = options.keys() - {"interval", "timeout", "start-period", "start-interval", "retries"}
    if unknown:
        raise errors.InvalidArgument(f"unknown flag: {min(unknown)}")
    retries = options.get("retries", "0")
    if not re.fullmatch("[0-9]{1,9}", retries):
        raise errors.InvalidArgument(f"--retries must be a number, not {retries!r}")
    check = Healthcheck(
        test=test,
        interval=_duration(options.get("interval", "")),
        timeout=_duration(options.get("timeout", "")),
        start_period=_duration(options.get("start-period", "")),
        start_interval=_duration(options.get("start-interval", "")),
        retries=int(retries),
    )
    return _with(config, healthcheck=check)


def _duration(text: str) -> int:
    """Nanoseconds from Go's duration text."""
    if not text:
        return 0
    total = timestamp.duration(text)
    if total is None:
        raise errors.InvalidArgument(f'time: invalid duration "{text}"')
    if 0 < total < 1_000_000:
        raise errors.InvalidArgument(f"Interval {text!r} cannot be less than 1ms")
    return total


_HANDLERS: dict[str, Callable[[RunConfig, str], RunConfig]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
