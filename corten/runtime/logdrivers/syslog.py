"""Log driver syslog: lines to a syslog server over unix sockets, UDP, TCP or TLS (RFC 3164, RFC 5424, RFC 5425)."""

import os
import re
import socket
import ssl
import time
from typing import NamedTuple

from corten.errors import InvalidArgument
from corten.runtime.logdrivers.options import Options, check_syslog_names
from corten.runtime.logdrivers.tag import Source, render_tag
from corten.wire import logline
from corten.wire.logline import LogLine

_FACILITY_NAMES = "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp"
FACILITIES = {
    **{name: number for number, name in enumerate(_FACILITY_NAMES.split(" "))},
    **{f"local{number}": 16 + number for number in range(8)},
}
FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
LOCAL_SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")
PORT = 514
_DECIMAL = re.compile("[0-9]{1,5}")
TIMEOUT = 10.0
_ERROR, _INFORMATIONAL = 3, 6


class Address(NamedTuple):
    """Where to send: *kind* is local, unix, unixgram, udp, tcp or tcp+tls; *host* a path for unix sockets."""

    kind: str
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """From the option ``syslog-address``; "" is this host's syslog. InvalidArgument."""
        if not text:
            return cls("local")
        kind, separator, rest = text.partition("://")
        if not separator or kind not in ("unix", "unixgram", "udp", "tcp", "tcp+tls"):
            raise InvalidArgument(f"syslog-address should be in form proto://address, got {text}")
        if kind in ("unix", "unixgram"):
            if not os.path.exists(rest):
                raise InvalidArgument(f"stat {rest}: no such file or directory")
            return cls(kind, rest)
        host, colon, port = rest.rpartition(":")
        if not colon or "]" in port:
            host, port = rest, str(PORT)
        if not _DECIMAL.fullmatch(port) or int(port) > 65535:
            raise InvalidArgument(f"syslog-address should be in form proto://address, got {text}")
        return cls(kind, host.removeprefix("[").removesuffix("]"), int(port))


def check(options: Options) -> None:
    """Refuse options of the driver that cannot be. InvalidArgument."""
    check_syslog_names(options)
    address = Address.parse(options.get("syslog-address", ""))
    _facility(options)
    if options.get("syslog-format", "") not in FORMATS:
        raise InvalidArgument("invalid syslog format")
    if address.kind == "tcp+tls":
        try:
            _tls_context(options)
        except OSError as error:
            raise InvalidArgument(f"invalid syslog TLS options: {error}") from error


def _facility(options: Options) -> int:
    text = options.get("syslog-facility", "")
    if not text:
        return FACILITIES["daemon"]
    if text in FACILITIES:
        return FACILITIES[text]
    if _DECIMAL.fullmatch(text) and int(text) <= 23:
        return int(text)
    raise InvalidArgument("invalid syslog facility")


def _tls_context(options: Options) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("syslog-tls-ca-cert") or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if "syslog-tls-skip-verify" in options:  # as in Docker its presence counts, not its value
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.get("syslog-tls-cert") or options.get("syslog-tls-key"):
        context.load_cert_chain(options.get("syslog-tls-cert", ""), options.get("syslog-tls-key") or None)
    return context


class Header:
    """Renders messages in one of the formats."""

    def __init__(self, options: Options, source: Source) -> None:
        self._format = options.get("syslog-format", "")
        self._facility = _facility(options) << 3
        self._host = socket.gethostname()
        self._tag = render_tag(options, source)
        self._pid = os.getpid()

    def message(self, line: LogLine) -> bytes:
        """The message of one line, without framing."""
        priority = self._facility | (_ERROR if line.stream == logline.STDERR else _INFORMATIONAL)
        seconds, nanoseconds = divmod(line.time, logline.NANOSECOND)
        if self._format.startswith("rfc5424"):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            if self._format == "rfc5424micro":
                stamp += f".{nanoseconds // 1000:06d}"
            head = f"<{priority}>1 {stamp}Z {self._host} {self._tag} {self._pid} {self._tag} - "
        else:
            local = time.localtime(seconds)
            stamp = f"{time.strftime('%b', local)} {local.tm_mday:2d} {time.strftime('%H:%M:%S', local)}"
            host = f"{self._host} " if self._format == "rfc3164" else ""
            head = f"<{priority}>{stamp} {host}{self._tag}[{self._pid}]: "
        return head.encode("utf-8") + line.text


class SyslogSender:
    """A connection to a syslog server."""

    def __init__(self, connection: socket.socket, header: Header, octet_counted: bool) -> None:
        self._socket = connection
        self._header = header
        self._octet_counted = octet_counted
        self._stream = connection.type == socket.SOCK_STREAM

    @classmethod
    def connect(cls, options: Options, source: Source) -> "SyslogSender":
        """Connect as the options say; OSError when that fails."""
        address = Address.parse(options.get("syslog-address", ""))
        counted = address.kind == "tcp+tls" and options.get("syslog-format", "").startswith("rfc5424")
        return cls(_open(address, options), Header(options, source), counted)

    def send(self, lines: list[LogLine]) -> None:
        """Send every line as a message."""
        messages = [self._header.message(line) for line in lines]
        if not self._stream:
            for message in messages:
                self._socket.send(message)
            return
        framed = [b"%d %b" % (len(text), text) if self._octet_counted else text + b"\n" for text in messages]
        self._socket.sendall(b"".join(framed))

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._socket.close()


def _open(address: Address, options: Options) -> socket.socket:
    if address.kind == "local":
        return _open_local()
    if address.kind in ("unix", "unixgram"):
        return _open_unix(address.host, socket.SOCK_STREAM if address.kind == "unix" else socket.SOCK_DGRAM)
    if address.kind == "udp":
        family, kind, protocol, _, target = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]
        connection = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        connection.settimeout(TIMEOUT)
        connection.connect(target)
        return connection
    connection = socket.create_connection((address.host, address.port), timeout=TIMEOUT)
    if address.kind == "tcp":
        return connection
    try:
        return _tls_context(options).wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise


def _open_local() -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for path in LOCAL_SOCKETS:
            try:
                return _open_unix(path, kind)
            except OSError:
                continue
    raise OSError("Unix syslog delivery error: no syslog socket on this host")


def _open_unix(path: str, kind: int) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(TIMEOUT)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection
