"""Credentials of registries, as clients send them with each request. They live as long as the request needs them."""

import base64
import binascii
from typing import Any

import msgspec

from corten import errors

DEFAULT_SERVER = "https://index.docker.io/v1/"
"""What clients write for Docker Hub."""
HUB_NAMES = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"))
MAX_HEADER = 64 << 10
_KEYS = {
    "username": "username",
    "password": "password",
    "identitytoken": "identity_token",
    "registrytoken": "registry_token",
    "serveraddress": "server_address",
}


class Credential(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Who we are to one registry; "" is "not given". Its text form shows none of it."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    server_address: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.server_address!r}, {'secret' if self else 'anonymous'})"

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.username or self.password or self.identity_token or self.registry_token)

    def belongs_to(self, domain: str) -> bool:
        """Whether it may be shown to registry *domain*: the server that it names, if it names one, must be that."""
        return not self.server_address or server_domain(self.server_address) == server_domain(domain)

    def for_domain(self, domain: str) -> "Credential":
        """Itself, or nothing when it was made for another registry."""
        return self if self.belongs_to(domain) else ANONYMOUS


ANONYMOUS = Credential()


def server_domain(address: str) -> str:
    """The domain, as references have it, of a server address: "https://index.docker.io/v1/" → "docker.io"."""
    domain = address.strip().lower()
    for scheme in ("https://", "http://"):
        domain = domain.removeprefix(scheme)
    domain = domain.split("/", 1)[0]
    return "docker.io" if not domain or domain in HUB_NAMES else domain


def decode_header(text: str) -> Credential:
    """The credential of an ``X-Registry-Auth`` header: JSON in base64url. "" gives none. InvalidArgument."""
    if not text.strip():
        return ANONYMOUS
    return from_document(_decode(text, "X-Registry-Auth"), "X-Registry-Auth")


def decode_config(text: str) -> dict[str, Credential]:
    """Domain → credential of an ``X-Registry-Config`` header. InvalidArgument."""
    if not text.strip():
        return {}
    document = _decode(text, "X-Registry-Config")
    found = {server_domain(key): from_document(value, "X-Registry-Config") for key, value in document.items()}
    return {domain: msgspec.structs.replace(credential, server_address=domain) for domain, credential in found.items()}


def from_document(document: Any, what: str) -> Credential:
    """From an AuthConfig object, its keys in any letter case; ``auth`` is "user:password" in base64."""
    if document is None:
        return ANONYMOUS
    if not isinstance(document, dict):
        raise errors.InvalidArgument(f"invalid {what}: must be an object")
    fields: dict[str, str] = {}
    packed = ""
    for key, value in document.items():
        name = str(key).lower()
        if name not in _KEYS and name != "auth":
            continue
        if value is None:
            continue
        if not isinstance(value, str):
            raise errors.InvalidArgument(f"invalid {what}: {key} must be a text")
        if any(ord(character) < 32 and character != "\t" for character in value):
            raise errors.InvalidArgument(f"invalid {what}: {key} holds control characters")
        if name == "registrytoken" and not (value.isascii() and value.isprintable()):
            raise errors.InvalidArgument(f"invalid {what}: {key} must be printable ASCII")
        if name == "auth":
            packed = value
        else:
            fields[_KEYS[name]] = value
    if packed and not fields.get("username"):
        fields["username"], fields["password"] = _unpack(packed, what)
    return Credential(**fields)


def _unpack(packed: str, what: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise errors.InvalidArgument(f"invalid {what}: auth is not base64") from None
    if not colon:
        raise errors.InvalidArgument(f"invalid {what}: auth holds no password")
    return user, password.strip("\0")


def _decode(text: str, what: str) -> dict[str, Any]:
    if len(text) > MAX_HEADER:
        raise errors.InvalidArgument(f"invalid {what} header: longer than {MAX_HEADER} bytes")
    compact = text.strip().rstrip("=")
    try:
        # Python's decoder skips what is no base64; both alphabets are in use
        compact = compact.replace("+", "-").replace("/", "_")
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), altchars=b"-_", validate=True)
        document = msgspec.json.decode(data)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        raise errors.InvalidArgument(f"invalid {what} header: no JSON in base64url") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise errors.InvalidArgument(f"invalid {what} header: no object")
    return document
