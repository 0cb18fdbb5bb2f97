"""Host ports where the daemon lacks what it takes to hold one."""

import errno
import os
import socket

import pytest

from corten import errors
from corten.network import ports
from corten.network.portspec import Wanted


def test_a_lack_of_descriptors_is_no_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(protocol: str, host_ip: str, port: int) -> None:
        asked.append(port)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    held = ports.Ports()
    with monkeypatch.context() as patch:
        patch.setattr(ports, "hold", refuse)
        for low, high in ((0, 0), (40000, 40100)):
            wanted = Wanted(protocol="tcp", port=80, host_ips=("127.0.0.1",), low=low, high=high)
            with pytest.raises(errors.Exhausted, match=r"failed to bind host port for .*: too many open files"):
                held.reserve(wanted, "10.0.0.2")
    assert len(asked) == 2, "one try is enough"
    taken = held.reserve(Wanted(protocol="tcp", port=80, host_ips=("127.0.0.1",), low=0, high=0), "10.0.0.2")
    held.release(taken)
    held.close()


def test_a_port_that_somebody_took_while_the_daemon_was_away_stays_ours() -> None:
    held = ports.Ports()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        adopted = held.adopt("tcp", "127.0.0.1", port)
    assert adopted.socket is None
    wanted = Wanted(protocol="tcp", port=80, host_ips=("127.0.0.1",), low=port, high=port)
    with pytest.raises(ports.PortTaken) as caught:
        held.reserve(wanted, "10.0.0.2")
    assert caught.value.ours
    with pytest.raises(ports.PortTaken):
        held.adopt("tcp", "127.0.0.1", port)
    held.release([adopted])
    held.release(held.reserve(wanted, "10.0.0.2"))
    held.close()
