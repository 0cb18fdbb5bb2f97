"""Digests: ``sha256:<64 hex>`` (image-spec, descriptor.md, section Digests). Always checked before they name a file."""

import hashlib
import re

from corten import errors

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_SHA512 = re.compile(r"sha512:[0-9a-f]{128}")
_HEX64 = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether *text* is a well-formed sha256 or sha512 digest."""
    return bool(_SHA256.fullmatch(text) or _SHA512.fullmatch(text))


def check(text: str) -> str:
    """Return *text* if it is a digest that can be stored, else raise ``InvalidArgument``. Only sha256 is stored."""
    if _SHA256.fullmatch(text):
        return text
    if _SHA512.fullmatch(text):
        raise errors.InvalidArgument(f"digest algorithm sha512 is not supported: {text}")
    raise errors.InvalidArgument(f"invalid checksum digest format: {text[:100]!r}")


def encoded(digest: str) -> str:
    """The hex part of a checked digest."""
    return check(digest)[7:]


def of(data: bytes) -> str:
    """The sha256 digest of *data*."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def is_hex64(text: str) -> bool:
    """Whether *text* is a full identifier without the algorithm."""
    return bool(_HEX64.fullmatch(text))


def chain_ids(diff_ids: list[str]) -> list[str]:
    """The chainID after each layer, bottom first (image-spec, config.md, section Layer ChainID)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        check(diff_id)
        chain.append(of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
