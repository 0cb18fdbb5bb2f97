"""TLS for a registry: the system's authorities, and Docker's ``certs.d/HOST[:PORT]`` with ``*.crt`` authorities and
``NAME.cert`` with ``NAME.key`` for the client."""

import os
import ssl
import threading
from collections.abc import Iterable

from corten import errors
from corten.distribution.url import Origin

MAX_CONTEXTS = 100
_Stamp = tuple[tuple[str, int, int], ...]


class Certificates:
    """Makes contexts and keeps them until a file of theirs changes; the directories are looked at each time."""

    def __init__(self, directories: Iterable[str]) -> None:
        self._directories = tuple(directories)
        self._lock = threading.Lock()
        self._contexts: dict[tuple[_Stamp, _Stamp, bool], ssl.SSLContext] = {}

    def context(self, origin: Origin, trusted_by: Iterable[str], verify: bool) -> ssl.SSLContext:
        """For a connection to *origin*. *trusted_by*: names of directories whose authorities count besides; client
        certificates come from *origin*'s own directory alone. InvalidArgument for a broken directory."""
        own = self._names(origin)
        authorities = tuple(
            stamp for name in dict.fromkeys((*own, *trusted_by)) for stamp in self._stamps(name, (".crt",))
        )
        identities = tuple(stamp for name in own for stamp in self._stamps(name, (".cert", ".key")))
        key = (authorities, identities, verify)
        with self._lock:
            found = self._contexts.get(key)
            if found is None:
                if len(self._contexts) >= MAX_CONTEXTS:
                    self._contexts.clear()
                found = self._contexts[key] = _make(authorities, identities, verify)
            return found

    @staticmethod
    def _names(origin: Origin) -> list[str]:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        names = [origin.netloc, f"{host}:{origin.port}"]
        if origin.host == "registry-1.docker.io":
            names.append("docker.io")
        return list(dict.fromkeys(names))

    def _stamps(self, name: str, endings: tuple[str, ...]) -> _Stamp:
        """(path, size, time of change) of the files in every directory called *name*."""
        if "/" in name or name.startswith("."):
            return ()
        found = []
        for directory in self._directories:
            path = os.path.join(directory, name)
            try:
                entries = sorted(os.listdir(path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                if entry.endswith(endings):
                    file = os.path.join(path, entry)
                    status = os.stat(file)
                    found.append((file, status.st_size, status.st_mtime_ns))
        return tuple(found)


def _make(authorities: _Stamp, identities: _Stamp, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path, _, _ in authorities:
        try:
            context.load_verify_locations(cafile=path)
        except (ssl.SSLError, OSError) as error:
            raise errors.InvalidArgument(f"failed to read CA certificate {path}: {error}") from error
    paths = {path for path, _, _ in identities}
    for path in sorted(paths):
        stem, ending = os.path.splitext(path)
        name = os.path.basename(path)
        if ending == ".key":
            if f"{stem}.cert" not in paths:
                raise errors.InvalidArgument(f"missing client certificate {os.path.basename(stem)}.cert for key {name}")
            continue
        if f"{stem}.key" not in paths:
            raise errors.InvalidArgument(
                f"missing key {os.path.basename(stem)}.key for client certificate {name}. "
                "CA certificates must use the extension .crt"
            )
        try:
            context.load_cert_chain(path, f"{stem}.key", password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise errors.InvalidArgument(f"failed to read client certificate {path}: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")
