"""Files of environment variables and labels: one ``NAME=VALUE`` a line, ``#`` starts a comment."""

from __future__ import annotations

from corten.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def read(path: str, lookup: Callable[[str], str | None]) -> list[str]:
    """The lines of ``path`` as ``NAME=VALUE``; a name alone takes the value that ``lookup`` knows, or is left out.

    Failure when the file cannot be read, is not UTF-8 or has a name with white space in it.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().split("\n")
    except UnicodeDecodeError:
        raise Failure(f"env file {path} contains invalid utf8 bytes", 125) from None
    except OSError as error:
        raise Failure(f"open {path}: {(error.strerror or '').lower()}", 125) from None
    result: list[str] = []
    for line in lines:
        text = line.lstrip().rstrip("\r")
        if not text or text.startswith("#"):
            continue
        name, equals, _ = text.partition("=")
        if not name or name != name.strip() or any(char.isspace() for char in name):
            reason = f"variable '{name}' contains whitespaces" if name else f"no variable name on line '{text}'"
            raise Failure(f"invalid env file ({path}): {reason}", 125)
        if equals:
            result.append(text)
        elif (value := lookup(name)) is not None:
            result.append(f"{name}={value}")
    return result
