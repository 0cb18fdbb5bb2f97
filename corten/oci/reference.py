"""Names of images: ``[domain/]path[:tag][@digest]`` and their familiar form.

The grammar is the distribution project's; error texts are Docker's, since clients show them.
"""

import re

import msgspec

from corten import errors
from corten.oci import digest as digests

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library/"
DEFAULT_TAG = "latest"
MAX_NAME = 255

_ALNUM = r"[a-z0-9]+"
_PATH_COMPONENT = rf"{_ALNUM}(?:(?:\.|_|__|-+){_ALNUM})*"
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[(?:[a-fA-F0-9:]+)\])"
_DOMAIN = rf"{_HOST}(?::[0-9]+)?"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_TAG_ONLY = re.compile(_TAG, re.ASCII)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A normalised name. ``domain`` and ``path`` are never empty; no default tag is added (see ``tagged``)."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """From what a person types. ``InvalidArgument`` with Docker's words when it is no reference."""
        if digests.is_hex64(text):
            raise _invalid(text, "cannot specify 64-byte hexadecimal strings")
        domain, rest = _split_domain(text)
        path = rest
        for mark in ("@", ":"):
            path = path.split(mark, 1)[0]
        if path.lower() != path:
            raise _invalid(text, f"repository name ({path}) must be lowercase")
        match = _REFERENCE.fullmatch(f"{domain}/{rest}")
        if match is None:
            raise _invalid(text, "invalid reference format")
        if len(match["name"]) > MAX_NAME:
            raise _invalid(text, f"repository name must not be more than {MAX_NAME} characters")
        digest = match["digest"]
        if digest is not None and not digests.is_digest(digest):
            raise _invalid(text, "unsupported digest algorithm or invalid checksum digest length")
        return cls(domain=domain, path=match["name"][len(domain) + 1 :], tag=match["tag"], digest=digest)

    @property
    def name(self) -> str:
        """Canonical repository: "docker.io/library/busybox"."""
        return f"{self.domain}/{self.path}"

    @property
    def canonical(self) -> str:
        """The whole canonical text: "docker.io/library/busybox:latest"."""
        return self.name + self._suffix()

    def familiar_name(self) -> str:
        """Repository as people write it: "busybox"."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        if self.path.startswith(OFFICIAL) and "/" not in self.path[len(OFFICIAL) :]:
            return self.path[len(OFFICIAL) :]
        return self.path

    def familiar(self) -> str:
        """The whole reference as people write it: "busybox:latest"."""
        return self.familiar_name() + self._suffix()

    def tagged(self) -> "Reference":
        """With the default tag if neither tag nor digest is there."""
        if self.tag is None and self.digest is None:
            return msgspec.structs.replace(self, tag=DEFAULT_TAG)
        return self

    def with_tag(self, tag: str) -> "Reference":
        """The same repository with *tag* alone; ``InvalidArgument`` when that is no tag."""
        if not _TAG_ONLY.fullmatch(tag):
            raise errors.InvalidArgument("invalid tag format")
        return msgspec.structs.replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> "Reference":
        """The same repository with *digest* alone; ``InvalidArgument`` when that is none."""
        if not digests.is_digest(digest):
            raise errors.InvalidArgument("invalid reference format")
        return msgspec.structs.replace(self, tag=None, digest=digest)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split_domain(text: str) -> tuple[str, str]:
    head, slash, rest = text.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost" or head.lower() != head):
        domain, rest = DEFAULT_DOMAIN, text
    else:
        domain = DEFAULT_DOMAIN if head == "index.docker.io" else head
    if domain == DEFAULT_DOMAIN and "/" not in rest:
        rest = OFFICIAL + rest
    return domain, rest


def _invalid(text: str, why: str) -> errors.InvalidArgument:
    if why == "invalid reference format":
        return errors.InvalidArgument("invalid reference format")
    return errors.InvalidArgument(f"invalid reference format: {why}")
