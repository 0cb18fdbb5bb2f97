"""What the kernel knows of a unix socket's other end (sock_diag(7), linux/unix_diag.h)."""

import os
import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_UDIAG_SHOW_PEER = 4
_UNIX_DIAG_PEER = 2
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF

_header = struct.Struct("=IHHII")
_request = struct.Struct("=BBHIIIII")
_answer = struct.Struct("=BBBBIII")
_attribute = struct.Struct("=HH")


def is_accepted(connection: socket.socket) -> bool:
    """Whether the listener has taken *connection* from its queue, where connect(2) has left it.

    Until then the other end has no inode. ``OSError`` where the kernel cannot tell (CONFIG_UNIX_DIAG) or it has gone.
    """
    inode = os.fstat(connection.fileno()).st_ino
    body = _request.pack(socket.AF_UNIX, 0, 0, _ALL_STATES, inode, _UDIAG_SHOW_PEER, _NO_COOKIE, _NO_COOKIE)
    message = _header.pack(_header.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(message)
        answer = kernel.recv(8192)
    return _peer_of(answer) != 0


def _peer_of(answer: bytes) -> int:
    """The peer's inode in the kernel's answer; 0 when it has none."""
    length, kind, *_ = _header.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:  # NLMSG_ERROR, with a negative errno
        number = -struct.unpack_from("=i", answer, _header.size)[0]
        raise OSError(number, os.strerror(number))
    place = _header.size + _answer.size
    while place + _attribute.size <= length:
        size, name = _attribute.unpack_from(answer, place)
        if name == _UNIX_DIAG_PEER:
            return int(struct.unpack_from("=I", answer, place + _attribute.size)[0])
        place += (size + 3) & ~3 or length
    return 0
