"""Annotations: notes for a runtime's own use, some of which are orders to it.

Docker hands annotations on to the runtime. crun and runc take some as directives: a program for the seccomp filter, a
file of the host to write a hook's output to, a library to load, a property of a systemd unit, a CRIU configuration
(crun(1), "EXTENSIONS"; runc's docs/systemd.md). What a container may do has its own settings, which are checked; a way
round them is closed.
"""

from collections.abc import Mapping

from corten.errors import InvalidArgument

DIRECTIVES = ("run.oci.", "org.systemd.property.", "org.criu.", "module.wasm.")
"""How the names begin that runtimes obey."""


def check(annotations: Mapping[str, str] | None) -> None:
    """InvalidArgument for an empty name and for a directive."""
    for name in annotations or ():
        if not name:
            raise InvalidArgument("invalid Annotations: the empty string is not permitted as an annotation key")
        if name.startswith(DIRECTIVES):
            raise InvalidArgument(f"invalid Annotations: {name} would be an order to the OCI runtime and is refused")


def harmless(annotations: Mapping[str, str] | None) -> dict[str, str]:
    """Without directives, whatever way they came in."""
    return {name: value for name, value in (annotations or {}).items() if not name.startswith(DIRECTIVES)}
