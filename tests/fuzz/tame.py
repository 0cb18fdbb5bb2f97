"""Bodies of requests made harmless: what acts on the host itself keeps to places and values that hurt nobody."""

import random
from typing import Any

FOLDERS = ("/tmp/fuzz-share", "/tmp/fuzz-share/deeper", "/no/such/place", "fuzz-data", "fuzz-spare", "")
DEVICES = ("/dev/null", "/dev/zero", "/no/such/device", "/tmp")
MOUNTS = ("bind", "volume", "tmpfs", "image", "npipe", "cluster", "", "other")
SECONDS = 1_000_000_000


def tame(document: Any, chance: random.Random) -> Any:
    """A deep copy of *document* in which every dangerous key, in any letter case, has a harmless value."""
    if isinstance(document, list):
        return [tame(entry, chance) for entry in document]
    if not isinstance(document, dict):
        return document
    calm = {key: tame(value, chance) for key, value in document.items()}
    for key in calm:
        value = calm[key]
        match key.lower():
            case "privileged":
                calm[key] = False if value is True else value
            case "binds" | "volumesfrom" if isinstance(value, list):
                calm[key] = [bind(entry, chance) if isinstance(entry, str) else entry for entry in value]
            case "pathonhost" | "path" if isinstance(value, str):
                calm[key] = chance.choice(DEVICES)
            case "source" | "device" if isinstance(value, str):
                calm[key] = chance.choice(FOLDERS)
            case "driveropts" | "options" if isinstance(value, dict):
                calm[key] = {name: option(name, text, chance) for name, text in value.items()}
            case "cgroupparent" if isinstance(value, str) and "/" in value:
                calm.pop(key)
                return calm
            case "pidmode" | "usernsmode" if value == "host":
                calm[key] = ""
            case "interval" | "startinterval" if isinstance(value, int) and 0 < value < SECONDS:
                calm[key] = chance.choice((value if value < 1_000_000 else SECONDS, SECONDS))
    return calm


def bind(text: str, chance: random.Random) -> str:
    """ "source:target:mode" with another source."""
    source, colon, rest = text.partition(":")
    return f"{chance.choice(FOLDERS)}{colon}{rest}" if colon else source


def option(name: str, text: Any, chance: random.Random) -> Any:
    if not isinstance(text, str) or name not in ("device", "o", "type"):
        return text
    return {"device": "tmpfs", "type": "tmpfs", "o": chance.choice(("size=1m", "mode=0700", "size=x", ""))}[name]
