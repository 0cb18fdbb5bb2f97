"""Log driver journald: lines to the journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

import errno
import os
import re
import socket
import struct

from corten.runtime.logdrivers.options import Options
from corten.runtime.logdrivers.tag import Source, attributes, render_tag
from corten.wire import logline
from corten.wire.logline import LogLine

SOCKET = "/run/systemd/journal/socket"
TIMEOUT = 10.0
_ERROR, _INFORMATIONAL = b"3", b"6"
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")


def field(name: str, value: bytes) -> bytes:
    """One field in the wire format; values with newlines carry their length."""
    key = name.encode("ascii")
    if b"\n" in value:
        return b"%b\n%b%b\n" % (key, struct.pack("<Q", len(value)), value)
    return b"%b=%b\n" % (key, value)


def field_name(text: str) -> str:
    """*text* as a name that the journal accepts: upper case, digits and _, not starting with _."""
    return _NOT_IN_NAMES.sub("_", text.upper()).lstrip("_")[:64]


class JournaldSender:
    """A socket to the journal."""

    def __init__(self, connection: socket.socket, fixed: bytes) -> None:
        self._socket = connection
        self._fixed = fixed

    @classmethod
    def connect(cls, options: Options, source: Source) -> "JournaldSender":
        """Connect to this host's journal; OSError when there is none."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(TIMEOUT)
            connection.connect(SOCKET)
        except BaseException:
            connection.close()
            raise
        return cls(connection, cls.fixed_fields(options, source))

    @staticmethod
    def fixed_fields(options: Options, source: Source) -> bytes:
        """The fields that every line of a source has."""
        tag = render_tag(options, source)
        values = {
            "CONTAINER_ID": source.id[:12],
            "CONTAINER_ID_FULL": source.id,
            "CONTAINER_NAME": source.name,
            "CONTAINER_TAG": tag,
            "IMAGE_NAME": source.image_name,
            "SYSLOG_IDENTIFIER": tag,
        }
        for key, value in attributes(options, source).items():
            name = field_name(key)
            if name and not name[0].isdigit():
                values.setdefault(name, value)
        return b"".join(field(name, value.encode("utf-8")) for name, value in values.items())

    def entry(self, line: LogLine) -> bytes:
        """The journal entry of a line."""
        parts = [
            field("PRIORITY", _ERROR if line.stream == logline.STDERR else _INFORMATIONAL),
            field("SYSLOG_TIMESTAMP", logline.utc_text(line.time)),
            field("MESSAGE", line.text),
            self._fixed,
        ]
        if not line.full:
            parts.append(field("CONTAINER_PARTIAL_MESSAGE", b"true"))
        return b"".join(parts)

    def send(self, lines: list[LogLine]) -> None:
        """Send every line as an entry; empty lines are left out, as Docker does."""
        for line in lines:
            if line.text:
                self._send_entry(self.entry(line))

    def _send_entry(self, entry: bytes) -> None:
        try:
            self._socket.send(entry)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_in_file(entry)

    def _send_in_file(self, entry: bytes) -> None:
        descriptor = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(entry)
            socket.send_fds(self._socket, [b""], [descriptor])
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the socket; may be called twice."""
        self._socket.close()
