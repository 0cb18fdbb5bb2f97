"""Whether a connection has been accepted."""

import socket

import pytest

from corten.linux import unixdiag


def accepted(connection: socket.socket) -> bool:
    try:
        return unixdiag.is_accepted(connection)
    except OSError as error:
        pytest.skip(f"this kernel does not tell: {error.strerror}")


def test_queued_then_accepted(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(str(tmp_path / "s"))
            assert not accepted(connection)
            other, _ = listener.accept()
            with other:
                assert accepted(connection)


def test_error_of_the_kernel() -> None:
    answer = unixdiag._header.pack(36, 2, 0, 1, 0) + b"\xfe\xff\xff\xff" + bytes(16)
    with pytest.raises(FileNotFoundError):
        unixdiag._peer_of(answer)
