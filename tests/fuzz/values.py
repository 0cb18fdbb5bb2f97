"""Values that programs stumble over, by the kind of field they are put into."""

import random
from typing import Any, get_args, get_origin, get_type_hints

from corten.api.keys import HIDDEN, key_of
from corten.model.base import Value

TEXTS = (
    "", " ", "a", "0", "-1", "null", "true", "host", "none", "default", "container:", "container:nothing", "private",
    "/", "..", "../../etc/passwd", "/tmp", "a/b/c", "a b", "a\nb", "a\rb", "a\0b", "\x1b[31m", "é", "😀", "\ud800",
    "%00", "%2e%2e", "%s%n", "${x}", "`x`", "$(x)", "'", '"', "\\", "a" * 300, "é" * 5000, "0.0.0.0", "::1", "::",
    "1.2.3.4/33", "fe80::1%eth0", "80/tcp", "80-90/tcp", "99999/tcp", "-1/udp", "80/", "/tcp", "SIGKILL", "9", "65",
    "KILL", "-9", "0755", "1e9", "NaN", "inf", "0x10", "１２", "1970-01-01", "2038-01-19T03:14:08Z",
    "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "1h", "-1h", "99999999h", "9223372036854775808", "a=b", "=", "a=",
    "=b", "a:b", ":", "a:b:c:d", "sha256:" + "0" * 64, "sha256:" + "g" * 64, "sha512:" + "0" * 128, "busybox",
    "BUSYBOX", "busybox@sha256:" + "0" * 64, "busybox:" + "t" * 129, "-a", "_a", ".", "root", "0:0", "-1:-1",
    "4294967295", "4294967296", "no:such", "0,1", "0-99999", "0-", "rw", "z", "nocopy", "rshared", "linux/amd64",
    "linux", "linux/arm64/v8/x", "{}", "[]", '{"os":"linux","architecture":"amd64"}', "CAP_SYS_ADMIN", "ALL",
    "seccomp=unconfined", "seccomp=", "apparmor=x", "no-new-privileges", "label=disable", "on-failure", "always",
    "ctrl-p,ctrl-q", "ctrl-", "a,b,c", "syslog", "json-file", "net.ipv4.ip_forward",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 10, 255, 256, 1000, 65535, 65536, 6 << 20, (1 << 31) - 1, 1 << 31, -(1 << 31), 1 << 32,
    (1 << 63) - 1, 1 << 63, -(1 << 63), -(1 << 63) - 1, 1 << 64, 10**30, 0.5, -0.5, 1e308, 1e19, 10**6,
)  # fmt: skip
OTHER: tuple[Any, ...] = (None, True, False, {}, [], [[]], {"": None}, [None], {"a": {"a": {"a": 1}}}, [1, "a", None])


def text(chance: random.Random) -> str:
    return chance.choice(TEXTS)


def number(chance: random.Random) -> int | float:
    return chance.choice(NUMBERS)


def anything(chance: random.Random) -> Any:
    kind = chance.random()
    if kind < 0.4:
        return text(chance)
    if kind < 0.7:
        return number(chance)
    if kind < 0.97:
        return chance.choice(OTHER)
    deep: Any = 1
    for _ in range(chance.choice((5, 60))):
        deep = [deep] if chance.random() < 0.5 else {"a": deep}
    return deep


def of_hint(hint: Any, chance: random.Random, depth: int = 0) -> Any:
    """A value for a field of that type; one in five is of another."""
    if chance.random() < 0.2 or depth > 4:
        return anything(chance)
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is str:
        return text(chance)
    if hint is int:
        return number(chance)
    if hint is bool:
        return chance.random() < 0.5
    if origin is list:
        return [of_hint(arguments[0], chance, depth + 1) for _ in range(chance.randrange(4))]
    if origin is dict:
        return {text(chance): of_hint(arguments[1], chance, depth + 1) for _ in range(chance.randrange(4))}
    inner = [each for each in arguments if each is not type(None)]
    if inner:
        return of_hint(inner[0], chance, depth)
    if isinstance(hint, type) and issubclass(hint, Value):
        return of_struct(hint, chance, depth)
    return anything(chance)


def of_struct(kind: type[Value], chance: random.Random, depth: int = 0) -> dict[str, Any]:
    """Some of the fields of *kind*, under the API's keys."""
    hints = get_type_hints(kind)
    fields = [name for name in kind.__struct_fields__ if name not in HIDDEN.get(kind, ())]
    chosen = chance.sample(fields, min(len(fields), chance.choice((1, 1, 2, 3, 6))))
    return {key_of(name): of_hint(hints[name], chance, depth + 1) for name in chosen}
