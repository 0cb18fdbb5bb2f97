"""Detach key sequences: "ctrl-p,ctrl-q" to bytes, and finding them in what a client types (no I/O)."""

from corten import errors

DEFAULT = b"\x10\x11"
_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse(text: str) -> bytes:
    """Comma-separated single characters or ctrl-<char>, with a-z, @, [, \\, ], ^ or _. "" means the default."""
    if not text:
        return DEFAULT
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1 and word.isascii():
            keys += word.encode()
        elif word.startswith("ctrl-") and len(word) == 6 and word[5].lower().isalpha() and word[5].isascii():
            keys.append(ord(word[5].lower()) - 96)
        elif word.startswith("ctrl-") and word[5:] in _SPECIAL:
            keys.append(_SPECIAL[word[5:]])
        else:
            raise errors.InvalidArgument(f"invalid detach keys ({text}): Unknown character: '{word}'")
    return bytes(keys)


class DetachScanner:
    """Passes typed bytes on, holding back what may be the start of the sequence."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """The bytes for the container, and whether the whole sequence was typed (the rest is then dropped)."""
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(out), True
                continue
            out += self._keys[: self._matched]
            self._matched = 1 if byte == self._keys[0] else 0
            if not self._matched:
                out.append(byte)
        return bytes(out), False
