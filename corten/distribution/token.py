"""Tokens of registries: asked for where the registry says, kept in memory until shortly before they expire."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from corten import errors
from corten.distribution.credential import Credential

LEAST_LIFE = 60
"""Seconds that a token lives when its server does not say (docs/spec/auth/token.md)."""
LONGEST_LIFE = 24 * 3600
MARGIN = 0.1
"""Share of its life before whose end a token is renewed."""
MAX_TOKENS = 1000


class TokenKey(NamedTuple):
    """Whom a token is from, what for, and whose it is."""

    realm: str
    service: str
    scopes: tuple[str, ...]
    credential: Credential


class Token(NamedTuple):
    """``refresh`` is what a login keeps instead of the password, "" without."""

    value: str
    expires: float
    refresh: str = ""

    def __repr__(self) -> str:
        return "Token()"


class _Reply(msgspec.Struct):
    token: str = ""
    access_token: str = ""
    expires_in: float = 0
    issued_at: str = ""
    refresh_token: str = ""


def decode_reply(data: bytes, realm: str, now: float) -> Token:
    """A token server's answer. ``expires`` is on the monotonic clock *now*. Unauthenticated when it holds no token."""
    try:
        reply = msgspec.json.decode(data, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise errors.Unauthenticated(f"unable to decode token response of {realm}") from None
    value = reply.token or reply.access_token
    if not value:
        raise errors.Unauthenticated(f"authorization server {realm} did not include a token in the response")
    if not value.isprintable() or not value.isascii():
        raise errors.Unauthenticated(f"authorization server {realm} gave a malformed token")
    life = min(max(reply.expires_in, LEAST_LIFE), LONGEST_LIFE)
    return Token(value, now + (life - _age(reply.issued_at, life)) * (1 - MARGIN), reply.refresh_token)


def _age(issued_at: str, life: float) -> float:
    """Seconds since a token was made; 0 where that is not told, or clocks differ too much for it to make sense."""
    if not issued_at:
        return 0.0
    try:
        moment = datetime.fromisoformat(issued_at).timestamp()
    except ValueError:
        return 0.0
    age = time.time() - moment
    return age if 0 < age < life else 0.0


class Tokens:
    """Kept tokens; the same one is fetched once however many ask for it at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[TokenKey, Token] = OrderedDict()
        self._fetching: dict[TokenKey, threading.Lock] = {}

    def get(self, key: TokenKey, fetch: Callable[[], Token], refused: str = "") -> Token:
        """A token that is not *refused* (one that the registry just did not take)."""
        found = self._valid(key, refused)
        if found is not None:
            return found
        with self._lock:
            gate = self._fetching.setdefault(key, threading.Lock())
        with gate:
            try:
                found = self._valid(key, refused)
                if found is None:
                    found = fetch()
                    with self._lock:
                        self._kept[key] = found
                        while len(self._kept) > MAX_TOKENS:
                            self._kept.popitem(last=False)
            finally:
                with self._lock:
                    if self._fetching.get(key) is gate:
                        del self._fetching[key]
        return found

    def _valid(self, key: TokenKey, refused: str) -> Token | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            if found.value == refused or found.expires <= self.clock():
                self._kept.pop(key, None)
                return None
            self._kept.move_to_end(key)
            return found

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
